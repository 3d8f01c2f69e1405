//! Which `nc` a container has: perhaps several, of which each can do what others cannot.
//!
//! The answer of one container counts for that container alone. Containers of one image may differ: the environment and
//! the mounts of a container decide what its shell answers.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::time::{Instant, timeout};

use crate::docker::Docker;
use crate::model::container::ContainerId;
use crate::model::handshake::tool::{PROGRAMS, Tool};
use crate::model::handshake::{InconclusiveReason, reading, script};

use super::super::Side;
use super::{Trouble, execute};

/// How long the finding "no `nc`" holds: one may be installed.
const MISSING_FOR: Duration = Duration::from_secs(60);
/// How long any other failure holds: long enough for all handshakes that waited for the same look.
const FAILED_FOR: Duration = Duration::from_secs(1);
/// How long a handshake waits for a look.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a look may take. On a busy machine a later handshake has its result.
const MAX_LOOK: Duration = Duration::from_secs(20);

/// Containers whose `nc` is remembered. A further one takes the place of the one not asked for longest,
/// which then costs one more look.
pub const MAX_CONTAINERS: usize = 4096;

/// The `nc`s found, by container.
#[derive(Default)]
pub struct ToolCache {
    containers: Mutex<HashMap<ContainerId, Kept>>,
}

struct Kept {
    look: Look,
    asked: Instant,
}

/// A look, under way or done. Everybody who asks meanwhile waits for the same one, and without a lock.
type Look = Shared<BoxFuture<'static, Found>>;

#[derive(Clone)]
struct Found {
    tools: Result<Vec<Tool>, Trouble>,
    at: Instant,
}

impl Found {
    fn is_fresh(&self) -> bool {
        use InconclusiveReason::{NoNetcat, NoShell};
        let age = self.at.elapsed();
        self.tools.as_ref().err().is_none_or(|trouble| match trouble.reason {
            NoNetcat | NoShell => age < MISSING_FOR,
            _ => age < FAILED_FOR,
        })
    }
}

impl ToolCache {
    /// Every `nc` of a container; there is one at least.
    pub(super) async fn tools(&self, docker: &Docker, side: &Side) -> Result<Vec<Tool>, Trouble> {
        self.tools_by(side, || detect(docker.clone(), side.clone())).await
    }

    /// The same, where `detect` looks.
    async fn tools_by<D>(&self, side: &Side, detect: impl FnOnce() -> D) -> Result<Vec<Tool>, Trouble>
    where
        D: Future<Output = Result<Vec<Tool>, Trouble>> + Send + 'static,
    {
        let look = self.look(side, detect);
        timeout(PATIENCE, look).await.map_or_else(|_| Err(hangs(side, PATIENCE)), |found| found.tools)
    }

    /// Makes the next handshake look again: what was found is not there any more.
    pub(super) fn forget(&self, container: &ContainerId) {
        self.lock().remove(container);
    }

