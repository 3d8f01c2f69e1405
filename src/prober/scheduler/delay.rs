//! How long it takes until a path is proven again.

use std::time::Duration;

use crate::model::handshake::{InconclusiveReason, Verdict};

/// Delay after the first handshake that was not good; it doubles up to the link's interval.
const FIRST_RETRY: Duration = Duration::from_millis(500);
/// The longest delay after a handshake that the engine was in no state to make: nobody tells when it
/// is again.
const ENGINE_RETRY: Duration = Duration::from_secs(5);
/// How far a delay varies, so that paths proven together do not stay together.
const JITTER: f64 = 0.1;

/// The delay after a handshake that was good.
pub fn after_good(interval: Duration) -> Duration {
    jittered(interval)
}

/// The delay after one that was not, and `before` it as many in a row.
pub fn after_bad(interval: Duration, before: u32, verdict: Option<Verdict>) -> Duration {
    let engine = Verdict::Inconclusive(InconclusiveReason::EngineUnavailable);
    let most = if verdict == Some(engine) { ENGINE_RETRY.min(interval) } else { interval };
    jittered(FIRST_RETRY.saturating_mul(2_u32.saturating_pow(before)).min(most))
}

fn jittered(delay: Duration) -> Duration {
    delay.mul_f64(1.0 - JITTER + 2.0 * JITTER * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::labels::INTERVAL_RANGE;

    #[test]
    fn it_doubles_up_to_the_interval_however_long_that_is() {
        let within = |delay: Duration, of: f64| (0.9..=1.1).contains(&(delay.as_secs_f64() / of));
        for interval in [*INTERVAL_RANGE.start(), Duration::from_secs(60), *INTERVAL_RANGE.end()] {
            for before in (0..40).chain([u32::MAX]) {
                let delay = after_bad(interval, before, None);
                let of = (0.5 * 2_f64.powf(before.into())).min(interval.as_secs_f64());
                assert!(within(delay, of), "{delay:?} after {before}, of {interval:?}");
            }
            assert!(within(after_good(interval), interval.as_secs_f64()));
            assert!(after_bad(interval, 0, None) < Duration::from_secs(1));
        }
    }
}
