//! The work queue: what is to be done and from when on.
//!
//! One entry a key, at the earliest time that was asked for; a key that is being worked on is not
//! given out a second time, but keeps its place until it is done; failures back off, each key by itself.
//! (The rules are those of Kubernetes' workqueue and kube-rs' scheduler.)

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// Delay after the first failure of a key; it doubles up to [`MAX_BACKOFF`].
pub const MIN_BACKOFF: Duration = Duration::from_millis(200);
/// The longest delay after a failure: how late one may notice that what was in the way is gone.
pub const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// Keys with the time from which each is due.
#[derive(Debug)]
pub struct Queue<K> {
    due: BTreeSet<(Instant, K)>,
    times: HashMap<K, Instant>,
    running: HashMap<K, Instant>,
    failures: HashMap<K, u32>,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self {
            due: BTreeSet::new(),
            times: HashMap::new(),
            running: HashMap::new(),
            failures: HashMap::new(),
        }
    }
}

impl<K: Clone + Eq + Hash + Ord> Queue<K> {
    /// Makes `key` due now.
    pub fn add(&mut self, key: K) {
        self.add_at(key, Instant::now());
    }

    /// Makes `key` due at `at`, or at the earlier time that it is due at already.
    pub fn add_at(&mut self, key: K, at: Instant) {
        match self.times.get(&key) {
            Some(known) if *known <= at => {}
            Some(known) => {
                self.due.remove(&(*known, key.clone()));
                self.schedule(key, at);
            }
            None => self.schedule(key, at),
        }
    }

    /// Waits for a key that is due and not being worked on, and hands it out. Waits for ever when there is none. Of
    /// the keys that are due it is the one with the least `turn`, and of several the earliest: so groups of keys
    /// take turns, however many keys one of them has. Cancel safe.
    pub async fn next_by_turn(&mut self, turn: impl Fn(&K) -> u64) -> K {
        let Some((at, first)) = self.first(|_| true) else { return std::future::pending().await };
        tokio::time::sleep_until(at).await;
        let now = Instant::now();
        let due = self.due.iter().take_while(|(at, _)| *at <= now).map(|(_, key)| key);
        let waiting = due.filter(|key| !self.running.contains_key(*key));
        let key = waiting.min_by_key(|key| turn(key)).cloned().unwrap_or(first);
        self.begin(&key);
        key
    }

    /// Every key that is due, now or later.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &K> {
        self.times.keys()
    }

    /// The first key that is not being worked on and that `may` be, and the time from which it is due.
    pub fn first(&self, mut may: impl FnMut(&K) -> bool) -> Option<(Instant, K)> {
        self.due.iter().find(|(_, key)| !self.running.contains_key(key) && may(key)).cloned()
    }

    /// Begins the work on `key`.
    pub fn begin(&mut self, key: &K) {
        self.remove_time(key);
        self.running.insert(key.clone(), Instant::now());
    }

    /// The earliest time from which a key is due, be it past or to come.
    pub fn earliest(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Forgets that `key` is due. Work on it that is under way is not ended.
    pub fn remove(&mut self, key: &K) {
        self.remove_time(key);
        self.failures.remove(key);
    }

    /// Ends the work on `key` and forgets its failures.
    pub fn done(&mut self, key: &K) {
        self.failures.remove(key);
        self.running.remove(key);
    }

    /// Ends the work on `key`, which failed or is not known to be done: it is due again after its
    /// backoff. Says that delay.
    pub fn failed(&mut self, key: &K) -> Duration {
        let failures = self.failures.entry(key.clone()).or_insert(0);
        let delay = backoff(*failures);
        *failures = failures.saturating_add(1);
        self.running.remove(key);
        self.add_at(key.clone(), Instant::now() + delay);
        delay
    }

    /// Forgets all failures: the next one of each key counts as its first.
    pub fn forgive(&mut self) {
        self.failures.clear();
    }

    /// How many keys wait.
    pub fn depth(&self) -> usize {
        let now = Instant::now();
        self.due.iter().take_while(|(at, _)| *at <= now).count()
    }

    /// Whether nothing is due, ever, and nothing is being worked on.
    pub fn is_empty(&self) -> bool {
        self.due.is_empty() && self.running.is_empty()
    }

    /// Since when the oldest running work has been running.
    pub fn oldest_running(&self) -> Option<Instant> {
        self.running.values().min().copied()
    }

    fn schedule(&mut self, key: K, at: Instant) {
        self.times.insert(key.clone(), at);
        self.due.insert((at, key));
    }

    fn remove_time(&mut self, key: &K) {
        if let Some(at) = self.times.remove(key) {
            self.due.remove(&(at, key.clone()));
        }
    }
}

