//! One history told on one engine.

use std::collections::BTreeMap;

use super::super::container::{Attachment, ContainerId, NetworkId};
use super::super::link::EdgeKey;
use super::super::owner::Owner;
use super::super::plan::{Action, NetworkRef, Planned, plan};
use super::super::world::Policy;
use super::controller::{Controller, Run, Subject};
use super::engine::{Engine, Refusal};
use super::history::{Fault, History, Interlude, News, Spec, Step};
use super::oracle::is_ours;

pub struct Story {
    pub engine: Engine,
    pub specs: BTreeMap<ContainerId, Spec>,
    pub controllers: Vec<Controller>,
    /// Engine calls that controllers made.
    pub calls: usize,
    /// What must never happen, and did.
    pub crimes: Vec<String>,
    /// Whether a start may fail for a while: somebody removed a network of ours, or made one.
    pub tampered: bool,
    pub policy: Policy,
}

/// How an action ended, as far as the run goes on or not.
enum Ended {
    Done,
    Refused(Option<Refusal>),
    Unanswered,
    Crashed,
}

impl Story {
    pub fn new(controllers: usize, unique_names: bool) -> Self {
        let policy = Policy {
            owner: Owner::new("tieline"),
            label_prefix: "tieline.".to_owned(),
            default_deny: false,
            pool: "10.213.0.0/16".parse().unwrap(),
        };
        let mut story = Self {
            engine: Engine::new(unique_names),
            specs: BTreeMap::new(),
            controllers: (0..controllers).map(|_| Controller::new(policy.clone())).collect(),
            calls: 0,
            crimes: Vec::new(),
            // Two controllers may catch each other in the middle of things.
            tampered: controllers > 1,
            policy,
        };
        let foreign = "192.168.7.0/28".parse().unwrap();
        story.engine.create_network("foreign", foreign, Default::default()).unwrap();
        story.relist_all();
        story
    }

    pub fn tell(history: &History) -> Self {
        let mut story = Self::new(history.controllers, history.unique_names);
        for (step, news) in &history.steps {
            story.step(step, *news);
        }
        story
    }

    fn step(&mut self, step: &Step, news: News) {
        let count = self.controllers.len();
        match step {
            Step::Deed(deed) => self.deed(deed, news),
            Step::Reconcile { controller, edge, garbage, fault, interlude } => {
                let at = controller % count;
                if let Some(edge) = self.pick_edge(at, edge) {
                    self.reconcile(at, &edge, *garbage, fault.as_ref(), interlude.as_ref(), news);
                }
            }
            Step::ReconcileAll { controller } => self.reconcile_all(controller % count),
            Step::Deliver { controller, which } => {
                which.iter().for_each(|which| self.controllers[controller % count].deliver(which));
            }
            Step::Relist { controller } => self.controllers[controller % count].relist(&self.engine),
            Step::Crash { controller } => self.crash(controller % count),
        }
    }

    pub fn relist_all(&mut self) {
        self.controllers.iter_mut().for_each(|controller| controller.relist(&self.engine));
    }

    /// Forgets everything and begins with a whole list, as after every start.
    fn crash(&mut self, at: usize) {
        self.controllers[at] = Controller::new(self.policy.clone());
        self.controllers[at].relist(&self.engine);
    }

    pub fn pick_edge(&self, at: usize, index: &proptest::sample::Index) -> Option<EdgeKey> {
        let edges: Vec<EdgeKey> = self.controllers[at].edges().into_iter().collect();
        (!edges.is_empty()).then(|| index.get(&edges).clone())
    }

    /// Carries out all that one controller sees to be done; says how many actions that was.
    pub fn reconcile_all(&mut self, at: usize) {
        for edge in self.controllers[at].edges() {
            self.reconcile(at, &edge, true, None, None, News::Prompt);
        }
    }

