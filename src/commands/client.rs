//! A client of a running controller's HTTP API.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;

use super::Error;
use crate::snapshot::{LEFT_OUT, LinkStatus};

/// How long a controller may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A client of the controller at one address.
pub struct Client {
    server: String,
    http: HttpClient<HttpConnector, Empty<Bytes>>,
}

/// One answer.
pub struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// The whole body.
    pub body: String,
    /// Links that a list leaves out.
    pub left_out: usize,
}

/// The links that a controller lists.
pub struct List {
    /// The links.
    pub links: Vec<LinkStatus>,
    /// Links that it leaves out, because there are too many.
    pub left_out: usize,
    /// The answer's text as it came.
    pub body: String,
}

impl Client {
    /// A client of the controller at `server`, `http://HOST:PORT`.
    pub fn new(server: &str) -> Self {
        let http = HttpClient::builder(TokioExecutor::new()).build_http();
        Self { server: server.to_owned(), http }
    }

    /// All links.
    pub async fn links(&self) -> Result<List, Error> {
        let path = "/api/v1/links";
        let Answer { status, body, left_out } = self.get(path).await?;
        match status {
            StatusCode::OK => Ok(List { links: parse(&body)?, left_out, body }),
            status => Err(self.unexpected(path, status)),
        }
    }

    /// One link and the answer's text as it came, if there is such a link.
    pub async fn link(&self, consumer: &str, name: &str) -> Result<Option<(LinkStatus, String)>, Error> {
        let path = format!("/api/v1/links/{}/{}", percent_encode(consumer), percent_encode(name));
        let answer = self.get(&path).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::OK => Ok(Some((parse(&answer.body)?, answer.body))),
            status => Err(self.unexpected(&path, status)),
        }
    }

    /// Whether the controller knows the engine's state; if not, why.
    pub async fn not_ready(&self) -> Result<Option<String>, Error> {
        let answer = self.get("/readyz").await?;
        Ok((answer.status != StatusCode::OK).then(|| answer.body.trim().to_owned()))
    }

    /// Any answer.
    pub async fn get(&self, path: &str) -> Result<Answer, Error> {
        let url = format!("{}{path}", self.server);
        let unreachable = |why: String| {
            Error::Controller(format!(
                "no controller answers at {}: {why}; start one by `tieline run`, or give its address by --server",
                self.server
            ))
        };
        let uri = url.parse().map_err(|error| Error::Other(format!("{url}: {error}")))?;
        let exchange = async {
            let response = self.http.get(uri).await.map_err(|error| root_cause(&error))?;
            let status = response.status();
            let left_out =
                response.headers().get(LEFT_OUT).and_then(|count| count.to_str().ok()?.parse().ok());
            let body = response.into_body().collect().await.map_err(|error| root_cause(&error))?;
            let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
            Ok(Answer { status, body, left_out: left_out.unwrap_or_default() })
        };
        match tokio::time::timeout(TIMEOUT, exchange).await {
            Ok(answer) => answer.map_err(unreachable),
            Err(_) => Err(unreachable(format!("no answer within {} s", TIMEOUT.as_secs()))),
        }
    }

    fn unexpected(&self, path: &str, status: StatusCode) -> Error {
        Error::Controller(format!("{}{path} answered {status}: is that a tieline controller?", self.server))
    }
}

fn parse<T: DeserializeOwned>(body: &str) -> Result<T, Error> {
    serde_json::from_str(body)
        .map_err(|error| Error::Controller(format!("the controller's answer cannot be read: {error}")))
}

/// hyper's own words are "client error (Connect)"; the system's say what is wrong.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Everything but RFC 3986's unreserved characters.
fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_consumer_is_one_segment_of_the_path() {
        assert_eq!(super::percent_encode("shop/web#2"), "shop%2Fweb%232");
    }
}
