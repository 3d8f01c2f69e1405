//! Which `nc` the containers of an image have: perhaps several, of which each can do what others cannot.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::docker::Docker;
use crate::model::container::ImageId;
use crate::model::handshake::tool::{PROGRAMS, Tool};
use crate::model::handshake::{InconclusiveReason, reading, script};

use super::super::Side;
use super::{Trouble, execute};

/// How long it is believed that an image has no `nc`: somebody may install one.
const MISSING_FOR: Duration = Duration::from_secs(60);

/// Images whose `nc` is remembered. A further one takes the place of the one not asked for longest,
/// which then costs one more look.
pub const MAX_IMAGES: usize = 1024;

/// What was found in images. The containers of one image have the same tools, so one look will do.
#[derive(Default)]
pub struct ToolCache {
    images: Mutex<HashMap<ImageId, Kept>>,
}

struct Kept {
    entry: Entry,
    asked: Instant,
}

/// Locked while somebody looks, so that the others wait instead of looking too.
type Entry = Arc<tokio::sync::Mutex<Option<Found>>>;

struct Found {
    tools: Result<Vec<Tool>, Trouble>,
    at: Instant,
}

impl Found {
    fn is_fresh(&self) -> bool {
        self.tools.is_ok() || self.at.elapsed() < MISSING_FOR
    }
}

impl ToolCache {
    /// Every `nc` of a container; there is one at least.
    pub(super) async fn tools(&self, docker: &Docker, side: &Side) -> Result<Vec<Tool>, Trouble> {
        let entry = self.entry(&side.image);
        let mut found = entry.lock().await;
        if let Some(known) = found.as_ref().filter(|known| known.is_fresh()) {
            return known.tools.clone();
        }
        let tools = detect(docker, side).await;
        // Only what lies in the image is worth keeping, not that the engine was away just now.
        let lasting = tools.as_ref().err().is_none_or(|trouble| {
            matches!(trouble.reason, InconclusiveReason::NoNetcat | InconclusiveReason::NoShell)
        });
        *found = lasting.then(|| Found { tools: tools.clone(), at: Instant::now() });
        tools
    }

    /// Makes the next handshake look again: what was found is not there any more.
    pub(super) fn forget(&self, image: &ImageId) {
        self.images.lock().unwrap_or_else(PoisonError::into_inner).remove(image);
    }

    fn entry(&self, image: &ImageId) -> Entry {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        if images.len() == MAX_IMAGES && !images.contains_key(image) {
            let oldest = images.iter().min_by_key(|(_, kept)| kept.asked).map(|(image, _)| image.clone());
            oldest.and_then(|image| images.remove(&image));
        }
        let now = Instant::now();
        let kept =
            images.entry(image.clone()).or_insert_with(|| Kept { entry: Entry::default(), asked: now });
        kept.asked = now;
        Arc::clone(&kept.entry)
    }
}

async fn detect(docker: &Docker, side: &Side) -> Result<Vec<Tool>, Trouble> {
    let mut running = execute(docker, side, script::detect(), None).await?;
    running.finish().await;
    let heard = String::from_utf8_lossy(running.heard().stdout()).into_owned();
    let tools = Tool::find(&heard);
    if !tools.is_empty() {
        return Ok(tools);
    }
    if heard.contains(script::DETECTED) {
        let message = format!(
            "{} has none of {}; install netcat-openbsd or busybox in its image",
            side.name,
            PROGRAMS.join(", ")
        );
        return Err(Trouble::new(InconclusiveReason::NoNetcat, message));
    }
    let exit = running.exit_code().await;
    let reason = reading::cut_off(running.heard(), exit);
    Err(Trouble::told(reason, &running))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_image_not_asked_for_longest_makes_room() {
        let cache = ToolCache::default();
        let image = |n: usize| ImageId(format!("sha256:{n}"));
        let known = |n: usize| cache.images.lock().unwrap().contains_key(&image(n));
        for n in 0..=MAX_IMAGES {
            cache.entry(&image(n));
            cache.entry(&image(0));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(cache.images.lock().unwrap().len(), MAX_IMAGES);
        assert!(known(0) && !known(1) && known(2) && known(MAX_IMAGES));
    }
}
