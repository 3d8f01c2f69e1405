//! What can be told without a word between the containers: who they are, whether they may, and what they share.

use super::{Outcome, Step, advice};
use crate::cli::CheckArgs;
use crate::model::assess::{left_out, not_found};
use crate::model::carrier;
use crate::model::container::{Container, Network, RunState};
use crate::model::declaration::DeclaredLink;
use crate::model::inquiry::{self, Inquiry};
use crate::model::labels::some_of;
use crate::model::link::Endpoint;
use crate::model::workload::Workload;
use crate::model::world::World;
use crate::prober::Request;

/// The network that everybody is on who is put on no other.
const DEFAULT_BRIDGE: &str = "bridge";

/// Takes the steps as far as they go. Where all went well there is a handshake to be made.
pub fn steps(world: &World, args: &CheckArgs, steps: &mut Vec<Step>) -> Option<Request> {
    let (inquiry, consumer, provider) = match containers(world, args) {
        Ok(found) => found,
        Err(failed) => {
            steps.extend(failed);
            return None;
        }
    };
    let shown = |container: &Container| format!("{} ({})", container.name, state(container.state));
    let both = format!("{} -> {}", shown(consumer), shown(provider));
    let dead = [consumer, provider].into_iter().find(|container| !container.is_running());
    steps.push(match dead {
        None => Step::new("containers", Outcome::Good, both),
        Some(container) => Step::bad("containers", both, advice::to_run(container)),
    });
    steps.push(consent(world, &inquiry.link, args));
    let (step, request) = carried(world, args, &inquiry, consumer, provider);
    steps.push(step);
    request.filter(|_| dead.is_none())
}

fn state(state: RunState) -> &'static str {
    match state {
        RunState::Created => "never started",
        RunState::Running => "running",
        RunState::Paused => "paused",
        RunState::Restarting => "restarting",
        RunState::Exited => "exited",
        RunState::Removing | RunState::Dead => "being removed",
    }
}

type Found<'w> = (Inquiry, &'w Container, &'w Container);

fn containers<'w>(world: &'w World, args: &CheckArgs) -> Result<Found<'w>, Vec<Step>> {
    let bad = |words: String, advice: String| Err(vec![Step::bad("containers", words, advice)]);
    let CheckArgs { consumer: name, target, .. } = args;
    let Some(consumer) = inquiry::workload(world, name) else {
        return bad(format!("there is no container and no service called {name}"), known(world));
    };
    if inquiry::replicas(world, &consumer).any(|participant| participant.declared.ignore) {
        return bad(format!("{name} is labelled to be ignored"), advice::not_ignored(world));
    }
    let Some(inquiry) = inquiry::inquire(world, &consumer, target) else {
        return bad(format!("{consumer} is both ends"), "name two different ones".to_owned());
    };
    let Some((from, to)) = inquiry::ends(world, &inquiry.link) else {
        let resolution = &inquiry.link.resolution;
        let parties =
            || Step::new("containers", Outcome::Good, format!("{consumer} -> {}", inquiry.link.provider));
        if let Some(limited) = left_out(resolution, &world.policy().label_prefix) {
            return Err(vec![parties(), Step::bad("network", limited.words, limited.advice)]);
        }
        return match (resolution.found, resolution.ignored) {
            (0, 0) => bad(not_found(&target.selector, resolution), known(world)),
            (0, _) => {
                bad(format!("{} is labelled to be ignored", target.selector), advice::not_ignored(world))
            }
            _ => {
                let words = format!("{} does not accept {consumer}", inquiry.link.provider);
                Err(vec![parties(), Step::bad("consent", words, advice::to_accept(world, &consumer))])
            }
        };
    };
    match (world.container(&from), world.container(&to)) {
        (Some(from), Some(to)) => Ok((inquiry, from, to)),
        _ => bad("it went just now".to_owned(), "try again".to_owned()),
    }
}

fn known(world: &World) -> String {
    let mut names: Vec<String> =
        world.participants().map(|participant| participant.workload.to_string()).collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        "the engine has no containers".to_owned()
    } else {
        format!("there are: {}", some_of(&names))
    }
}

fn consent(world: &World, link: &DeclaredLink, args: &CheckArgs) -> Step {
    let resolution = &link.resolution;
    match resolution.denied {
        0 if world.policy().default_deny => {
            Step::new("consent", Outcome::Good, "the provider's label accept names it")
        }
        0 => Step::new("consent", Outcome::Good, format!("{} accepts {}", link.provider, args.consumer)),
        denied => {
            let words = format!("{denied} of {} providers do not accept {}", resolution.found, args.consumer);
            Step::new("consent", Outcome::Good, words)
        }
    }
}

