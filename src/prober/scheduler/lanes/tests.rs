//! Who gets a slot beside whom.

use super::*;
use crate::model::container::ContainerId;
use crate::model::workload::Workload;

const QUICK: Duration = Duration::from_millis(60);
const HANGING: Duration = Duration::from_secs(5);

fn path(consumer: &str, provider: &str) -> PathKey {
    PathKey {
        link: LinkKey { consumer: Workload::Container(consumer.to_owned()), name: "x".to_owned() },
        consumer: ContainerId(consumer.to_owned()),
        provider: ContainerId(provider.to_owned()),
    }
}

/// The ends of a path of containers that are called as their ids are.
fn ends(path: &PathKey) -> Ends {
    let [consumer, provider] = [&path.consumer, &path.provider].map(|id| id.as_str().to_owned());
    Ends { link: path.link.clone(), consumer, provider }
}

/// How many of `paths` get a slot, one after the other.
fn admitted(lanes: &mut Lanes, paths: &[PathKey], now: Instant) -> usize {
    paths
        .iter()
        .filter(|path| {
            let admits = lanes.room(now).admits(&ends(path));
            if admits {
                lanes.enter(path, ends(path), now);
            }
            admits
        })
        .count()
}

/// Forty paths that have no container in common.
fn pairs(name: &str) -> Vec<PathKey> {
    (0..40).map(|n| path(&format!("{name}{n}"), &format!("{name}-db{n}"))).collect()
}

/// A handshake that took so long.
fn make(lanes: &mut Lanes, path: &PathKey, good: bool, took: Duration) {
    let start = Instant::now();
    lanes.enter(path, ends(path), start);
    let held = lanes.leave(path).unwrap();
    lanes.learn(&held, good, start + took);
}

/// Lanes that know of each of `paths` that its handshakes took so long.
fn knowing(slots: usize, paths: &[PathKey], good: bool, took: &[Duration]) -> Lanes {
    let mut lanes = Lanes::new(slots);
    for path in paths {
        took.iter().for_each(|took| make(&mut lanes, path, good, *took));
    }
    lanes
}

#[test]
fn what_hangs_gets_half_what_is_not_known_to_be_good_three_quarters_and_what_is_good_all() {
    let paths = pairs("web");
    let now = Instant::now();
    for (slots, hangs, open) in [(1, 1, 1), (2, 1, 1), (3, 1, 2), (4, 2, 3), (8, 4, 6), (32, 16, 24)] {
        for (good, took, most) in [
            (false, vec![HANGING, HANGING], hangs),
            (true, vec![HANGING, HANGING], hangs),
            (false, vec![HANGING], open),
            (false, vec![], open),
            (false, vec![QUICK], open),
            (true, vec![QUICK], slots),
            (true, vec![HANGING, HANGING, QUICK], slots),
        ] {
            let mut lanes = knowing(slots, &paths, good, &took);
            assert_eq!(admitted(&mut lanes, &paths, now), most, "{slots} slots, {good}, {took:?}");
            assert_eq!(lanes.room(now).is_empty(), most == slots);
        }
    }
}

#[test]
fn those_below_leave_room_for_those_above_and_those_above_take_it_from_them() {
    let (hanging, new, good) = (pairs("hanging"), pairs("new"), pairs("good"));
    let now = Instant::now();
    let mut lanes = knowing(8, &hanging, false, &[HANGING, HANGING]);
    good.iter().for_each(|path| make(&mut lanes, path, true, QUICK));
    assert_eq!(admitted(&mut lanes, &hanging, now), 4);
    assert_eq!(admitted(&mut lanes, &new, now), 2);
    assert_eq!(admitted(&mut lanes, &good, now), 2);
    lanes.leave(&hanging[0]);
    assert_eq!(admitted(&mut lanes, &good[2..], now), 1);
    assert_eq!(admitted(&mut lanes, &hanging, now), 0, "all slots are taken");
}

#[test]
fn one_that_is_slow_now_counts_as_one_that_hangs_and_its_slot_comes_back() {
    let (good, hanging) = (pairs("good"), pairs("hanging"));
    let start = Instant::now();
    let mut lanes = knowing(8, &good, true, &[QUICK]);
    hanging.iter().for_each(|path| (0..2).for_each(|_| make(&mut lanes, path, false, HANGING)));
    assert_eq!(admitted(&mut lanes, &good[..4], start), 4);
    assert!(lanes.room(start).admits(&ends(&hanging[0])));
    assert!(!lanes.room(start + SLOW).admits(&ends(&hanging[0])));
    assert!(lanes.leave(&good[0]).is_some());
    assert!(lanes.room(start + HANGING).admits(&ends(&hanging[0])));
}

