//! Questions about one entry of the engine's list of containers.

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};

use super::convert;
use super::helper;
use crate::model::container::{Attachments, NetworkId, NetworkMode};
use crate::model::owner::HELPER;

/// Whether a container in another one's namespace needs no network of that name, see [`convert::attachments`].
pub(super) fn is_unhindered(summary: &ContainerSummary, name: &str) -> bool {
    mode(summary) == NetworkMode::Shared && !attachments(summary).contains_key(name)
}

fn mode(summary: &ContainerSummary) -> NetworkMode {
    let mode = summary.host_config.as_ref().and_then(|config| config.network_mode.as_deref());
    convert::network_mode(mode.unwrap_or_default())
}

/// Whether it is a helper of a controller.
pub(super) fn is_helper(summary: &ContainerSummary) -> bool {
    let label = summary.labels.as_ref().and_then(|labels| labels.get(HELPER));
    summary.names.iter().flatten().any(|name| helper::is_one(label, name, mode(summary)))
}

/// Whether what a container has under the `name` of a network is another network of that name.
pub(super) fn is_elsewhere(summary: &ContainerSummary, id: &NetworkId, name: &str) -> bool {
    attachments(summary).get(name).and_then(|found| found.network_id(name)).is_some_and(|told| told != id)
}

/// The networks that it is attached to.
pub(super) fn attachments(summary: &ContainerSummary) -> Attachments {
    let networks = summary.network_settings.as_ref().and_then(|settings| settings.networks.clone());
    let idle = [Some(ContainerSummaryStateEnum::CREATED), Some(ContainerSummaryStateEnum::EXITED)];
    convert::attachments(mode(summary), idle.contains(&summary.state), networks.unwrap_or_default())
}
