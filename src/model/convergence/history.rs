//! Random histories: what people do, what the controllers do, and what goes wrong meanwhile.

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::container::{Labels, NetworkMode, Shape};
use super::super::workload::{COMPOSE_NUMBER, COMPOSE_PROJECT, COMPOSE_SERVICE};

/// The one compose project of these histories.
pub const PROJECT: &str = "p";
/// Names that containers get.
pub const NAMES: [&str; 6] = ["n0", "n1", "n2", "n3", "n4", "n5"];
/// Services of the project.
pub const SERVICES: [&str; 3] = ["s0", "s1", "s2"];

/// What a container is created with.
#[derive(Clone, Debug)]
pub struct Spec {
    pub service: Option<&'static str>,
    /// Which replica of the service it is; `None` for what Compose makes beside the replicas.
    pub number: Option<&'static str>,
    /// Each under its link's name; `None` for one of the plain label.
    pub links: Vec<(Option<&'static str>, Target)>,
    pub accept: Option<Accept>,
    pub shared: bool,
    pub ignore: bool,
    pub mode: NetworkMode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Of the consumer's own project the service, else the container.
    Name(&'static str),
    /// A service of the project, whoever asks.
    Service(&'static str),
}

#[derive(Clone, Copy, Debug)]
pub enum Accept {
    Any,
    Nobody,
    Only(&'static str),
}

impl Spec {
    /// The service that it is a replica of.
    pub fn replica_of(&self) -> Option<&'static str> {
        self.service.filter(|_| self.number.is_some())
    }

    pub fn labels(&self) -> Labels {
        let mut labels = Labels::new();
        let mut set = |key: &str, value: &str| labels.insert(key.to_owned(), value.to_owned());
        if let Some(service) = self.service {
            set(COMPOSE_PROJECT, PROJECT);
            set(COMPOSE_SERVICE, service);
            self.number.map(|number| set(COMPOSE_NUMBER, number));
        }
        let mut plain = Vec::new();
        for (name, target) in &self.links {
            let target = match target {
                Target::Name(name) => format!("{name}:80"),
                Target::Service(service) => format!("{PROJECT}/{service}:80"),
            };
            match name {
                Some(name) => drop(set(&format!("tieline.link.{name}"), &target)),
                None => plain.push(target),
            }
        }
        if !plain.is_empty() {
            set("tieline.link", &plain.join(" "));
        }
        match self.accept {
            None => {}
            Some(Accept::Any) => drop(set("tieline.accept", "*")),
            Some(Accept::Nobody) => drop(set("tieline.accept", "none")),
            Some(Accept::Only(name)) => drop(set("tieline.accept", name)),
        }
        if self.shared {
            set("tieline.topology", "shared");
        }
        if self.ignore {
            set("tieline.ignore", "true");
        }
        labels
    }
}

/// Something that people do. Where an index finds nothing, or the engine refuses, nothing happens.
#[derive(Clone, Debug)]
pub enum Deed {
    Create {
        name: &'static str,
        spec: Spec,
    },
    Run {
        name: &'static str,
        spec: Spec,
    },
    Start(Index),
    Stop(Index),
    TogglePause(Index),
    Remove(Index),
    /// The removal of a container gets stuck.
    Die(Index),
    Rename(Index, &'static str),
    /// Compose does this when the labels have changed.
    Recreate(Index, Spec),
    Attach {
        container: Index,
        network: Index,
        named: bool,
    },
    /// Attaches everybody, so that a small network is full.
    Crowd(Index),
    Detach {
        container: Index,
        entry: Index,
    },
    /// Removes a network, after detaching whoever runs on it if so wished.
    RemoveNetwork {
        network: Index,
        detach: bool,
    },
    /// A network without labels under a name that ours could have, on the subnet that ours would
    /// then have or on another one.
    Squat {
        edge: Index,
        slot: u8,
        taking: bool,
    },
    /// A network with our labels that no controller here made, with less room or more.
    Duplicate {
        edge: Index,
        slot: u8,
        name: Name,
        shape: Shape,
        prefix: u8,
    },
}

/// How a network with our labels is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// As a controller calls it.
    Ours,
    /// As an earlier version called it.
    Old,
    /// Otherwise, so that it is not ours.
    ByHand,
}

/// What becomes of what the engine tells of a change.
#[derive(Clone, Copy, Debug)]
pub enum News {
    Prompt,
    Delayed,
    Lost,
    Twice,
}

/// What goes wrong at one action of a plan.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The engine answers with an error and does nothing.
    Refused,
    /// It does not answer and does nothing.
    Unanswered,
    /// It does what was asked for and does not answer.
    ReplyLost,
    /// The controller ends before the action.
    CrashBefore,
    /// The controller ends after the action.
    CrashAfter,
}

/// What happens between two actions of a plan.
#[derive(Clone, Debug)]
pub enum Interlude {
    Deed(Deed),
    /// A controller, the same or the other one, reconciles another edge meanwhile.
    Reconcile {
        other: bool,
        edge: Index,
        garbage: bool,
    },
}

#[derive(Clone, Debug)]
pub enum Step {
    Deed(Deed),
    Reconcile {
        controller: usize,
        edge: Index,
        garbage: bool,
        /// At which action.
        fault: Option<(u8, Fault)>,
        /// Before which action.
        interlude: Option<(u8, Interlude)>,
    },
    /// Everything that is to be done, without faults.
    ReconcileAll {
        controller: usize,
    },
    /// Some of the delayed news arrive.
    Deliver {
        controller: usize,
        which: Vec<Index>,
    },
    Relist {
        controller: usize,
    },
    Crash {
        controller: usize,
    },
}

#[derive(Clone, Debug)]
pub struct History {
    pub controllers: usize,
    pub unique_names: bool,
    pub steps: Vec<(Step, News)>,
}

fn spec() -> impl Strategy<Value = Spec> {
    let target = prop_oneof![
        4 => prop::sample::select(&NAMES[..]).prop_map(Target::Name),
        2 => prop::sample::select(&SERVICES[..]).prop_map(Target::Name),
        1 => prop::sample::select(&SERVICES[..]).prop_map(Target::Service),
    ];
    let link = (prop::option::of(prop::sample::select(&["l0", "l1"][..])), target);
    let accept = prop_oneof![
        8 => Just(None),
        1 => Just(Some(Accept::Any)),
        1 => Just(Some(Accept::Nobody)),
        1 => prop::sample::select(&NAMES[..]).prop_map(|name| Some(Accept::Only(name))),
    ];
    let mode = prop_oneof![
        20 => Just(NetworkMode::Own),
        1 => Just(NetworkMode::Host),
        1 => Just(NetworkMode::None),
        1 => Just(NetworkMode::Shared),
    ];
    (
        prop::option::weighted(0.4, prop::sample::select(&SERVICES[..])),
        prop::option::weighted(0.9, prop::sample::select(&["1", "2", "3"][..])),
        prop::collection::vec(link, 0..3),
        accept,
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.05),
        mode,
    )
        .prop_map(|(service, number, mut links, accept, shared, ignore, mode)| {
            // Two targets of one name are a mistake, and mistakes have tests of their own.
            let mut seen = Vec::new();
            links.retain(|(name, target)| {
                let fresh = !seen.iter().any(|(n, t)| if name.is_some() { n == name } else { t == target });
                seen.push((*name, *target));
                fresh
            });
            Spec { service, number, links, accept, shared, ignore, mode }
        })
}

fn deed() -> impl Strategy<Value = Deed> {
    let index = any::<Index>;
    let name = || prop::sample::select(&NAMES[..]);
    prop_oneof![
        3 => (name(), spec()).prop_map(|(name, spec)| Deed::Create { name, spec }),
        6 => (name(), spec()).prop_map(|(name, spec)| Deed::Run { name, spec }),
        3 => index().prop_map(Deed::Start),
        3 => index().prop_map(Deed::Stop),
        1 => index().prop_map(Deed::TogglePause),
        2 => index().prop_map(Deed::Remove),
        1 => index().prop_map(Deed::Die),
        1 => (index(), name()).prop_map(|(at, name)| Deed::Rename(at, name)),
        2 => (index(), spec()).prop_map(|(at, spec)| Deed::Recreate(at, spec)),
        3 => index().prop_map(Deed::Crowd),
        2 => (index(), index(), any::<bool>())
            .prop_map(|(container, network, named)| Deed::Attach { container, network, named }),
        2 => (index(), index()).prop_map(|(container, entry)| Deed::Detach { container, entry }),
        2 => (index(), any::<bool>())
            .prop_map(|(network, detach)| Deed::RemoveNetwork { network, detach }),
        1 => (index(), 0u8..8, any::<bool>())
            .prop_map(|(edge, slot, taking)| Deed::Squat { edge, slot, taking }),
        5 => (index(), 0u8..8, network_name(), shape(), 29u8..31)
            .prop_map(|(edge, slot, name, shape, prefix)| Deed::Duplicate { edge, slot, name, shape, prefix }),
    ]
}

fn network_name() -> impl Strategy<Value = Name> {
    prop::sample::select(&[Name::Ours, Name::Ours, Name::Old, Name::ByHand][..])
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        5 => Just(Shape::LINK),
        1 => Just(Shape { bridge: false, ..Shape::LINK }),
        1 => Just(Shape { internal: false, ..Shape::LINK }),
        1 => Just(Shape { icc: false, ..Shape::LINK }),
        1 => Just(Shape { ipv6: true, ..Shape::LINK }),
    ]
}

