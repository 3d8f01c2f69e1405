//! `tieline status`: the table of links, once, again and again, or until all are ready.

use std::time::{Duration, Instant};

use super::client::{Client, List};
use super::{Error, Exit, output, style, table};
use crate::cli::{Output, StatusArgs};
use crate::snapshot::LinkStatus;

/// How often the controller is asked while watching.
const WATCH: Duration = Duration::from_secs(1);
/// How often the controller is asked while waiting.
const WAIT: Duration = Duration::from_millis(200);
/// Clears a terminal and goes to its top left corner (ECMA-48).
const CLEAR: &str = "\x1b[2J\x1b[H";

pub(super) async fn run(args: StatusArgs) -> Result<Exit, Error> {
    let client = Client::new(&args.server.server);
    if args.watch {
        watch(&client, args.output).await
    } else if args.wait {
        wait(&client, args.timeout, args.output).await
    } else {
        let list = client.links().await?;
        print(&list, args.output)?;
        fail_if_not_ready(&client).await?;
        Ok(if all_fine(&list) { Exit::Yes } else { Exit::No })
    }
}

fn print(list: &List, format: Output) -> Result<(), Error> {
    if list.left_out > 0 {
        eprintln!("links that are not shown, because the controller has too many: {}", list.left_out);
    }
    match format {
        Output::Text => output::print(&table::render(&list.links, style::colours())),
        Output::Json => output::println(&list.body),
    }
}

/// Links that the controller does not list may be in any state.
fn all_fine(list: &List) -> bool {
    list.left_out == 0 && list.links.iter().all(is_fine)
}

/// What a controller shows that lost its engine, or has not found it yet, may be wrong by now.
async fn fail_if_not_ready(client: &Client) -> Result<(), Error> {
    match client.not_ready().await? {
        Some(why) => Err(Error::Engine(format!("the controller is not ready: {why}"))),
        None => Ok(()),
    }
}

async fn watch(client: &Client, format: Output) -> Result<Exit, Error> {
    let mut last = None;
    loop {
        let list = client.links().await?;
        let table = table::render(&list.links, style::colours());
        // On a terminal the ages go on; elsewhere only what changed is news.
        if style::colours() && format == Output::Text {
            output::print(&format!("{CLEAR}{table}"))?;
        } else {
            let states: Vec<_> = list
                .links
                .iter()
                .map(|l| {
                    let (message, warnings) = (l.message.clone(), l.warnings.clone());
                    (l.consumer.clone(), l.name.clone(), l.state.clone(), l.proven(), message, warnings)
                })
                .collect();
            if last.as_ref() != Some(&states) {
                print(&list, format)?;
                last = Some(states);
            }
        }
        tokio::time::sleep(WATCH).await;
    }
}

async fn wait(client: &Client, timeout: Duration, format: Output) -> Result<Exit, Error> {
    let end = Instant::now() + timeout;
    loop {
        let found = look(client).await;
        let late = Instant::now() >= end;
        match found {
            Ok(list) if all_fine(&list) => {
                print(&list, format)?;
                return Ok(Exit::Yes);
            }
            Ok(list) if late => {
                print(&list, format)?;
                complain(&list.links, timeout);
                return Ok(Exit::No);
            }
            Err(error) if late => return Err(error),
            _ => tokio::time::sleep(WAIT).await,
        }
    }
}

/// The links, once the controller knows the engine's state.
async fn look(client: &Client) -> Result<List, Error> {
    match client.not_ready().await? {
        Some(why) => Err(Error::Controller(format!("the controller is not ready: {why}"))),
        None => client.links().await,
    }
}

fn complain(links: &[LinkStatus], timeout: Duration) {
    let timeout = humantime::format_duration(timeout);
    for link in links.iter().filter(|link| !is_fine(link)) {
        eprintln!(
            "{}/{} is not Ready after {timeout} but {}: {}",
            link.consumer, link.name, link.state, link.message
        );
    }
}

/// A link that is declared never to be proven is fine when it is wired.
pub(super) fn is_fine(link: &LinkStatus) -> bool {
    let reason = |kind| link.condition(kind).map(|condition| condition.reason.as_str());
    link.state == "Ready" || (link.state == "Unknown" && reason("Reachable") == Some("HandshakeNone"))
}