/// What carries the bytes, and the handshake over it.
fn carried(
    world: &World,
    args: &CheckArgs,
    inquiry: &Inquiry,
    consumer: &Container,
    provider: &Container,
) -> (Step, Option<Request>) {
    let ends = (consumer.id.clone(), provider.id.clone());
    let path = inquiry.link.paths.get(&ends);
    let link = path.map_or(&inquiry.link.link, |path| &path.link);
    if let Endpoint::Unix(_) = link.target.endpoint {
        return match carrier::socket(world, link, &ends) {
            Some(Ok(path)) => {
                let words = format!("no network is needed: {} has the socket at {path}", consumer.name);
                let request = Request::through(path, consumer, provider, link, args.timeout);
                (Step::new("network", Outcome::Good, words), Some(request))
            }
            Some(Err(why)) => (Step::bad("network", why.message, advice::on_failure(why.reason)), None),
            None => (Step::new("network", Outcome::Unknown, "it went just now"), None),
        };
    }
    let edge = path.and_then(|path| path.edge.as_ref());
    let own = edge.and_then(|edge| carrier::network(world, edge, &ends));
    // On the engine's own bridge names are not known.
    let common = || {
        let mut networks = world.networks().filter(|network| network.name != DEFAULT_BRIDGE);
        networks.find(|network| both_on(network, consumer, provider))
    };
    match (own, &inquiry.declared) {
        (Some(network), _) => over(world, network, args, inquiry, [consumer, provider], "a link network"),
        (None, Some(key)) => {
            let words = format!("{key} is declared, and not wired");
            (Step::bad("network", words, advice::to_wire(consumer, provider)), None)
        }
        (None, None) => match common() {
            Some(network) => over(
                world,
                network,
                args,
                inquiry,
                [consumer, provider],
                "no label links them, but both are on it",
            ),
            None => {
                let label = format!("{}link: \"{}\"", world.policy().label_prefix, link.target);
                let words =
                    "no label links them, and they share no network on which they know each other's names";
                (Step::bad("network", words, advice::to_label(&Workload::of(consumer), &label)), None)
            }
        },
    }
}

fn both_on(network: &Network, consumer: &Container, provider: &Container) -> bool {
    [consumer, provider]
        .into_iter()
        .all(|container| container.attachment(network).is_some_and(|attachment| attachment.address.is_some()))
}

fn over(
    world: &World,
    network: &Network,
    args: &CheckArgs,
    inquiry: &Inquiry,
    [consumer, provider]: [&Container; 2],
    what: &str,
) -> (Step, Option<Request>) {
    let address = |container: &Container| {
        let address = container.attachment(network).and_then(|attachment| attachment.address);
        format!(
            "{} {}",
            container.name,
            address.map_or("without an address".to_owned(), |address| address.to_string())
        )
    };
    let words = format!("{} ({what}): {}, {}", network.name, address(consumer), address(provider));
    match Request::over(world, network, consumer, provider, &inquiry.link, args.timeout) {
        Some(request) => (Step::new("network", Outcome::Good, words), Some(request)),
        None => (Step::bad("network", words, advice::to_run(provider)), None),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::model::declaration::MAX_EDGES_OF_PROVIDER;
    use crate::model::lab::Lab;

    /// The steps of a check that ends before any handshake, as they are shown.
    fn failed(lab: &Lab, consumer: &str, target: &str) -> String {
        let line = ["tieline", "check", consumer, target];
        let Command::Check(args) = Cli::try_parse_from(line).unwrap().command else { panic!() };
        let mut found = Vec::new();
        assert!(steps(&lab.world, &args, &mut found).is_none());
        format!("{found:?}")
    }

    #[test]
    fn a_consumer_beyond_the_provider_s_limit_is_not_told_that_it_is_not_accepted() {
        let mut lab = Lab::default();
        lab.run("db", &[]);
        for n in 0..=MAX_EDGES_OF_PROVIDER {
            lab.run(&format!("web{n}"), &[("tieline.link", "db:80")]);
        }
        let text = failed(&lab, &format!("web{MAX_EDGES_OF_PROVIDER}"), "db:80");
        assert!(text.contains("topology=shared") && !text.contains("does not accept"), "{text}");
    }

    #[test]
    fn a_container_that_is_not_taken_for_a_service_is_named() {
        let mut lab = Lab::default();
        let db = lab.run_service("shop/db", 1, &[]);
        lab.run_service("shop/web", 1, &[("tieline.link", "db:80")]);
        lab.remove(&db);
        lab.run("db", &[]);
        let text = failed(&lab, "shop/web", "db:80");
        assert!(text.contains("is not taken in its place"), "{text}");
    }
}
