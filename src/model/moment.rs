//! Points in time, from the engine's texts.

use std::str::FromStr;

/// A point in time, in nanoseconds since 1970 (UTC). Of text that is no time, the beginning of 1970.
///
/// Times are never compared as texts: the engine writes those of networks in its local offset, which
/// changes twice a year, and leaves out zeros at the end of the fraction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i128);

const NANOS: i128 = 1_000_000_000;

impl Moment {
    /// Reads RFC 3339, in which the engine writes times.
    pub fn read(text: &str) -> Self {
        Self(nanos(text).unwrap_or_default())
    }
}

/// `2026-10-25T02:30:00.123+02:00`, or `Z` for the offset.
fn nanos(text: &str) -> Option<i128> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let (time, offset) = match time.strip_suffix(['Z', 'z']) {
        Some(time) => (time, 0),
        None => {
            let at = time.rfind(['+', '-'])?;
            let (time, offset) = time.split_at(at);
            let sign = if offset.starts_with('-') { -1 } else { 1 };
            let [hours, minutes] = numbers(&offset[1..], ':')?;
            (time, sign * (hours * 60 + minutes) * 60)
        }
    };
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second - offset;
    let fraction: i128 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some(seconds * NANOS + fraction)
}

fn numbers<const N: usize>(text: &str, separator: char) -> Option<[i128; N]> {
    let number = |part: &str| i128::from(u32::from_str(part).unwrap_or(u32::MAX));
    let numbers: Vec<i128> = text.split(separator).map(number).collect();
    let numbers: [i128; N] = numbers.try_into().ok()?;
    numbers.iter().all(|number| *number < 10_000).then_some(numbers)
}

/// Days since 1970 of a date of the Gregorian calendar (Howard Hinnant, `days_from_civil`).
fn days(year: i128, month: i128, day: i128) -> i128 {
    // Years begin in March, so that the leap day is the last one.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year * 365 + year / 4 - year / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

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