/// Paths of twenty consumers to one provider.
fn all_to(provider: &str) -> Vec<PathKey> {
    (0..20).map(|n| path(&format!("web{n}"), provider)).collect()
}

#[test]
fn a_container_with_two_slow_paths_is_tried_by_few_until_it_is_quick_again() {
    let start = Instant::now();
    let (to_db, elsewhere) = (all_to("db"), all_to("cache"));
    let mut lanes = knowing(8, &to_db, true, &[QUICK]);
    elsewhere.iter().for_each(|path| make(&mut lanes, path, true, QUICK));
    assert_eq!(admitted(&mut lanes, &to_db[..2], start), 2);
    assert_eq!(admitted(&mut lanes, &to_db[2..], start + SLOW), 2, "half, and two are slow right now");
    assert_eq!(admitted(&mut lanes, &elsewhere[..2], start + SLOW), 2, "one slow path blames no consumer");
    for path in to_db[..2].iter().chain(&elsewhere[..2]) {
        let held = lanes.leave(path).unwrap();
        let took = if path.provider.as_str() == "db" { HANGING } else { QUICK };
        lanes.learn(&held, false, start + took);
    }
    let later = start + HANGING;
    assert_eq!(admitted(&mut lanes, &to_db[4..], later), 3, "one more than half, with two that are slow");
    let held = lanes.leave(&to_db[4]).unwrap();
    lanes.learn(&held, true, later + QUICK);
    assert_eq!(admitted(&mut lanes, &to_db[10..], later + QUICK), 4, "all slots");
}

#[test]
fn consumers_that_hang_bring_their_provider_under_no_lasting_suspicion() {
    let (start, to_db) = (Instant::now(), all_to("db"));
    let mut lanes = knowing(8, &to_db[..10], false, &[HANGING, HANGING]);
    to_db[10..].iter().for_each(|path| make(&mut lanes, path, true, QUICK));
    assert_eq!(admitted(&mut lanes, &to_db[..10], start), 4);
    // One is tried though four are slow, and clears the provider.
    assert_eq!(admitted(&mut lanes, &to_db[10..], start + SLOW), 1);
    let held = lanes.leave(&to_db[10]).unwrap();
    lanes.learn(&held, true, start + SLOW + QUICK);
    assert_eq!(admitted(&mut lanes, &to_db[10..], start + SLOW + QUICK), 4);
}

#[test]
fn what_was_slow_is_remembered_for_a_while_when_it_is_gone_and_nothing_else_is() {
    let start = Instant::now();
    let to_db = all_to("db");
    let all: Vec<Ends> = to_db.iter().map(ends).collect();
    let mut lanes = knowing(8, &to_db, false, &[HANGING, HANGING]);
    lanes.forget_but(&HashSet::new(), start + HANGING);
    assert_eq!(admitted(&mut lanes, &to_db, start), 4, "they hang");
    to_db.iter().for_each(|path| drop(lanes.leave(path)));
    lanes.forget_but(&all.iter().collect(), start + 2 * REMEMBERED);
    assert_eq!(lanes.pasts.len(), 20, "they are there");
    lanes.forget_but(&HashSet::new(), start + 2 * REMEMBERED);
    assert!(lanes.pasts.is_empty() && lanes.slow.is_empty());
    assert_eq!(admitted(&mut lanes, &to_db, start), 6, "new ones may be good");

    let mut quick = knowing(8, &to_db, true, &[QUICK]);
    quick.forget_but(&HashSet::new(), start + QUICK);
    assert!(quick.pasts.is_empty());
}

#[test]
fn what_was_good_has_to_be_so_again_after_a_start_and_what_hung_still_hangs() {
    let now = Instant::now();
    let (good, hanging) = (pairs("good"), pairs("hanging"));
    for (paths, mut lanes, most) in [
        (&good, knowing(8, &good, true, &[QUICK]), 6),
        (&hanging, knowing(8, &hanging, true, &[HANGING, HANGING]), 4),
    ] {
        paths.iter().for_each(|path| lanes.doubt(&ends(path)));
        assert_eq!(admitted(&mut lanes, paths, now), most);
    }
}
