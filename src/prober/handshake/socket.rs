//! A unix socket that both containers have. A path that a label names is never listened on.

use super::modes::{Making, Told};
use super::{Means, Trouble};
use crate::model::handshake::role::Role;

/// What tells a client of a socket to begin.
const BEGIN: &str = "\n";

impl<M: Means> Making<'_, M> {
    pub async fn at_socket(&self, path: &str) -> Result<Told, Trouble> {
        let role = Role::SocketClient { path: path.to_owned(), manner: self.manner() };
        let told = self.visit(&role, BEGIN, path).await;
        told.map_err(|trouble| Trouble::new(trouble.reason, format!("{path}: {}", trouble.message)))
    }
}