    fn reconcile(
        &mut self,
        at: usize,
        edge: &EdgeKey,
        garbage: bool,
        fault: Option<&(u8, Fault)>,
        interlude: Option<&(u8, Interlude)>,
        news: News,
    ) {
        let controller = &mut self.controllers[at];
        if !controller.listed || !controller.busy.insert(edge.clone()) {
            return;
        }
        let plan = plan(edge, &controller.world);
        controller.world.obstacles_mut().claim(edge.clone(), plan.claim());
        let mut actions: Vec<Planned> = plan.actions;
        if garbage {
            actions.extend(plan.garbage);
        }
        let mut run = Run::default();
        for (position, planned) in actions.iter().enumerate() {
            if let Some((_, interlude)) = interlude.filter(|(when, _)| usize::from(*when) == position) {
                self.interlude(at, interlude, news);
            }
            let fault = fault.filter(|(when, _)| usize::from(*when) == position).map(|(_, fault)| *fault);
            match self.act(&mut run, &planned.action, fault, news) {
                Ended::Done => {}
                Ended::Refused(refusal) => self.note(at, &mut run, &planned.action, refusal),
                Ended::Unanswered => break,
                Ended::Crashed => return self.crash(at),
            }
        }
        self.look_again(at, &run);
        let controller = &mut self.controllers[at];
        controller.world.obstacles_mut().release(edge);
        controller.busy.remove(edge);
    }

    /// The engine as it would be if the same containers were made on a new one, with a new controller.
    pub fn fresh(&self) -> Engine {
        let mut story = Self::new(1, self.engine.unique_names);
        story.engine.containers = self.engine.containers.clone();
        for body in story.engine.containers.values_mut() {
            body.entries.clear();
            body.endpoints.clear();
        }
        story.specs = self.specs.clone();
        for _ in 0..2 {
            story.relist_all();
            story.reconcile_all(0);
        }
        story.engine
    }

    fn interlude(&mut self, at: usize, interlude: &Interlude, news: News) {
        match interlude {
            Interlude::Deed(deed) => self.deed(deed, news),
            Interlude::Reconcile { other, edge, garbage } => {
                let at = if *other { self.controllers.len() - 1 - at } else { at };
                if let Some(edge) = self.pick_edge(at, edge) {
                    self.reconcile(at, &edge, *garbage, None, None, News::Prompt);
                }
            }
        }
    }

    fn act(&mut self, run: &mut Run, action: &Action, fault: Option<Fault>, news: News) -> Ended {
        self.calls += 1;
        match fault {
            Some(Fault::Refused) => return Ended::Refused(None),
            Some(Fault::Unanswered) => return Ended::Unanswered,
            Some(Fault::CrashBefore) => return Ended::Crashed,
            Some(Fault::ReplyLost | Fault::CrashAfter) | None => {}
        }
        let done = self.call(run, action, fault.is_some(), news);
        match (fault, done) {
            (Some(Fault::CrashAfter), _) => Ended::Crashed,
            (Some(_), _) => Ended::Unanswered,
            (None, Ok(())) => Ended::Done,
            (None, Err(refusal)) => Ended::Refused(Some(refusal)),
        }
    }