    fn look<D>(&self, side: &Side, detect: impl FnOnce() -> D) -> Look
    where
        D: Future<Output = Result<Vec<Tool>, Trouble>> + Send + 'static,
    {
        let (now, mut containers) = (Instant::now(), self.lock());
        if let Some(kept) = containers.get_mut(&side.id)
            && kept.look.peek().is_none_or(Found::is_fresh)
        {
            kept.asked = now;
            return kept.look.clone();
        }
        if containers.len() == MAX_CONTAINERS && !containers.contains_key(&side.id) {
            let oldest = containers.iter().min_by_key(|(_, kept)| kept.asked).map(|(id, _)| id.clone());
            oldest.and_then(|id| containers.remove(&id));
        }
        // In a task of its own: it goes on when the handshake that began it is over.
        let looking = tokio::spawn(timeout(MAX_LOOK, detect()));
        let side_looked_at = side.clone();
        let look = async move {
            let tools = match looking.await {
                Ok(Ok(tools)) => tools,
                Ok(Err(_)) => Err(hangs(&side_looked_at, MAX_LOOK)),
                Err(died) => {
                    let message = format!("{}: the look for its nc ended: {died}", side_looked_at.name);
                    Err(Trouble::new(InconclusiveReason::Unexplained, message))
                }
            };
            Found { tools, at: Instant::now() }
        };
        let look = look.boxed().shared();
        containers.insert(side.id.clone(), Kept { look: look.clone(), asked: now });
        look
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ContainerId, Kept>> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hangs(side: &Side, after: Duration) -> Trouble {
    let message = format!("{}: its shell did not tell within {after:?} which nc it has", side.name);
    Trouble::new(InconclusiveReason::ExecFailed, message)
}

async fn detect(docker: Docker, side: Side) -> Result<Vec<Tool>, Trouble> {
    let mut running = execute(&docker, &side, script::detect(), None).await?;
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
    use std::future::{pending, ready};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::model::handshake::tool::Flavour;

    fn side(name: &str) -> Side {
        let id = ContainerId(name.into());
        Side { id, name: name.into(), address: None }
    }

    fn busybox() -> Result<Vec<Tool>, Trouble> {
        Ok(vec![Tool { program: vec!["nc".to_owned()], flavour: Flavour::BusyboxTiny }])
    }

    fn missing() -> Result<Vec<Tool>, Trouble> {
        Err(Trouble::new(InconclusiveReason::NoNetcat, "has none".into()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_holds_up_nobody_but_its_own_container() {
        let (cache, evil, good) = (ToolCache::default(), side("evil"), side("good"));
        let (looked, start) = (Arc::new(AtomicUsize::new(0)), Instant::now());
        let ask = || {
            cache.tools_by(&evil, || {
                looked.fetch_add(1, Ordering::Relaxed);
                pending()
            })
        };
        let (first, second, other) = tokio::join!(ask(), ask(), async {
            (cache.tools_by(&good, || ready(busybox())).await, start.elapsed())
        });
        assert!(other.0.is_ok() && other.1.is_zero(), "{other:?}");
        for trouble in [first.unwrap_err(), second.unwrap_err()] {
            assert!(trouble.reason.is_of_the_way() && trouble.message.starts_with("evil: "), "{trouble:?}");
        }
        assert_eq!(start.elapsed(), PATIENCE);
        assert!(ask().await.is_err());
        assert_eq!(looked.load(Ordering::Relaxed), 1, "one look at a time");
        tokio::time::sleep(MAX_LOOK).await;
        assert!(ask().await.is_err());
        tokio::time::sleep(FAILED_FOR).await;
        assert!(ask().await.is_err());
        assert_eq!(looked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_look_is_of_use_for_the_next_handshake() {
        let (cache, slow) = (ToolCache::default(), side("slow"));
        let look = || async {
            tokio::time::sleep(PATIENCE * 2).await;
            busybox()
        };
        assert!(cache.tools_by(&slow, look).await.is_err());
        tokio::time::sleep(PATIENCE * 2).await;
        assert!(cache.tools_by(&slow, pending).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_container_says_counts_for_it_alone_and_for_a_while() {
        let (cache, evil, good) = (ToolCache::default(), side("evil"), side("good"));
        assert!(cache.tools_by(&evil, || ready(missing())).await.is_err());
        assert!(cache.tools_by(&good, || ready(busybox())).await.is_ok());
        assert!(cache.tools_by(&evil, || ready(busybox())).await.is_err(), "it is believed");
        tokio::time::advance(MISSING_FOR).await;
        assert!(cache.tools_by(&evil, || ready(busybox())).await.is_ok());
        assert!(cache.tools_by(&good, || ready(missing())).await.is_ok());
        cache.forget(&good.id);
        assert!(cache.tools_by(&good, || ready(missing())).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_container_not_asked_for_longest_makes_room() {
        let cache = ToolCache::default();
        let of = |n: usize| side(&n.to_string());
        let known = |n: usize| cache.lock().contains_key(&of(n).id);
        for n in 0..=MAX_CONTAINERS {
            drop(cache.look(&of(n), || ready(busybox())));
            drop(cache.look(&of(0), || ready(busybox())));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(cache.lock().len(), MAX_CONTAINERS);
        assert!(known(0) && !known(1) && known(2) && known(MAX_CONTAINERS));
    }
}
