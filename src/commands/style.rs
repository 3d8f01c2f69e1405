//! Colours and times, for people.

use std::io::IsTerminal;
use std::time::{Duration, SystemTime};

/// Whether standard output takes colours: only a terminal does, and only if nobody minds
/// (no-color.org).
pub fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A link's state in its colour.
pub fn paint_state(state: &str, text: &str, colours: bool) -> String {
    let colour = match state {
        "Ready" => "32",
        "Invalid" | "Denied" | "Unreachable" | "NoListener" => "31",
        _ => "33",
    };
    if colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
}

/// `12s ago`, with one unit, or two where the first is small.
pub fn ago(time: Option<SystemTime>) -> String {
    let Some(time) = time else { return "never".to_owned() };
    let seconds = SystemTime::now().duration_since(time).unwrap_or_default().as_secs();
    match seconds {
        0..60 => format!("{seconds}s ago"),
        60..3600 => format!("{}m{}s ago", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{}m ago", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{}h ago", seconds / 86400, seconds % 86400 / 3600),
    }
}

/// A round trip with three digits: `0.41ms`, `62.3ms`, `1.20s`.
pub fn rtt(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds else { return "-".to_owned() };
    let milliseconds = Duration::from_secs_f64(seconds.max(0.0)).as_secs_f64() * 1000.0;
    match milliseconds {
        ms if ms < 10.0 => format!("{ms:.2}ms"),
        ms if ms < 1000.0 => format!("{ms:.1}ms"),
        ms => format!("{:.2}s", ms / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        assert_eq!(ago(None), "never");
        assert_eq!(ago(Some(SystemTime::now() - Duration::from_secs(125))), "2m5s ago");
        assert_eq!(rtt(Some(0.000_41)), "0.41ms");
        assert_eq!(rtt(Some(0.0623)), "62.3ms");
        assert_eq!(rtt(Some(1.2)), "1.20s");
    }
}
