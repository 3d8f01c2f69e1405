//! How much of the labels of one container is kept.

use super::super::container::Labels;
use super::MAX_LABEL_BYTES;
use super::error::{Fault, LabelError, Problem};

/// Bytes of all labels of one container that are read, each label counted with `LABEL_COST` more.
pub const MAX_CONTAINER_LABEL_BYTES: usize = 512 << 10;
/// Cost of a label besides its text, in bytes.
const LABEL_COST: usize = 64;

/// The part of the labels that is kept. Keys and values beyond [`MAX_LABEL_BYTES`] are cut to a piece that
/// is still too long, and the labels, sorted by key, end with the one that exceeds
/// [`MAX_CONTAINER_LABEL_BYTES`]. [`super::read`] therefore finds the same mistakes as in the whole.
pub fn bounded(labels: impl IntoIterator<Item = (String, String)>) -> Labels {
    let mut kept: Labels = labels.into_iter().map(|(key, value)| (piece(key), piece(value))).collect();
    let mut total = 0;
    let end = kept.iter().find(|label| adds_beyond(&mut total, label)).map(|(key, _)| key.clone());
    if let Some(end) = end {
        let dropped = kept.split_off(&end);
        kept.extend(dropped.into_iter().next());
    }
    kept
}

/// Whether the labels of one container are too many, or together too long, to be read.
pub(super) fn exceeded(labels: &Labels) -> bool {
    let mut total = 0;
    labels.iter().any(|label| adds_beyond(&mut total, &label))
}

/// The error of a container with such labels.
pub(super) fn too_many() -> LabelError {
    let fix = format!(
        "all labels of a container together have at most {MAX_CONTAINER_LABEL_BYTES} bytes, each counted with \
         {LABEL_COST} more; until there are fewer, this container has no links and accepts nobody"
    );
    Fault::new(Problem::TooManyLabels, fix).of("*", "*", "")
}

fn adds_beyond(total: &mut usize, (key, value): &(&String, &String)) -> bool {
    let kept = |text: &str| text.len().min(MAX_LABEL_BYTES + 1);
    *total += kept(key) + kept(value) + LABEL_COST;
    *total > MAX_CONTAINER_LABEL_BYTES
}

/// The text, or the shortest piece of it that exceeds the limit.
fn piece(mut text: String) -> String {
    if let Some(end) = (MAX_LABEL_BYTES + 1..text.len()).find(|end| text.is_char_boundary(*end)) {
        text.truncate(end);
        text.shrink_to_fit();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{DEFAULT_PREFIX, read};
    use super::*;

    fn read_both(labels: Labels) -> Labels {
        let kept = bounded(labels.clone());
        assert_eq!(read(DEFAULT_PREFIX, &kept), read(DEFAULT_PREFIX, &labels));
        kept
    }

    fn labels(labels: impl IntoIterator<Item = (String, String)>) -> Labels {
        labels.into_iter().collect()
    }

    #[test]
    fn a_long_label_is_cut_and_is_still_too_long() {
        for long in ["x".repeat(30 << 20), "\u{1f980}".repeat(1 << 20), "x".repeat(MAX_LABEL_BYTES + 1)] {
            let pairs = [("tieline.link.a", &long), ("tieline.accept", &long), ("other", &long)];
            let kept = read_both(labels(pairs.map(|(key, value)| (key.to_owned(), value.clone()))));
            assert!(kept.values().all(|value| value.len() > MAX_LABEL_BYTES));
            assert!(kept.values().all(|value| value.capacity() <= MAX_LABEL_BYTES + 4));
            let kept = read_both(labels([(format!("tieline.{long}"), "x".to_owned())]));
            assert!(
                kept.keys().all(|key| key.len() > MAX_LABEL_BYTES && key.capacity() <= MAX_LABEL_BYTES + 4)
            );
        }
        let longest = labels([("tieline.link.a".to_owned(), "x".repeat(MAX_LABEL_BYTES))]);
        assert_eq!(bounded(longest.clone()), longest, "a label within the limit is kept as it is");
    }

    #[test]
    fn a_container_with_too_many_labels_declares_nothing_and_accepts_nobody() {
        let many = (0..100_000).map(|n| (format!("a{n}"), "x".to_owned()));
        let ours = [("tieline.accept".to_owned(), "none".to_owned())];
        let kept = read_both(labels(many.chain(ours)));
        let bytes: usize = kept.iter().map(|(key, value)| key.len() + value.len() + LABEL_COST).sum();
        assert!(bytes <= MAX_CONTAINER_LABEL_BYTES + 2 * MAX_LABEL_BYTES, "{bytes} bytes are kept");
        assert!(!kept.contains_key("tieline.accept"));
        let declared = read(DEFAULT_PREFIX, &kept);
        assert_eq!(declared.accept, Some(Vec::new()));
        assert_eq!(declared.errors, [too_many()]);
    }
}
