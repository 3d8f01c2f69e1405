//! What a process takes of the machine.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use crate::engine::stage::Stage;

/// How often the resident memory is read.
const EVERY: Duration = Duration::from_millis(250);

/// Reads the controller's resident memory all the time.
pub struct Gauge {
    start: Instant,
    end: Arc<AtomicBool>,
    reader: JoinHandle<Vec<(f64, f64)>>,
}

/// What there is while nothing is going on.
pub struct Rest {
    /// Seconds from the start.
    pub at: f64,
    pub descriptors: usize,
    pub threads: usize,
    /// Every series of `/metrics`, without its value.
    pub series: BTreeSet<String>,
    resident_kb: u64,
}

impl Gauge {
    pub fn start(stage: &Stage) -> Self {
        let (start, end, pid) = (Instant::now(), Arc::new(AtomicBool::new(false)), stage.controller_pid());
        let ended = Arc::clone(&end);
        let reader = spawn(move || {
            let mut samples = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                samples.push((start.elapsed().as_secs_f64(), status(pid, "VmRSS:") as f64));
                sleep(EVERY);
            }
            samples
        });
        Self { start, end, reader }
    }

    /// The samples: seconds from the start, and kilobytes.
    pub fn stop(self) -> Vec<(f64, f64)> {
        self.end.store(true, Ordering::Relaxed);
        self.reader.join().unwrap()
    }

    pub fn rest(&self, stage: &Stage) -> Rest {
        let pid = stage.controller_pid();
        let text = stage.get("/metrics").1;
        let series =
            text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        Rest {
            at: self.start.elapsed().as_secs_f64(),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
            threads: usize::try_from(status(pid, "Threads:")).unwrap(),
            series: series.map(|(series, _)| series.to_owned()).collect(),
            resident_kb: status(pid, "VmRSS:"),
        }
    }
}

/// One number of `/proc/PID/status`.
pub fn status(pid: u32, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("the controller runs");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { descriptors, threads, series, resident_kb, .. } = self;
        write!(f, "{resident_kb} kB, {descriptors} descriptors, {threads} threads, {} series", series.len())
    }
}
