//! The containers by what selectors name, so that one declaration costs what it declares and not the square of
//! what there is.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use super::{Participant, has_run, is_idle, is_leaving, rank};
use crate::model::labels::{MAX_SELECTOR_BYTES, Topology};
use crate::model::moment::Moment;
use crate::model::services::Services;
use crate::model::workload::{self, Selector, Workload};

/// A container by its place in [`Index::all`].
pub(super) type Place = usize;

type Pairs = [(String, String)];

/// All containers, in the order in which they lead.
pub(super) struct Index<'a> {
    pub(super) all: Vec<&'a Participant>,
    by_name: HashMap<&'a str, Place>,
    /// The replicas of each service, by project and service.
    by_service: HashMap<&'a str, HashMap<&'a str, Vec<Place>>>,
    /// Containers that have the labels of a service, and are no replica of it.
    pretenders: HashMap<(&'a str, &'a str), Place>,
    /// Containers that were replaced by another one of their number.
    replaced: HashSet<Place>,
    topologies: HashMap<&'a Workload, Topology>,
    /// Containers by the labels that any link's selector names.
    by_label: HashMap<(&'a str, &'a str), Vec<Place>>,
    /// The containers that each selector by labels selects, once it was asked for.
    by_labels: RefCell<HashMap<&'a Pairs, Rc<Vec<Place>>>>,
    services: &'a Services,
}

/// The meaning of a name in a label of one container.
enum Meaning<'i> {
    /// The replicas of a service.
    Service(&'i [Place]),
    Container(Place),
    /// No service that has a container now, and not this container either.
    Stranger(Place),
    Nothing,
}

/// The result of a selector.
#[derive(Default)]
pub(super) struct Found {
    pub(super) places: Vec<Place>,
    /// A container of that name that is not taken for the service that had it.
    pub(super) stranger: Option<Place>,
    /// A container that has the labels of that service, and is no replica of it.
    pub(super) pretender: Option<Place>,
}

impl<'a> Index<'a> {
    pub(super) fn new(participants: &[&'a Participant], services: &'a Services) -> Self {
        let mut all = participants.to_vec();
        all.sort_by(|a, b| rank(&a.container).cmp(&rank(&b.container)));
        let mut index = Self {
            by_name: HashMap::with_capacity(all.len()),
            by_service: HashMap::new(),
            pretenders: HashMap::new(),
            replaced: replaced(&all),
            topologies: HashMap::with_capacity(all.len()),
            by_label: HashMap::new(),
            by_labels: RefCell::default(),
            services,
            all,
        };
        for (place, participant) in index.all.iter().enumerate() {
            let Participant { container, workload, declared } = participant;
            // While a rename or a removal has not been seen yet, two containers seem to have one name: it is
            // that of the newest of those that stay.
            let age = |place: Place| {
                let container = &index.all[place].container;
                (!is_leaving(container), &container.created)
            };
            let named = index.by_name.entry(&container.name).or_insert(place);
            if age(place) > age(*named) {
                *named = place;
            }
            match (workload, workload::claimed(&container.labels)) {
                (Workload::Service { project, service }, _) => {
                    let services = index.by_service.entry(project).or_default();
                    services.entry(service).or_default().push(place);
                }
                (Workload::Container(_), Some(claimed)) => {
                    index.pretenders.entry(claimed).or_insert(place);
                }
                (Workload::Container(_), None) => {}
            }
            if !declared.ignore && !is_leaving(container) {
                index.topologies.entry(workload).or_insert(declared.topology);
            }
        }
        index.by_label = index.labelled();
        index
    }

    /// The containers by each of the labels that a link's selector names.
    fn labelled(&self) -> HashMap<(&'a str, &'a str), Vec<Place>> {
        let mut by_label: HashMap<(&str, &str), Vec<Place>> = HashMap::new();
        for link in self.all.iter().flat_map(|participant| &participant.declared.links) {
            if let Selector::Labels(pairs) = &link.target.selector {
                for (key, value) in pairs {
                    by_label.entry((key, value)).or_default();
                }
            }
        }
        if by_label.is_empty() {
            return by_label;
        }
        for (place, participant) in self.all.iter().enumerate().filter(|(place, _)| self.stays(*place)) {
            let labels = participant.container.labels.iter();
            for (key, value) in labels.filter(|(key, value)| key.len() + value.len() < MAX_SELECTOR_BYTES) {
                if let Some(places) = by_label.get_mut(&(key.as_str(), value.as_str())) {
                    places.push(place);
                }
            }
        }
        by_label
    }

    /// Whether the container can be a provider: it is not on its way out, and no other one took its place.
    fn stays(&self, place: Place) -> bool {
        !is_leaving(&self.all[place].container) && !self.replaced.contains(&place)
    }

    /// The topology of a provider, as its leading replica says: a container that comes later, or that never ran,
    /// moves no consumer to another network. A replaced container leads too, because a container with spoofed labels
    /// could replace one while that one restarts.
    pub(super) fn topology(&self, workload: &Workload) -> Topology {
        self.topologies.get(workload).copied().unwrap_or_default()
    }

    /// The containers that a link's selector means when it is written on `from`.
    pub(super) fn select(&self, from: &Participant, selector: &'a Selector) -> Found {
        match selector {
            Selector::Name(name) => self.select_name(from, name),
            Selector::Service { project, service } => self.select_service(project, service),
            Selector::Labels(pairs) => {
                let found = self.select_labels(pairs);
                let others = found.iter().copied().filter(|place| self.all[*place].workload != from.workload);
                Found { places: others.collect(), ..Found::default() }
            }
        }
    }

    /// Whether `selector`, when it is written on `from`, means `target`: costs what is written, not what there is.
    pub(super) fn selects(&self, from: &Participant, selector: &Selector, target: Place) -> bool {
        let container = self.all[target];
        let means = match selector {
            Selector::Name(name) => match self.meaning(from, name) {
                Meaning::Service(_) => {
                    matches!(&container.workload, Workload::Service { project, service }
                        if service == name && from.project() == Some(project))
                }
                Meaning::Container(place) => place == target,
                Meaning::Stranger(_) | Meaning::Nothing => false,
            },
            Selector::Service { project, service } => {
                matches!(&container.workload, Workload::Service { project: p, service: s }
                    if p == project && s == service)
            }
            Selector::Labels(pairs) => container.workload != from.workload && has_all(container, pairs),
        };
        means && !is_leaving(&container.container)
    }

    fn select_name(&self, from: &Participant, name: &str) -> Found {
        match self.meaning(from, name) {
            Meaning::Service(replicas) => self.staying(replicas),
            Meaning::Container(place) => self.staying(&[place]),
            Meaning::Stranger(place) => Found { stranger: Some(place), ..Found::default() },
            Meaning::Nothing => {
                let pretender =
                    from.project().and_then(|project| self.pretenders.get(&(project.as_str(), name)));
                Found { pretender: pretender.copied(), ..Found::default() }
            }
        }
    }

    /// In a container of a compose project a name means the service of that project. It means a container of
    /// that name only while no such service is known of: a service that has no container at the moment is not
    /// replaced by somebody else's.
    fn meaning(&self, from: &Participant, name: &str) -> Meaning<'_> {
        let project = from.project();
        if let Some(replicas) = project.and_then(|project| self.replicas(project, name)) {
            return Meaning::Service(replicas);
        }
        let Some(place) = self.by_name.get(name).copied() else { return Meaning::Nothing };
        let is_service = project.is_some_and(|project| self.services.has(project, name))
            || workload::depends_on(&from.container.labels).any(|service| service == name);
        // Compose itself made a container of the same project under that name.
        if is_service && self.all[place].project() != project {
            return Meaning::Stranger(place);
        }
        Meaning::Container(place)
    }

