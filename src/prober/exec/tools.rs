//! Which `nc` the containers of an image have.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::docker::Docker;
use crate::model::container::ImageId;
use crate::model::handshake::tool::Tool;
use crate::model::handshake::{InconclusiveReason, reading, script};

use super::super::Side;
use super::Trouble;
use super::running::Running;

/// How long it is believed that an image has no `nc`: somebody may install one.
const MISSING_FOR: Duration = Duration::from_secs(60);

/// What was found in images. The containers of one image have the same tools, so one look will do.
#[derive(Default)]
pub struct ToolCache {
    images: Mutex<HashMap<ImageId, Entry>>,
}

/// Locked while somebody looks, so that the others wait instead of looking too.
type Entry = Arc<tokio::sync::Mutex<Option<Found>>>;

struct Found {
    tool: Result<Tool, Trouble>,
    at: Instant,
}

impl Found {
    fn is_fresh(&self) -> bool {
        self.tool.is_ok() || self.at.elapsed() < MISSING_FOR
    }
}

impl ToolCache {
    /// The `nc` of a container.
    pub(super) async fn tool(&self, docker: &Docker, side: &Side) -> Result<Tool, Trouble> {
        let entry = self.entry(&side.image);
        let mut found = entry.lock().await;
        if let Some(known) = found.as_ref().filter(|known| known.is_fresh()) {
            return known.tool.clone();
        }
        let tool = detect(docker, side).await;
        // Only what lies in the image is worth keeping, not that the engine was away just now.
        let lasting = tool.as_ref().err().is_none_or(|trouble| {
            matches!(trouble.reason, InconclusiveReason::NoNetcat | InconclusiveReason::NoShell)
        });
        *found = lasting.then(|| Found { tool: tool.clone(), at: Instant::now() });
        tool
    }

    /// Makes the next handshake look again: what was found is not there any more.
    pub(super) fn forget(&self, image: &ImageId) {
        self.images.lock().unwrap_or_else(PoisonError::into_inner).remove(image);
    }

    fn entry(&self, image: &ImageId) -> Entry {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(images.entry(image.clone()).or_default())
    }
}

async fn detect(docker: &Docker, side: &Side) -> Result<Tool, Trouble> {
    let mut running = Running::start(docker, side, script::detect()).await?;
    running.finish().await;
    let heard = String::from_utf8_lossy(running.heard().stdout()).into_owned();
    if let Some(tool) = Tool::find(&heard) {
        return Ok(tool);
    }
    if heard.contains(script::DETECTED) {
        let message = format!(
            "{} has none of {}; install netcat-openbsd or busybox in its image",
            side.name,
            script::CANDIDATES
        );
        return Err(Trouble::new(InconclusiveReason::NoNetcat, message));
    }
    let exit = running.exit_code().await;
    let reason = reading::cut_off(running.heard(), exit);
    Err(Trouble::told(reason, &running))
}
