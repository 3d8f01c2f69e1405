//! A gauge of how long something has been going on.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{PullingGauge, Registry};
use tokio::time::Instant;

use super::opts;

/// Since when something waits. The gauge is worked out at each scrape: one that is set would stand still
/// just when nothing moves.
#[derive(Clone, Default)]
pub struct Since(Arc<Mutex<Option<Instant>>>);

impl Since {
    pub(super) fn register(r: &Registry, name: &str, help: &str) -> Result<Self, prometheus::Error> {
        let since = Self::default();
        let opts = opts(name, help);
        let read = since.clone();
        r.register(Box::new(PullingGauge::new(
            opts.fq_name(),
            opts.help,
            Box::new(move || read.seconds()),
        )?))?;
        Ok(since)
    }

    /// Says since when it waits, or from when on it will; `None`: nothing does.
    pub fn set(&self, at: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// For how long it has been waiting, seconds.
    pub fn seconds(&self) -> f64 {
        let at = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        at.map_or(0.0, |at| at.elapsed().as_secs_f64())
    }
}
