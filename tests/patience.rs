//! How long to wait on a busy machine.

use std::fs;
use std::thread;
use std::time::Duration;

/// The most that patience grows by.
const MOST: f64 = 8.0;

/// How many processes may want each processor while a machine is at rest: the tests themselves are that many.
const AT_REST: f64 = 2.0;

/// A time that suffices on a machine at rest, or longer as it is busy now: by as many times as more processes than
/// at rest want each of its processors. For waiting, and for bounds on how long something may take.
pub fn patience(at_rest: Duration) -> Duration {
    let processors = thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
    at_rest.mul_f64((wanted() / processors / AT_REST).clamp(1.0, MOST))
}

/// The same for the timeout of a handshake, which is sat out where nobody answers: at most three times as much.
pub fn timeout_of(at_rest: Duration) -> Duration {
    patience(at_rest).min(at_rest * 3)
}

/// How many processes want a processor: of late, or now if that is more.
fn wanted() -> f64 {
    let told = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut fields = told.split(' ');
    let of_late = fields.next().and_then(|load| load.parse().ok()).unwrap_or_default();
    let now = fields.nth(2).and_then(|tasks| tasks.split('/').next()?.parse().ok()).unwrap_or_default();
    f64::max(of_late, now)
}
