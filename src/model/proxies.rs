//! Reverse proxies that find containers by their labels and take an address from a container's list of networks. A
//! link adds a network to that list on which the proxy is not.
//!
//! Some need no warning: caddy-docker-proxy takes only networks that Caddy itself is on, or those of its own
//! setting, and so does nginx-proxy, which is told by environment variables that nobody sees here.

use std::collections::{BTreeMap, BTreeSet};

use super::container::{Attachment, Container, Labels, NetworkMode};
use super::declaration::DeclaredLink;
use super::labels::{self, shown, some_of};
use super::link::Endpoint;
use super::owner::MANAGED_BY;
use super::workload::Workload;
use super::world::World;

/// A proxy that takes any network of a container unless a label names one.
struct Proxy {
    name: &'static str,
    /// How the labels for it begin. It reads keys without regard to case.
    prefix: &'static str,
    /// The label that takes a container out.
    enable: &'static str,
    /// The label that names the network.
    network: &'static str,
    /// Its own setting, which names the network of all containers. It is not seen here.
    setting: &'static str,
}

/// Those that are known.
const PROXIES: [Proxy; 1] = [Proxy {
    name: "Traefik",
    prefix: "traefik.",
    enable: "traefik.enable",
    network: "traefik.docker.network",
    setting: "providers.docker.network",
}];

/// Workloads of one link of which it is told one by one.
pub const MAX_WARNINGS: usize = 8;

/// The warnings about the containers of `link`, whatever its state: proxies that may choose its network.
pub fn warnings(world: &World, link: &DeclaredLink) -> Vec<String> {
    let is_denied = link.resolution.found > 0 && link.resolution.found == link.resolution.denied;
    if matches!(link.link.target.endpoint, Endpoint::Unix(_)) || is_denied {
        return Vec::new();
    }
    let providers = link.paths.keys().map(|(_, provider)| provider);
    let ends: BTreeSet<_> = link.consumers.iter().chain(providers).collect();
    let mut warnings = BTreeMap::new();
    for container in ends.into_iter().filter_map(|id| world.container(id)) {
        for proxy in &PROXIES {
            // Replicas have the same labels, and one of them is enough to tell.
            let key = (Workload::of(container), proxy.name);
            if let Some(warning) = proxy.warning(world, container) {
                warnings.entry(key).or_insert(warning);
            }
        }
    }
    let more = warnings.len().saturating_sub(MAX_WARNINGS);
    let told = warnings.into_values().take(MAX_WARNINGS).map(|warning| labels::message(&warning));
    told.chain((more > 0).then(|| format!("the same is true of {more} more of its workloads"))).collect()
}

impl Proxy {
    /// The advice for a container for which this proxy may choose the wrong network.
    fn warning(&self, world: &World, container: &Container) -> Option<String> {
        if container.mode != NetworkMode::Own || !self.reads(&container.labels) {
            return None;
        }
        let is_link_s = |name: &str, attachment: &Attachment| {
            attachment.options.contains_key(MANAGED_BY)
                || world.networks().any(|network| {
                    network.labels.contains_key(MANAGED_BY) && attachment.leads_to(name, network)
                })
        };
        let named = label(&container.labels, self.network);
        if named.is_some_and(|named| container.attachments.contains_key(named)) {
            return None;
        }
        let own = container.attachments.iter().filter(|(name, attachment)| !is_link_s(name, attachment));
        let own: Vec<String> = own.map(|(name, _)| name.clone()).collect();
        let Self { name, network, setting, .. } = self;
        let advice = match own.as_slice() {
            // There was no network by which the proxy could have reached it.
            [] => return None,
            [only] => format!("{network}={}", shown(only)),
            several => format!("{network} with the one that {name} is on ({})", some_of(several)),
        };
        let workload = Workload::of(container);
        let cause = match named {
            None => format!("without {network} {name} takes any network of a container"),
            Some(named) => {
                format!(
                    "{network} names {}, on which it is not, so that {name} takes any network",
                    shown(named)
                )
            }
        };
        Some(format!(
            "{workload} has labels for {name}: {cause}, the link's too. Label it {advice}, unless {name}'s own {setting} \
             names that network"
        ))
    }

    /// Whether a container with these labels is one that the proxy passes requests to.
    fn reads(&self, labels: &Labels) -> bool {
        let is_off = |value: &str| ["false", "f", "0"].iter().any(|word| value.eq_ignore_ascii_case(word));
        labels.keys().any(|key| has_prefix(key, self.prefix))
            && !label(labels, self.enable).is_some_and(is_off)
    }
}

