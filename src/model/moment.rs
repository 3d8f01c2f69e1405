//! Points in time, from the engine's texts.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A point in time, in nanoseconds since 1970 (UTC). Of text that is no time, the beginning of 1970.
///
/// Times are never compared as texts: the engine writes those of networks in its local offset, which
/// changes twice a year, and leaves out zeros at the end of the fraction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i128);

impl Moment {
    /// Reads RFC 3339, in which the engine writes times.
    pub fn read(text: &str) -> Self {
        Self(OffsetDateTime::parse(text, &Rfc3339).map_or(0, OffsetDateTime::unix_timestamp_nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NANOS: i128 = 1_000_000_000;

    #[test]
    fn offsets_and_fractions_are_read() {
        for (text, nanos) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.000000001Z", 1),
            ("1970-01-01T01:00:00.5+01:00", 500_000_000),
            ("1969-12-31T19:00:01-05:00", NANOS),
            ("2000-02-29T12:00:00Z", 951_825_600 * NANOS),
            ("2026-11-29T05:42:12.123456789Z", 1_795_930_932 * NANOS + 123_456_789),
        ] {
            assert_eq!(Moment::read(text), Moment(nanos), "{text}");
        }
    }

    #[test]
    fn the_end_of_summer_time_puts_nothing_before_what_was_there_earlier() {
        let (summer, winter) = ("2026-10-25T02:50:00.1+02:00", "2026-10-25T02:10:00.09+01:00");
        assert!(summer > winter, "as texts the younger one comes first");
        assert!(Moment::read(summer) < Moment::read(winter));
        assert!(Moment::read("2026-01-01T00:00:00.12Z") < Moment::read("2026-01-01T00:00:00.1234Z"));
        assert!(Moment::read("2026-01-01T00:00:00Z") < Moment::read("2026-01-01T00:00:00.1Z"));
    }

    #[test]
    fn what_is_no_time_is_the_beginning() {
        for text in [
            "",
            "soon",
            "2026-11-29",
            "2026-11-29T05:42Z",
            "2026-11-29T05:42:12",
            "-T::Z",
            "99999999999-1-1T1:1:1Z",
        ] {
            assert_eq!(Moment::read(text), Moment::default(), "{text}");
        }
    }
}