fn backoff(failures: u32) -> Duration {
    MIN_BACKOFF.saturating_mul(1 << failures.min(16)).min(MAX_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl<K: Clone + Eq + Hash + Ord> Queue<K> {
        async fn next(&mut self) -> K {
            self.next_by_turn(|_| 0).await
        }
    }

    /// The next key, if one is due within a millisecond.
    async fn due(queue: &mut Queue<&'static str>) -> Option<&'static str> {
        tokio::time::timeout(Duration::from_millis(1), queue.next()).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_added_twice_is_given_out_once() {
        let mut queue = Queue::default();
        queue.add("a");
        queue.add("a");
        assert_eq!(due(&mut queue).await, Some("a"));
        queue.done(&"a");
        assert_eq!(due(&mut queue).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_time_wins() {
        let mut queue = Queue::default();
        queue.add_at("a", Instant::now() + Duration::from_secs(60));
        queue.add_at("a", Instant::now() + Duration::from_secs(1));
        queue.add_at("a", Instant::now() + Duration::from_secs(30));
        assert_eq!(due(&mut queue).await, None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(due(&mut queue).await, Some("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_running_key_is_not_given_out_again_until_it_is_done() {
        let mut queue = Queue::default();
        queue.add("a");
        assert_eq!(due(&mut queue).await, Some("a"));
        queue.add("a");
        queue.add("b");
        assert_eq!(due(&mut queue).await, Some("b"));
        assert_eq!(due(&mut queue).await, None);
        queue.done(&"a");
        assert_eq!(due(&mut queue).await, Some("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_wish_for_a_running_key_keeps_its_time() {
        let mut queue = Queue::default();
        queue.add("a");
        assert_eq!(due(&mut queue).await, Some("a"));
        queue.add_at("a", Instant::now() + Duration::from_secs(10));
        queue.done(&"a");
        assert_eq!(due(&mut queue).await, None);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(due(&mut queue).await, Some("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_not_be_done_is_passed_over_and_keeps_its_place() {
        let mut queue = Queue::default();
        let start = Instant::now();
        for key in ["a", "b", "c"] {
            queue.add(key);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(queue.first(|key| *key != "a"), Some((start + Duration::from_secs(1), "b")));
        queue.begin(&"b");
        assert_eq!(queue.first(|key| *key != "a"), Some((start + Duration::from_secs(2), "c")));
        assert_eq!(queue.first(|_| true), Some((start, "a")));
        assert_eq!(queue.earliest(), Some(start));
        queue.remove(&"a");
        assert_eq!(queue.earliest(), Some(start + Duration::from_secs(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_back_off_and_success_forgets_them() {
        let mut queue = Queue::default();
        let mut delays = Vec::new();
        queue.add("a");
        for _ in 0..10 {
            queue.next().await;
            delays.push(queue.failed(&"a"));
        }
        assert_eq!(delays[..3], [MIN_BACKOFF, MIN_BACKOFF * 2, MIN_BACKOFF * 4]);
        assert_eq!(delays.last(), Some(&MAX_BACKOFF));
        queue.next().await;
        queue.done(&"a");
        queue.add("a");
        queue.next().await;
        assert_eq!(queue.failed(&"a"), MIN_BACKOFF);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_that_are_forgiven_count_no_more() {
        let mut queue = Queue::default();
        queue.add("a");
        for _ in 0..5 {
            queue.next().await;
            queue.failed(&"a");
        }
        queue.forgive();
        queue.next().await;
        assert_eq!(queue.failed(&"a"), MIN_BACKOFF);
    }

    #[tokio::test(start_paused = true)]
    async fn news_end_a_backoff_early() {
        let mut queue = Queue::default();
        queue.add("a");
        queue.next().await;
        queue.failed(&"a");
        queue.add("a");
        assert_eq!(due(&mut queue).await, Some("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn groups_take_turns_however_many_keys_one_has() {
        let mut queue = Queue::default();
        for key in ["a1", "a2", "a3", "b1", "b2", "c1"] {
            queue.add(key);
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        let mut turns: HashMap<&str, u64> = HashMap::new();
        let mut order = Vec::new();
        for n in 1..=6 {
            let key = queue.next_by_turn(|key| turns.get(&key[..1]).copied().unwrap_or_default()).await;
            turns.insert(&key[..1], n);
            order.push(key);
        }
        assert_eq!(order, ["a1", "b1", "c1", "a2", "b2", "a3"]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_key_never_delays_another() {
        let mut queue = Queue::default();
        queue.add("slow");
        queue.next().await;
        queue.add("slow");
        queue.add_at("later", Instant::now() + Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(due(&mut queue).await, Some("later"));
    }
}