fn has_prefix(key: &str, prefix: &str) -> bool {
    key.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn label<'a>(labels: &'a Labels, key: &str) -> Option<&'a str> {
    labels.iter().find(|(known, _)| known.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::lab::Lab;
    use super::*;

    const TRAEFIK: [(&str, &str); 2] =
        [("traefik.enable", "true"), ("traefik.http.routers.web.rule", "Host(`shop.example`)")];

    /// The first link's warnings.
    fn warnings_of(lab: &Lab) -> Vec<String> {
        warnings(&lab.world, lab.world.declaration().links.values().next().unwrap())
    }

    /// A project with a web that is linked to a database, each on the project's network, and further labels.
    fn project(web: &[(&str, &str)], db: &[(&str, &str)]) -> Lab {
        let mut lab = Lab::default();
        lab.add_network("n1", "shop_default", "172.18.0.0/16", None);
        let link = [("tieline.link", "db:5432")];
        for (service, labels) in [("shop/db", db.to_vec()), ("shop/web", [&link[..], web].concat())] {
            let container = lab.run_service(service, 1, &labels);
            lab.attach(&container, "shop_default", &[]);
        }
        lab
    }

    #[test]
    fn labels_for_traefik_without_a_network_are_a_warning_at_either_end() {
        for (web, db, workload) in [(&TRAEFIK[..], &[][..], "shop/web"), (&[], &TRAEFIK, "shop/db")] {
            let mut lab = project(web, db);
            let words = format!(
                "{workload} has labels for Traefik: without traefik.docker.network Traefik takes any network of a \
                 container, the link's too. Label it traefik.docker.network=shop_default, unless Traefik's own \
                 providers.docker.network names that network"
            );
            assert_eq!(warnings_of(&lab), [words.as_str()]);
            // The link's own network is none to be advised.
            lab.carry_out(true);
            assert_eq!(lab.world.owned().count(), 1);
            assert_eq!(warnings_of(&lab), [words]);
        }
        assert_eq!(warnings_of(&project(&TRAEFIK, &TRAEFIK)).len(), 2);
        assert_eq!(warnings_of(&project(&[], &[])), [] as [&str; 0]);
    }

    #[test]
    fn one_label_for_traefik_is_enough_unless_it_takes_the_container_out() {
        for (key, value, warned) in [
            ("traefik.enable", "true", 1),
            ("Traefik.Enable", "TRUE", 1),
            ("traefik.enable", "false", 0),
            ("traefik.tcp.routers.db.rule", "HostSNI(`*`)", 1),
            ("traefik.docker.network", "shop_default", 0),
            ("traefik.Docker.Network", "shop_default", 0),
            ("traefikx.enable", "true", 0),
            ("tra\u{e9}fik.enable", "true", 0),
        ] {
            let lab = project(&[(key, value)], &[]);
            assert_eq!(warnings_of(&lab).len(), warned, "{key}={value}");
        }
        let off = [TRAEFIK[1], ("traefik.enable", "False")];
        assert_eq!(warnings_of(&project(&off, &[])), [] as [&str; 0]);
    }

    #[test]
    fn the_network_that_a_label_names_has_to_be_one_of_the_container() {
        // As people write it who forget the project.
        let wrong = [TRAEFIK[0], ("traefik.docker.network", "default")];
        let warnings = warnings_of(&project(&wrong, &[]));
        assert!(warnings[0].contains("names default, on which it is not"), "{warnings:?}");
        assert!(warnings[0].contains("traefik.docker.network=shop_default"), "{warnings:?}");
    }

    #[test]
    fn of_several_networks_none_is_guessed_and_without_one_there_is_nothing_to_choose() {
        let mut lab = project(&TRAEFIK, &[]);
        lab.add_network("n2", "proxy", "172.19.0.0/16", None);
        let web = lab.world.participants().find(|it| it.container.name == "shop-web-1").unwrap();
        let web = web.container.id.clone();
        lab.attach(&web, "proxy", &[]);
        let warnings = warnings_of(&lab);
        assert!(
            warnings[0].contains("with the one that Traefik is on (proxy, shop_default)"),
            "{warnings:?}"
        );
        lab.change(&web, |container| container.attachments.clear());
        assert_eq!(warnings_of(&lab), [] as [&str; 0]);
    }

    #[test]
    fn it_is_told_before_there_is_a_provider_and_not_of_links_that_join_nothing() {
        let mut lab = Lab::default();
        lab.add_network("n1", "front", "172.18.0.0/16", None);
        let labels = |target| [&TRAEFIK[..], &[("tieline.link.db", target)]].concat();
        let web = lab.run("web", &labels("db:5432"));
        lab.attach(&web, "front", &[]);
        assert_eq!(warnings_of(&lab).len(), 1, "it is Pending");
        lab.run("db", &[("tieline.accept", "none")]);
        assert_eq!(warnings_of(&lab), [] as [&str; 0], "it is Denied");
        let mut lab = Lab::default();
        lab.add_network("n1", "front", "172.18.0.0/16", None);
        let web = lab.run("web", &labels("unix://db/run/db.sock"));
        lab.attach(&web, "front", &[]);
        assert_eq!(warnings_of(&lab), [] as [&str; 0], "a socket needs no network");
    }
}
