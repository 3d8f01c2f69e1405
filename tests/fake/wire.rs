//! The fake engine's socket: every call passes its faults on its way in and out.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures_util::FutureExt;
use http_body_util::BodyExt;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::UnixListener;
use tokio::task::JoinSet;

use super::api::{Api, operation, refusal, router};
use super::faults::{Fault, What};

/// How often a call that hangs looks whether it still has to.
const TURN: Duration = Duration::from_millis(20);

/// Takes connections until it is dropped; then those that it has are closed, too.
pub async fn serve(listener: UnixListener, api: Api) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let api = api.clone();
        connections.spawn(async move {
            let service = service_fn(|request| handle(api.clone(), request));
            // An error here is a fault that was asked for, or a client that went.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
        while connections.join_next().now_or_never().flatten().is_some() {}
    }
}

/// An error closes the connection without an answer.
async fn handle(api: Api, request: hyper::Request<hyper::body::Incoming>) -> io::Result<Response> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let about = format!("{} {}", parts.uri.path(), String::from_utf8_lossy(&body));
    let fault = api.lock().unwrap().call(operation(&parts.method, parts.uri.path()), &about);
    let request = Request::from_parts(parts, Body::from(body));
    let dropped = || io::Error::other("the connection is dropped");
    match fault {
        None => answer(api, request).await,
        Some(What::Answer(status, text)) => Ok(refusal(status, &text)),
        Some(What::Delay(delay)) => {
            tokio::time::sleep(delay).await;
            answer(api, request).await
        }
        Some(What::Hang) => {
            while api.lock().unwrap().faults.iter().any(Fault::is_hang) {
                tokio::time::sleep(TURN).await;
            }
            Err(dropped())
        }
        Some(What::DropBefore) => Err(dropped()),
        Some(What::DropAfter) => {
            answer(api, request).await?;
            Err(dropped())
        }
    }
}

async fn answer(api: Api, request: Request<Body>) -> io::Result<Response> {
    let Ok(response) = TowerToHyperService::new(router(api)).call(request).await;
    Ok(response)
}
