//! The links, and their transitions, as JSON.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::answer::Content;
use crate::snapshot::{LinkStatus, Snapshot, by_turns};

/// Bytes of the list of links. Links beyond them are left out; consumers take turns.
const MAX_LIST_BYTES: usize = 32 << 20;
/// Transitions of a link in the list of links, the newest ones. The link by itself has all.
const MAX_LISTED_TRANSITIONS: usize = 10;

/// Every link that has room.
pub(super) fn links(snapshot: &Snapshot) -> Result<Content, String> {
    let mut rows = BTreeMap::new();
    let mut bytes = 0;
    for index in by_turns(&snapshot.links) {
        let row = json(&*brief(&snapshot.links[index]))?;
        bytes += row.len() + 1;
        if bytes > MAX_LIST_BYTES {
            break;
        }
        rows.insert(index, row);
    }
    let left_out = snapshot.links.len() - rows.len();
    Ok(Content { body: array(rows.into_values(), bytes), left_out })
}

/// Transitions of all links.
pub(super) fn events(snapshot: &Snapshot) -> Result<Content, String> {
    Ok(Content { body: json(&snapshot.events)?, left_out: 0 })
}

fn brief(link: &LinkStatus) -> Cow<'_, LinkStatus> {
    let surplus = link.history.len().saturating_sub(MAX_LISTED_TRANSITIONS);
    if surplus == 0 {
        return Cow::Borrowed(link);
    }
    let history: VecDeque<_> = link.history.iter().skip(surplus).cloned().collect();
    Cow::Owned(LinkStatus { history: Arc::new(history), ..link.clone() })
}

fn json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, String> {
    serde_json::to_vec(value).map_err(|error| error.to_string())
}

fn array(rows: impl Iterator<Item = Vec<u8>>, bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes + 2);
    for row in rows {
        out.push(if out.is_empty() { b'[' } else { b',' });
        out.extend(row);
    }
    if out.is_empty() {
        out.push(b'[');
    }
    out.push(b']');
    out
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::snapshot::Transition;

    fn link(consumer: &str, name: usize, message: usize) -> LinkStatus {
        LinkStatus {
            consumer: consumer.to_owned(),
            name: format!("n{name:03}"),
            provider: String::new(),
            target: String::new(),
            protocol: String::new(),
            port: None,
            handshake: String::new(),
            state: String::new(),
            conditions: Vec::new(),
            networks: Vec::new(),
            paths: Vec::new(),
            message: "x".repeat(message),
            warnings: Vec::new(),
            since: SystemTime::UNIX_EPOCH,
            last_handshake: None,
            last_handshake_seconds: None,
            handshakes: 0,
            handshake_failures: 0,
            history: Arc::default(),
        }
    }

    fn read(content: &Content) -> Vec<LinkStatus> {
        serde_json::from_slice(&content.body).unwrap()
    }

    #[test]
    fn links_beyond_the_list_s_size_are_left_out_by_turns_and_counted() {
        let large = (0..100).map(|n| link("large", n, MAX_LIST_BYTES / 50));
        let small = (0..10).map(|n| link("small", n, 10));
        let snapshot = Snapshot { links: large.chain(small).collect(), ..Snapshot::default() };
        let content = links(&snapshot).unwrap();
        assert!(content.body.len() <= MAX_LIST_BYTES + 2);
        let rows = read(&content);
        assert_eq!(rows.iter().filter(|row| row.consumer == "small").count(), 10);
        assert_eq!(rows.len() + content.left_out, 110);
        assert!(
            content.left_out > 50 && rows.is_sorted_by_key(|row| (row.consumer.clone(), row.name.clone()))
        );
    }

    #[test]
    fn a_list_of_none_or_few_links_is_whole() {
        let content = links(&Snapshot::default()).unwrap();
        assert_eq!((&*content.body, content.left_out), (&b"[]"[..], 0));
        let snapshot = Snapshot { links: vec![link("a", 1, 0), link("b", 2, 0)], ..Snapshot::default() };
        let content = links(&snapshot).unwrap();
        assert_eq!(content.body, serde_json::to_vec(&snapshot.links).unwrap());
        assert_eq!(content.left_out, 0);
    }

    #[test]
    fn the_list_has_the_newest_transitions_of_a_link() {
        let transition = |n: usize| {
            Arc::new(Transition {
                time: SystemTime::UNIX_EPOCH,
                consumer: "a".into(),
                name: "n".into(),
                from: String::new(),
                to: String::new(),
                reason: String::new(),
                message: n.to_string(),
            })
        };
        let history = Arc::new((0..50).map(transition).collect());
        let snapshot =
            Snapshot { links: vec![LinkStatus { history, ..link("a", 1, 0) }], ..Snapshot::default() };
        let rows = read(&links(&snapshot).unwrap());
        let messages: Vec<&str> = rows[0].history.iter().map(|transition| &*transition.message).collect();
        assert_eq!(messages, ["40", "41", "42", "43", "44", "45", "46", "47", "48", "49"]);
    }
}
