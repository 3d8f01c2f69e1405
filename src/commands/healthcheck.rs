//! `tieline healthcheck`: whether a controller works, for `HEALTHCHECK` in an image without a shell.

use hyper::StatusCode;

use super::client::Client;
use super::{Error, Exit, output};
use crate::cli::ServerArgs;

pub(super) async fn run(args: ServerArgs) -> Result<Exit, Error> {
    let answer = Client::new(&args.server).get("/healthz").await?;
    output::print(&answer.body)?;
    Ok(if answer.status == StatusCode::OK { Exit::Yes } else { Exit::No })
}
