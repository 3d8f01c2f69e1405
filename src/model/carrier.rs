//! What carries a path's bytes: a network that both ends are on, or something that both have mounted.

use super::container::{Container, ContainerId, Network, is_host_name};
use super::declaration::{DeclaredLink, Pair};
use super::handshake::FailReason;
use super::layout;
use super::link::{EdgeKey, Endpoint, Link};
use super::mounts;
use super::workload::Selector;
use super::world::World;

type Ends = (ContainerId, ContainerId);

/// The network of `edge` that carries the path already.
pub fn network<'w>(world: &'w World, edge: &EdgeKey, ends: &Ends) -> Option<&'w Network> {
    let pair: &Pair = world.declaration().edges.get(edge)?.pairs.get(ends)?;
    world.networks_of(edge).find(|network| layout::carries(network, ends, pair, world))
}

/// The name by which `consumer`, which declares `link`, looks for `provider`: that of the label's target, else the
/// link's, as long as it can only mean this container. Of several, each is looked for by its own name, since the
/// label's is that of all.
pub fn host(
    world: &World,
    declared: &DeclaredLink,
    link: &Link,
    ends: &Ends,
    provider: &Container,
) -> String {
    let of_consumer = declared.paths.keys().filter(|(consumer, _)| *consumer == ends.0);
    let others = of_consumer.map(|(_, id)| id).filter(|id| **id != provider.id);
    let is_alone = !others.filter_map(|id| world.container(id)).any(Container::is_up);
    let word = match &link.target.selector {
        Selector::Name(name) => Some(name),
        // The name of a service in another project may be that of one in this.
        Selector::Service { .. } | Selector::Labels(_) => link.alias.as_ref(),
    };
    let word = word.filter(|word| is_alone && is_host_name(word));
    word.cloned().unwrap_or_else(|| provider.host())
}

/// Why a path cannot work, which is found before anybody tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfReach {
    /// For programs.
    pub reason: FailReason,
    /// For people: also what to do.
    pub message: String,
}

/// The path at which the consumer has the provider's socket, or why it has none; `None` where the link is to
/// no socket.
pub fn socket(world: &World, link: &Link, ends: &Ends) -> Option<Result<String, OutOfReach>> {
    let Endpoint::Unix(path) = &link.target.endpoint else { return None };
    let (consumer, provider) = (world.container(&ends.0)?, world.container(&ends.1)?);
    let found = mounts::path_in(&consumer.mounts, &provider.mounts, path);
    Some(found.map_err(|unshared| OutOfReach {
        reason: unshared.reason(),
        message: unshared.message(&consumer.name, &provider.name, path),
    }))
}

/// Why the path cannot work, if that is known already.
pub fn out_of_reach(world: &World, link: &Link, ends: &Ends) -> Option<OutOfReach> {
    socket(world, link, ends)?.err()
}

#[cfg(test)]
mod tests {
    use super::super::container::RunState;
    use super::super::declaration::Path;
    use super::super::lab::Lab;
    use super::*;

    /// The names by which the first link is looked for, of each provider.
    fn hosts(lab: &Lab) -> Vec<String> {
        let link = lab.world.declaration().links.values().next().unwrap();
        let host = |(ends, path): (&Ends, &Path)| {
            host(&lab.world, link, &path.link, ends, lab.world.container(&ends.1).unwrap())
        };
        link.paths.iter().map(host).collect()
    }

    #[test]
    fn a_provider_is_looked_for_as_the_label_says() {
        for (label, value, name) in [
            ("tieline.link", "db:5432", "db"),
            ("tieline.link.store", "db:5432", "db"),
            ("tieline.link", "shop-db-1:5432", "shop-db-1"),
            ("tieline.link", "shop/db:5432", "shop-db-1"),
            ("tieline.link.store", "shop/db:5432", "store"),
            ("tieline.link", "[role=db]:5432", "shop-db-1"),
            ("tieline.link.store", "[role=db]:5432", "store"),
        ] {
            let mut lab = Lab::default();
            lab.run_service("shop/db", 1, &[("role", "db")]);
            lab.run_service("shop/web", 1, &[(label, value)]);
            assert_eq!(hosts(&lab), [name], "{label}: {value}");
        }
    }

    #[test]
    fn several_that_run_are_each_looked_for_by_their_own_name() {
        let mut lab = Lab::default();
        lab.run_service("shop/db", 1, &[]);
        let second = lab.run_service("shop/db", 2, &[]);
        lab.run_service("shop/web", 1, &[("tieline.link", "db:5432")]);
        assert_eq!(hosts(&lab), ["shop-db-1", "shop-db-2"]);
        // Who does not run has no name: the link's can mean one again.
        lab.change(&second, |container| container.state = RunState::Exited);
        assert_eq!(hosts(&lab)[0], "db");
    }

    #[test]
    fn a_word_that_is_no_host_name_is_not_looked_for() {
        let mut lab = Lab::default();
        let name = "a".repeat(100);
        let id = lab.run(&name, &[]);
        lab.run("web", &[("tieline.link", &format!("{name}:5432"))]);
        assert_eq!(hosts(&lab), [lab.world.container(&id).unwrap().host()]);
        assert_ne!(hosts(&lab), [name]);
    }
}
