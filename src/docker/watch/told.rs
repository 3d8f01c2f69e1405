//! What one event says, as far as that is used.

use bollard::models::{EventMessage, EventMessageTypeEnum};

use super::super::helper;
use crate::model::container::{ContainerId, NetworkId};
use crate::model::owner::HELPER;

/// The events that are asked for. Our own handshakes would wake us by their `exec_…` events.
pub(super) const FILTERS: [(&str, &[&str]); 2] = [("type", &TYPES), ("event", &ASKED)];

/// [`ACTIONS`], and as `died` and `cleanup` what Podman 4.3 calls `die` when it is asked, though not when
/// it tells, and has for Docker's `disconnect` of a container that ended.
const ASKED: [&str; ACTIONS.len() + 2] = {
    let mut asked = ["died"; ACTIONS.len() + 2];
    asked[ACTIONS.len()] = "cleanup";
    let mut at = 0;
    while at < ACTIONS.len() {
        asked[at] = ACTIONS[at];
        at += 1;
    }
    asked
};

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

/// Whether an event is about a helper, of which nobody is told. A container's events carry its labels and
/// its name, and not its network mode: a container that only looks like a helper is found by the next list.
pub(super) fn is_about_a_helper(message: &EventMessage) -> bool {
    let attributes = message.actor.as_ref().and_then(|actor| actor.attributes.as_ref());
    let name = attributes.and_then(|attributes| attributes.get("name"));
    let label = attributes.and_then(|attributes| attributes.get(HELPER));
    message.typ == Some(EventMessageTypeEnum::CONTAINER)
        && name.is_some_and(|name| helper::is_called_one(label, name))
}

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
                let container = container.filter(|id| !id.is_empty()).cloned();
                // Podman 4.3 tells which container, and not to which network.
                let (container, network) = match container {
                    None if matches!(action, "connect" | "disconnect") => (subject, None),
                    container => (container, subject),
                };
                Self {
                    kind: "network",
                    action,
                    container: container.map(ContainerId),
                    network: network.map(NetworkId),
                }
            }
            _ => Self { kind: "other", action, container: None, network: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::EventActor;

    use super::*;

    #[test]
    fn a_helper_s_events_are_told_from_everybody_else_s() {
        let event = |typ, label: &str, name: &str| {
            let attributes =
                [(label, "a"), ("name", name)].map(|(key, value)| (key.to_owned(), value.to_owned()));
            let actor = Some(EventActor { id: Some("1".to_owned()), attributes: Some(attributes.into()) });
            EventMessage { typ: Some(typ), actor, ..EventMessage::default() }
        };
        let name = "a_helper_0123456789ab_01234567";
        assert!(is_about_a_helper(&event(EventMessageTypeEnum::CONTAINER, "tieline.helper", name)));
        assert!(!is_about_a_helper(&event(EventMessageTypeEnum::CONTAINER, "tieline.helpers", name)));
        // Anybody may write the label.
        assert!(!is_about_a_helper(&event(EventMessageTypeEnum::CONTAINER, "tieline.helper", "spy")));
        // A network's labels are not a container's.
        assert!(!is_about_a_helper(&event(EventMessageTypeEnum::NETWORK, "tieline.helper", name)));
        assert!(!is_about_a_helper(&EventMessage::default()));
    }
}
