//! bollard's all-`Option` models into our own complete types.

use std::collections::HashMap;

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum, EndpointSettings, Ipam, MountPoint, NetworkInspect,
};
use ipnet::Ipv4Net;

use crate::model::container::{
    Attachment, Attachments, Container, ContainerId, Labels, Network, NetworkId, NetworkMode, RunState, Shape,
};
use crate::model::labels;
use crate::model::moment::Moment;
use crate::model::mounts::{Mount, Source};

/// Option of a bridge network: whether its containers may talk to one another.
pub(super) const ICC: &str = "com.docker.network.bridge.enable_icc";

/// Longest name of a container that is kept as it is: no label can name one with a longer name.
const MAX_CONTAINER_NAME_BYTES: usize = 1024;
/// Longest name of a network that is kept as it is. Ours are made from the names of two workloads and are
/// shorter.
const MAX_NETWORK_NAME_BYTES: usize = 4096;

pub(super) fn container(id: ContainerId, response: ContainerInspectResponse) -> Container {
    let state = response.state.unwrap_or_default();
    let config = response.config.unwrap_or_default();
    let host_config = response.host_config.unwrap_or_default();
    let mode = network_mode(&host_config.network_mode.unwrap_or_default());
    let mounts = mounts(response.mounts, host_config.mounts, host_config.tmpfs);
    let run_state = run_state(state.status);
    let idle = matches!(run_state, RunState::Created | RunState::Exited);
    let networks = response.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    Container {
        id,
        name: name(response.name.unwrap_or_default().trim_start_matches('/'), MAX_CONTAINER_NAME_BYTES),
        labels: labels(config.labels),
        state: run_state,
        created: Moment::read(&response.created.unwrap_or_default()),
        started: state.started_at.unwrap_or_default(),
        mode,
        attachments: attachments(mode, idle, networks),
        namespace_lost: false,
        mounts,
    }
}

/// The networks that a container is attached to. A container in another one's namespace joins none. It may refer to
/// one that somebody connected it to while it was `idle`, and Engine 28 does not start it then. The engine detaches
/// it only while it is idle, and knows that network by its name alone. Podman 4.3 shows the networks of the other
/// container, with their ids.
pub(super) fn attachments(
    mode: NetworkMode,
    idle: bool,
    mut networks: HashMap<String, EndpointSettings>,
) -> Attachments {
    if mode == NetworkMode::Shared {
        networks.retain(|_, endpoint| idle && endpoint.network_id.as_deref().unwrap_or_default().is_empty());
    }
    networks
        .into_iter()
        .map(|(network, endpoint)| (name(&network, MAX_NETWORK_NAME_BYTES), attachment(endpoint)))
        .collect()
}

/// The mounts of a container. The engine tells the folder of a volume only as it was `asked` for, and a `--tmpfs`
/// only among the options.
pub(super) fn mounts(
    found: Option<Vec<MountPoint>>,
    asked: Option<Vec<bollard::models::Mount>>,
    tmpfs: Option<HashMap<String, String>>,
) -> Vec<Mount> {
    let folders: HashMap<String, String> = asked
        .unwrap_or_default()
        .into_iter()
        .filter_map(|asked| Some((asked.target?, asked.volume_options?.subpath?)))
        .collect();
    let found = found.unwrap_or_default().into_iter().filter_map(|point| {
        let folder = point.destination.as_ref().and_then(|path| folders.get(path));
        Some(mount(point)?.of_folder(folder.map_or("", String::as_str)))
    });
    let tmpfs = tmpfs.unwrap_or_default().into_keys().map(|path| Mount::new(Source::Private, &path));
    found.chain(tmpfs).collect()
}

/// What is neither a volume nor the host's hides what is below it, and nothing more is to be known of it.
fn mount(point: MountPoint) -> Option<Mount> {
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let source = match point.typ.as_deref() {
        Some("volume" | "cluster") => filled(point.name).map(Source::Volume),
        Some("bind") => filled(point.source).map(Source::Host),
        _ => None,
    };
    Some(Mount::new(source.unwrap_or(Source::Private), &point.destination?))
}

/// A network of a list; one without an id cannot be spoken of.
pub(super) fn network(network: bollard::models::Network) -> Option<Network> {
    Some(Network {
        id: NetworkId(network.id?),
        name: name(&network.name.unwrap_or_default(), MAX_NETWORK_NAME_BYTES),
        labels: labels(network.labels),
        subnets: subnets(network.ipam),
        shape: shape(network.driver, network.scope, network.internal, network.enable_ipv6, network.options),
        created: Moment::read(&network.created.unwrap_or_default()),
    })
}

pub(super) fn inspected_network(id: NetworkId, network: NetworkInspect) -> Network {
    Network {
        id,
        name: name(&network.name.unwrap_or_default(), MAX_NETWORK_NAME_BYTES),
        labels: labels(network.labels),
        subnets: subnets(network.ipam),
        shape: shape(network.driver, network.scope, network.internal, network.enable_ipv6, network.options),
        created: Moment::read(&network.created.unwrap_or_default()),
    }
}

fn shape(
    driver: Option<String>,
    scope: Option<String>,
    internal: Option<bool>,
    ipv6: Option<bool>,
    options: Option<HashMap<String, String>>,
) -> Shape {
    Shape {
        bridge: driver.as_deref() == Some("bridge") && scope.is_none_or(|scope| scope == "local"),
        internal: internal.unwrap_or_default(),
        icc: has_icc(options),
        ipv6: ipv6.unwrap_or_default(),
    }
}

