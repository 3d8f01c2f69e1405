//! The page: the table of links, for a browser.

use maud::{DOCTYPE, Markup, html};

use super::answer::Content;
use crate::model::labels::short_name;
use crate::snapshot::{LinkStatus, Readiness, Snapshot, at_most};

/// Links that the page shows. Consumers take turns; the page says how many are left out.
const MAX_ROWS: usize = 500;

/// How it looks. Not in the page itself: the page may then forbid every style and script within.
pub(super) const STYLE: &str = "
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #222; }
table { border-collapse: collapse; }
th, td { text-align: left; padding: .3rem 1rem .3rem 0; border-bottom: 1px solid #ddd; vertical-align: top; }
.Ready { color: #137333; }
.Invalid, .Denied, .Unreachable, .NoListener { color: #b3261e; }
";

pub(super) fn render(snapshot: &Snapshot) -> Result<Content, String> {
    let (links, left_out) = at_most(&snapshot.links, MAX_ROWS);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                meta http-equiv="refresh" content="5";
                title { "tieline" }
                link rel="stylesheet" href="/style.css";
            }
            body {
                h1 { "tieline" }
                @if let Readiness::NotReady(why) = &snapshot.ready {
                    p.Unreachable { (why) }
                }
                @if links.is_empty() {
                    p { "No container declares a link." }
                } @else {
                    (table(&links))
                }
                @if left_out > 0 {
                    p { "Links that are not on this page: " (left_out) }
                }
                p {
                    a href="/metrics" { "metrics" } " · "
                    a href="/api/v1/links" { "links" } " · "
                    a href="/api/v1/events" { "events" }
                }
            }
        }
    };
    Ok(Content { body: page.into_string().into_bytes(), left_out })
}

fn table(links: &[&LinkStatus]) -> Markup {
    html! {
        table {
            tr { th { "Consumer" } th { "Link" } th { "Provider" } th { "State" } th { "Paths" } th { "Message" } }
            @for link in links {
                tr {
                    td { (short_name(&link.consumer)) }
                    td { (short_name(&link.name)) }
                    td { (short_name(&link.provider)) }
                    td class=(link.state) { (link.state) }
                    td { (link.proven()) "/" (link.paths.len()) }
                    td {
                        (link.message)
                        @for warning in &link.warnings {
                            div { "Warning: " (warning) }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::SystemTime;

    const HOSTILE: &str = "\"><script>alert('x')</script><img src=x onerror=y>&";

    #[test]
    fn nothing_that_a_label_says_becomes_markup() {
        let hostile = HOSTILE.to_owned();
        let link = LinkStatus {
            consumer: hostile.clone(),
            name: hostile.clone(),
            provider: hostile.clone(),
            target: String::new(),
            protocol: String::new(),
            port: None,
            handshake: String::new(),
            state: hostile.clone(),
            conditions: Vec::new(),
            networks: Vec::new(),
            paths: Vec::new(),
            message: hostile.clone(),
            warnings: vec![hostile.clone()],
            since: SystemTime::UNIX_EPOCH,
            last_handshake: None,
            last_handshake_seconds: None,
            handshakes: 0,
            handshake_failures: 0,
            history: Arc::default(),
        };
        let ready = Readiness::NotReady(hostile);
        let content = render(&Snapshot { ready, links: vec![link], ..Snapshot::default() }).unwrap();
        let page = String::from_utf8(content.body).unwrap();
        assert!(
            !page.contains("<script") && !page.contains("<img") && !page.contains("class=\"\">"),
            "{page}"
        );
        assert_eq!(page.matches("&lt;script&gt;").count(), 8, "{page}");
    }
}
