//! `tieline describe`: everything about one link.

use std::fmt::Write;

use super::client::Client;
use super::{Error, Exit, output, status, style};
use crate::cli::{DescribeArgs, Output};
use crate::model::labels::some_of;
use crate::snapshot::{LinkStatus, PathStatus};

pub(super) async fn run(args: DescribeArgs) -> Result<Exit, Error> {
    let client = Client::new(&args.server.server);
    let (link, body) = find(&client, &args.link).await?;
    match args.output {
        Output::Json => output::println(&body)?,
        Output::Text => output::print(&render(&link))?,
    }
    Ok(if status::is_fine(&link) { Exit::Yes } else { Exit::No })
}

async fn find(client: &Client, (consumer, name): &(String, String)) -> Result<(LinkStatus, String), Error> {
    if let Some(found) = client.link(consumer, name).await? {
        return Ok(found);
    }
    // A link that is named after a key which nobody knows may have a slash itself.
    let (text, links) = (format!("{consumer}/{name}"), client.links().await?.links);
    let full = |link: &LinkStatus| format!("{}/{}", link.consumer, link.name);
    if let Some(link) = links.iter().find(|link| full(link) == text)
        && let Some(found) = client.link(&link.consumer, &link.name).await?
    {
        return Ok(found);
    }
    let known: Vec<String> = links.iter().map(full).collect();
    let known = if known.is_empty() { "none is declared".to_owned() } else { some_of(&known) };
    Err(Error::Other(format!("there is no link {text}; the links are: {known}")))
}

fn render(link: &LinkStatus) -> String {
    let mut text = String::new();
    let colours = style::colours();
    let mut fact = |name: &str, value: &str| {
        let value = if value.is_empty() { "-" } else { value };
        let _ = writeln!(text, "{:<12} {value}", format!("{name}:"));
    };
    fact("Link", &format!("{}/{}", link.consumer, link.name));
    fact("Provider", &link.provider);
    fact("Target", &link.target);
    fact("Handshake", &link.handshake);
    fact("State", &style::paint_state(&link.state, &link.state, colours));
    fact("Message", &link.message);
    link.warnings.iter().for_each(|warning| fact("Warning", warning));
    fact("Handshakes", &format!("{} conclusive, {} failed", link.handshakes, link.handshake_failures));
    conditions(&mut text, link);
    networks(&mut text, link);
    paths(&mut text, link);
    history(&mut text, link);
    text
}

fn conditions(text: &mut String, link: &LinkStatus) {
    let _ = writeln!(text, "\nConditions:");
    for condition in &link.conditions {
        let since = humantime::format_rfc3339_seconds(condition.last_transition_time);
        let line = format!(
            "  {:<10} {:<8} {:<22} since {since}  {}",
            condition.kind, condition.status, condition.reason, condition.message
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

fn networks(text: &mut String, link: &LinkStatus) {
    let _ = writeln!(text, "\nNetworks:");
    for network in &link.networks {
        let _ = writeln!(text, "  {}  {}", network.name, network.subnet);
    }
    if link.networks.is_empty() {
        let _ = writeln!(text, "  none");
    }
}

fn paths(text: &mut String, link: &LinkStatus) {
    let _ = writeln!(text, "\nPaths:");
    for path in &link.paths {
        let _ = writeln!(text, "  {} -> {}", end(path, true), end(path, false));
        let _ = writeln!(
            text,
            "    {}, last proof {}, last handshake {}, round trip {}",
            path.verdict,
            style::ago(path.last_success),
            style::ago(path.last_attempt),
            style::rtt(path.rtt_seconds)
        );
        if !path.message.is_empty() {
            let _ = writeln!(text, "    {}", path.message);
        }
    }
    if link.paths.is_empty() {
        let _ = writeln!(text, "  none: no two containers of it run");
    }
}

fn end(path: &PathStatus, consumer: bool) -> String {
    let (name, address) = if consumer {
        (&path.consumer_container, &path.consumer_address)
    } else {
        (&path.provider_container, &path.provider_address)
    };
    match address {
        Some(address) => format!("{name} ({address})"),
        None => name.clone(),
    }
}

fn history(text: &mut String, link: &LinkStatus) {
    let _ = writeln!(text, "\nHistory:");
    for transition in link.history.iter() {
        let time = humantime::format_rfc3339_seconds(transition.time);
        let from = if transition.from.is_empty() { "new" } else { &transition.from };
        let line =
            format!("  {time}  {from} -> {} ({})  {}", transition.to, transition.reason, transition.message);
        let _ = writeln!(text, "{}", line.trim_end());
    }
}