    /// One call. A network whose creation was not answered has no id that the run could know.
    fn call(&mut self, run: &mut Run, action: &Action, unheard: bool, news: News) -> Result<(), Refusal> {
        let id_of = |run: &Run, network: &NetworkRef| match network {
            NetworkRef::Existing { id, .. } => Some(id.clone()),
            NetworkRef::New(name) => run.made.get(name).cloned(),
            NetworkRef::Gone(_) | NetworkRef::Missing(_) => None,
        };
        match action {
            Action::CreateNetwork(new) => {
                let id = self.engine.create_network(&new.name, new.subnet, new.labels.clone())?;
                self.news(&Subject::Network(id.clone()), news);
                if !unheard {
                    run.networks.insert(id.clone());
                    run.made.insert(new.name.clone(), id);
                }
            }
            Action::Connect { network, container, aliases, options } => {
                let Some(id) = id_of(run, network) else { return Ok(()) };
                self.must_be_ours(&id, action);
                run.containers.insert(container.id.clone());
                run.networks.insert(id.clone());
                run.joined.push((id.clone(), container.id.clone()));
                let (aliases, options) = (aliases.clone(), options.clone());
                let network = Some(id.clone());
                let shown = Attachment { network, aliases, options, ..Attachment::default() };
                let result = self.engine.connect(&id, &container.id, shown, true);
                self.news(&Subject::Container(container.id.clone()), news);
                accept(result, Refusal::AlreadyConnected)?;
            }
            Action::Disconnect { network: NetworkRef::Missing(name), .. } if self.is_taken(name) => {
                run.all_networks = true;
            }
            Action::Disconnect { network, container } => {
                let address = match (network, id_of(run, network)) {
                    (_, Some(id)) => id.0,
                    (NetworkRef::Gone(name) | NetworkRef::Missing(name), None) => name.clone(),
                    _ => return Ok(()),
                };
                let exists = self.must_be_ours(&NetworkId(address.clone()), action);
                run.containers.insert(container.id.clone());
                let result = self.engine.disconnect(&address, &container.id);
                if !exists && result.as_ref().is_ok_and(|entry| !entry.ours) {
                    self.crimes.push(format!("{action}: that was somebody else's"));
                }
                self.news(&Subject::Container(container.id.clone()), news);
                accept(result.map(drop), Refusal::NotConnected)?;
            }
            Action::RemoveNetwork { id, .. } => {
                self.must_be_ours(id, action);
                run.networks.insert(id.clone());
                let attached = self.engine.attached_to(id);
                if !attached.is_empty() {
                    run.containers.extend(attached);
                    return Err(Refusal::InUse);
                }
                self.engine.remove_network(id)?;
                self.news(&Subject::Network(id.clone()), news);
            }
        }
        Ok(())
    }

    /// Whether a network has this name, as the controller asks before it leaves one that has gone.
    fn is_taken(&self, name: &str) -> bool {
        self.engine.networks.values().any(|network| network.name == *name)
    }

    /// Says whether the network exists.
    fn must_be_ours(&mut self, id: &NetworkId, action: &Action) -> bool {
        let found = self.engine.networks.get(id);
        if found.is_some_and(|network| !is_ours(network)) {
            self.crimes.push(format!("{action}: that network is somebody else's"));
        }
        found.is_some()
    }

    fn note(&mut self, at: usize, run: &mut Run, action: &Action, refusal: Option<Refusal>) {
        if matches!(refusal, Some(Refusal::NoSuchContainer | Refusal::NoSuchNetwork)) {
            return;
        }
        match (action, refusal) {
            (Action::CreateNetwork(new), Some(Refusal::SubnetTaken)) => {
                self.controllers[at].world.obstacles_mut().refuse(new.subnet);
                run.all_networks = true;
            }
            (_, Some(Refusal::NameTaken)) => run.all_networks = true,
            (Action::Connect { network: NetworkRef::Existing { id, .. }, .. }, Some(Refusal::SubnetFull)) => {
                self.controllers[at].world.obstacles_mut().fill(id.clone());
            }
            _ => {}
        }
    }

    fn look_again(&mut self, at: usize, run: &Run) {
        let controller = &mut self.controllers[at];
        let mut seen = Vec::new();
        for id in &run.networks {
            seen.push(controller.look(&self.engine, &Subject::Network(id.clone())));
            if !self.engine.networks.contains_key(id) {
                for (_, container) in run.joined.iter().filter(|(network, _)| network == id) {
                    self.calls += 1;
                    let _ = self.engine.disconnect(id.as_str(), container);
                }
            }
        }
        for id in &run.containers {
            seen.push(controller.look(&self.engine, &Subject::Container(id.clone())));
        }
        controller.world.apply(seen);
        if run.all_networks {
            controller.look_at_all_networks(&self.engine);
        }
    }

    pub fn news(&mut self, subject: &Subject, news: News) {
        self.controllers.iter_mut().for_each(|controller| controller.hear(&self.engine, subject, news));
    }
}

fn accept(result: Result<(), Refusal>, refusal: Refusal) -> Result<(), Refusal> {
    match result {
        Err(found) if found == refusal => Ok(()),
        other => other,
    }
}