fn reconcile() -> impl Strategy<Value = Step> {
    let fault = prop::sample::select(
        &[Fault::Refused, Fault::Unanswered, Fault::ReplyLost, Fault::CrashBefore, Fault::CrashAfter][..],
    );
    let interlude = prop_oneof![
        deed().prop_map(Interlude::Deed),
        (any::<bool>(), any::<Index>(), any::<bool>())
            .prop_map(|(other, edge, garbage)| Interlude::Reconcile { other, edge, garbage }),
    ];
    (
        0usize..2,
        any::<Index>(),
        any::<bool>(),
        prop::option::of((0u8..5, fault)),
        prop::option::of((0u8..5, interlude)),
    )
        .prop_map(|(controller, edge, garbage, fault, interlude)| Step::Reconcile {
            controller,
            edge,
            garbage,
            fault,
            interlude,
        })
}

pub fn history(steps: usize) -> impl Strategy<Value = History> {
    let step = prop_oneof![
        8 => deed().prop_map(Step::Deed),
        6 => reconcile(),
        2 => (0usize..2).prop_map(|controller| Step::ReconcileAll { controller }),
        2 => (0usize..2, prop::collection::vec(any::<Index>(), 1..4))
            .prop_map(|(controller, which)| Step::Deliver { controller, which }),
        1 => (0usize..2).prop_map(|controller| Step::Relist { controller }),
        1 => (0usize..2).prop_map(|controller| Step::Crash { controller }),
    ];
    let news = prop_oneof![
        5 => Just(News::Prompt),
        2 => Just(News::Delayed),
        1 => Just(News::Lost),
        1 => Just(News::Twice),
    ];
    let controllers = prop_oneof![3 => Just(1usize), 1 => Just(2usize)];
    (controllers, any::<bool>(), prop::collection::vec((step, news), 1..steps))
        .prop_map(|(controllers, unique_names, steps)| History { controllers, unique_names, steps })
}