/// The engine reads the option as Go reads a bool, and takes none for yes.
fn has_icc(options: Option<HashMap<String, String>>) -> bool {
    let option = options.unwrap_or_default().remove(ICC);
    option.is_none_or(|icc| !["0", "f", "F", "false", "FALSE", "False"].contains(&icc.as_str()))
}

/// A name, or where it is longer than the limit the short one that stands for it. That one has a character
/// that neither a container's name nor a label's selector can have.
fn name(name: &str, limit: usize) -> String {
    if name.len() > limit { labels::short_name(name).into_owned() } else { name.to_owned() }
}

/// Labels cut to what is read of them.
fn labels(labels: Option<HashMap<String, String>>) -> Labels {
    labels::bounded(labels.unwrap_or_default())
}

fn run_state(status: Option<ContainerStateStatusEnum>) -> RunState {
    match status {
        Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::STOPPING) => RunState::Running,
        Some(ContainerStateStatusEnum::PAUSED) => RunState::Paused,
        Some(ContainerStateStatusEnum::RESTARTING) => RunState::Restarting,
        Some(ContainerStateStatusEnum::REMOVING) => RunState::Removing,
        Some(ContainerStateStatusEnum::EXITED) => RunState::Exited,
        Some(ContainerStateStatusEnum::DEAD) => RunState::Dead,
        Some(ContainerStateStatusEnum::CREATED | ContainerStateStatusEnum::EMPTY) | None => RunState::Created,
    }
}

pub(super) fn network_mode(mode: &str) -> NetworkMode {
    match mode {
        "host" => NetworkMode::Host,
        "none" => NetworkMode::None,
        mode if mode.starts_with("container:") => NetworkMode::Shared,
        _ => NetworkMode::Own,
    }
}

/// Engine 20.10 gives an empty string for what it does not know yet.
pub(super) fn attachment(endpoint: EndpointSettings) -> Attachment {
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    Attachment {
        network: filled(endpoint.network_id).map(NetworkId),
        aliases: endpoint.aliases.unwrap_or_default().into_iter().collect(),
        options: labels(endpoint.driver_opts),
        address: filled(endpoint.ip_address).and_then(|address| address.parse().ok()),
        address6: filled(endpoint.global_ipv6_address).and_then(|address| address.parse().ok()),
    }
}

fn subnets(ipam: Option<Ipam>) -> Vec<Ipv4Net> {
    let configs = ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    configs.into_iter().filter_map(|config| config.subnet?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerConfig, NetworkSettings};

    use super::*;

    #[test]
    fn a_label_beyond_its_limit_is_cut_before_it_is_kept() {
        let long = HashMap::from([("tieline.link.a".to_owned(), "x".repeat(30 << 20))]);
        let config = Some(ContainerConfig { labels: Some(long), ..Default::default() });
        let response = ContainerInspectResponse { config, ..Default::default() };
        let kept = container(ContainerId("a".to_owned()), response).labels;
        assert_eq!(kept["tieline.link.a"].capacity(), labels::MAX_LABEL_BYTES + 1);
    }

    #[test]
    fn in_another_s_namespace_only_what_keeps_a_container_from_starting_is_an_attachment() {
        let endpoint = |id: &str| EndpointSettings { network_id: Some(id.to_owned()), ..Default::default() };
        let networks =
            HashMap::from([("by-name".to_owned(), endpoint("")), ("podman-s".to_owned(), endpoint("a"))]);
        let found = |mode, idle| attachments(mode, idle, networks.clone()).into_keys().collect::<Vec<_>>();
        assert_eq!(found(NetworkMode::Shared, true), ["by-name"]);
        assert_eq!(found(NetworkMode::Shared, false), [] as [&str; 0]);
        assert_eq!(found(NetworkMode::Own, false), ["by-name", "podman-s"]);
    }

    #[test]
    fn an_attachment_has_the_addresses_of_both_families_or_of_one() {
        let addresses = |v4: &str, v6: &str| {
            let endpoint = EndpointSettings {
                ip_address: Some(v4.to_owned()),
                global_ipv6_address: Some(v6.to_owned()),
                ..EndpointSettings::default()
            };
            attachment(endpoint).addresses().map(|address| address.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(addresses("172.18.0.2", "fd00::2"), "fd00::2 172.18.0.2");
        assert_eq!(addresses("172.18.0.2", ""), "172.18.0.2");
        assert_eq!(addresses("", "fd00::2"), "fd00::2");
        assert_eq!(addresses("", ""), "");
    }

    #[test]
    fn a_long_name_is_cut_before_it_is_kept_and_stays_one_of_its_own() {
        let read = |name: String| {
            let networks =
                HashMap::from([(format!("{name}{name}{name}{name}"), EndpointSettings::default())]);
            let network_settings = Some(NetworkSettings { networks: Some(networks), ..Default::default() });
            let response = ContainerInspectResponse {
                name: Some(format!("/{name}")),
                network_settings,
                ..Default::default()
            };
            container(ContainerId("a".to_owned()), response)
        };
        let longest = "x".repeat(MAX_CONTAINER_NAME_BYTES);
        let kept = read(longest.clone());
        assert_eq!(
            (&kept.name, kept.attachments.keys().next().unwrap().len()),
            (&longest, MAX_NETWORK_NAME_BYTES)
        );
        let [one, two] = ["1", "2"].map(|last| read(format!("{}{last}", "x".repeat(1 << 20))));
        assert_ne!(one.name, two.name);
        let found = bollard::models::Network {
            id: Some("n".to_owned()),
            name: Some(format!("{}1", "x".repeat(1 << 20)).repeat(4)),
            ..Default::default()
        };
        assert!(one.name.len() < MAX_CONTAINER_NAME_BYTES);
        assert_eq!(one.attachments.keys().next(), Some(&network(found).unwrap().name));
    }
}