    fn select_service(&self, project: &str, service: &str) -> Found {
        match self.replicas(project, service) {
            Some(replicas) => self.staying(replicas),
            None => {
                Found { pretender: self.pretenders.get(&(project, service)).copied(), ..Found::default() }
            }
        }
    }

    fn replicas(&self, project: &str, service: &str) -> Option<&[Place]> {
        self.by_service.get(project)?.get(service).map(Vec::as_slice)
    }

    fn staying(&self, places: &[Place]) -> Found {
        let places = places.iter().copied().filter(|place| self.stays(*place)).collect();
        Found { places, ..Found::default() }
    }

    fn select_labels(&self, pairs: &'a Pairs) -> Rc<Vec<Place>> {
        if let Some(found) = self.by_labels.borrow().get(pairs) {
            return Rc::clone(found);
        }
        let lists =
            pairs.iter().filter_map(|(key, value)| self.by_label.get(&(key.as_str(), value.as_str())));
        let rarest = lists.min_by_key(|places| places.len()).map_or(&[][..], Vec::as_slice);
        let found = rarest.iter().copied().filter(|place| has_all(self.all[*place], pairs));
        let found = Rc::new(found.collect::<Vec<Place>>());
        self.by_labels.borrow_mut().insert(pairs, Rc::clone(&found));
        found
    }
}

fn has_all(participant: &Participant, pairs: &Pairs) -> bool {
    #[cfg(test)]
    COMPARED.with(|compared| compared.set(compared.get() + 1));
    pairs.iter().all(|(key, value)| participant.container.labels.get(key) == Some(value))
}

/// The containers that do not run while a newer one of the same number of the same service ever ran. Tools that
/// update containers may keep the old one under another name, with all its labels.
fn replaced(all: &[&Participant]) -> HashSet<Place> {
    let mut newest: BTreeMap<(&Workload, &str), Moment> = BTreeMap::new();
    for participant in all.iter().filter(|p| has_run(&p.container) && !is_leaving(&p.container)) {
        if let (Workload::Service { .. }, Some(number)) =
            (&participant.workload, workload::number(&participant.container.labels))
        {
            let created = newest.entry((&participant.workload, number)).or_default();
            *created = (*created).max(participant.container.created);
        }
    }
    let is_replaced = |participant: &Participant| {
        let Some(number) = workload::number(&participant.container.labels) else { return false };
        let newest = newest.get(&(&participant.workload, number));
        is_idle(&participant.container)
            && newest.is_some_and(|created| *created > participant.container.created)
    };
    (0..all.len()).filter(|place| is_replaced(all[*place])).collect()
}

#[cfg(test)]
thread_local! {
    static COMPARED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How often a container's labels were compared with a selector's, by this thread.
#[cfg(test)]
pub(super) fn compared() -> usize {
    COMPARED.with(std::cell::Cell::get)
}
