//! What one event says, as far as that is used.

use bollard::models::{EventMessage, EventMessageTypeEnum};

use crate::model::container::{ContainerId, NetworkId};

/// The events that are asked for. Our own handshakes would wake us by their `exec_…` events.
pub(super) const FILTERS: [(&str, &[&str]); 2] = [("type", &["container", "network"]), ("event", &ACTIONS)];

/// Event actions that tell of a change which matters here; others are counted as `other`.
pub const ACTIONS: [&str; 11] = [
    "create",
    "start",
    "die",
    "stop",
    "destroy",
    "rename",
    "pause",
    "unpause",
    "connect",
    "disconnect",
    "remove",
];

/// Types of events that are asked for; others are counted as `other`.
pub const TYPES: [&str; 2] = ["container", "network"];

/// The parts of an event that are used.
pub(super) struct Told {
    pub kind: &'static str,
    pub action: &'static str,
    pub container: Option<ContainerId>,
    pub network: Option<NetworkId>,
}

impl Told {
    pub(super) fn read(message: &EventMessage) -> Self {
        let action = message.action.as_deref().unwrap_or_default();
        let action = ACTIONS.into_iter().find(|known| *known == action).unwrap_or("other");
        let actor = message.actor.as_ref();
        let subject = actor.and_then(|actor| actor.id.clone());
        match message.typ {
            Some(EventMessageTypeEnum::CONTAINER) => {
                Self { kind: "container", action, container: subject.map(ContainerId), network: None }
            }
            Some(EventMessageTypeEnum::NETWORK) => {
                let attributes = actor.and_then(|actor| actor.attributes.as_ref());
                let container = attributes.and_then(|attributes| attributes.get("container"));
                Self {
                    kind: "network",
                    action,
                    container: container.filter(|id| !id.is_empty()).cloned().map(ContainerId),
                    network: subject.map(NetworkId),
                }
            }
            _ => Self { kind: "other", action, container: None, network: None },
        }
    }
}
