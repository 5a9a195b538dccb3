//! Addresses for the plugin `cluster`: drives the state machine of grants over the store, the disk and the
//! socket. What it decides is netloom-cluster's; here it gets its ears and hands.

mod disk;
mod reservations;
mod socket;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use netloom_cluster::grants::{
    Config, DiskId, DiskOp, DiskReply, Input, Machine, Now, OpId, Output, StoreReply, Ticket,
};
use netloom_cluster::message::{Answer, Refusal};
use netloom_cluster::record::{NodeRecord, WantRecord};
use netloom_cluster::{ClusterId, NodeName, SpaceName, key};
use netloom_spec::code;
use tokio::sync::{mpsc, oneshot};

use crate::identity::{Identity, random};
use crate::store::{Call, Change, Entry};
use reservations::Reservations;
pub(crate) use socket::{Asked, listen, serve};

/// How long a node is waited for that does not announce itself to a store that is new, in milliseconds.
const FORGET_AFTER: u64 = 10 * 60 * 1000;
/// How long a grant is idle before it goes back, in milliseconds.
const IDLE: u64 = 60 * 1000;

/// The machine's hands.
pub(crate) struct Grants {
    machine: Machine,
    name: NodeName,
    root: PathBuf,
    started: Instant,
    calls: mpsc::Sender<Call>,
    store_replies: mpsc::UnboundedSender<(OpId, StoreReply)>,
    disk_replies: mpsc::UnboundedSender<(DiskId, DiskReply)>,
    waiting: HashMap<Ticket, oneshot::Sender<Answer>>,
    nodes: BTreeMap<NodeName, NodeRecord>,
    wants: BTreeMap<(SpaceName, NodeName), WantRecord>,
    connected: Option<ClusterId>,
    /// What the own record shall say.
    pub(crate) announced: Option<(ClusterId, bool)>,
}

/// The machine's ears.
pub(crate) struct Ears {
    store: mpsc::UnboundedReceiver<(OpId, StoreReply)>,
    disk: mpsc::UnboundedReceiver<(DiskId, DiskReply)>,
    asked: mpsc::Receiver<Asked>,
    reservations: Reservations,
}

/// What they hear.
pub(crate) enum Heard {
    Input(Box<Input>),
    Request(Box<Asked>),
}

impl Ears {
    /// Waits for something.
    pub(crate) async fn hear(&mut self) -> Heard {
        let input = tokio::select! {
            Some((id, reply)) = self.store.recv() => Input::Store(id, reply),
            Some((id, reply)) = self.disk.recv() => Input::Disk(id, reply),
            Some(asked) = self.asked.recv() => return Heard::Request(Box::new(asked)),
            (space, usage) = self.reservations.changed() => Input::Usage(space, usage),
        };
        Heard::Input(Box::new(input))
    }
}

impl Grants {
    /// With what is on the disk below `root`.
    pub(crate) fn start(
        identity: &Identity,
        root: &Path,
        calls: mpsc::Sender<Call>,
        asked: mpsc::Receiver<Asked>,
    ) -> Result<(Self, Ears)> {
        let found = disk::load(root)?;
        let config = Config {
            node: identity.name.clone(),
            boot: identity.boot.clone(),
            forget_after: FORGET_AFTER,
            idle: IDLE,
            seed: random(),
        };
        let reservations = Reservations::watch(root)?;
        let usages = reservations.all();
        let (store_replies, store) = mpsc::unbounded_channel();
        let (disk_replies, disk) = mpsc::unbounded_channel();
        let mut grants = Self {
            machine: Machine::new(config, found.cluster, found.spaces),
            name: identity.name.clone(),
            root: root.to_owned(),
            started: Instant::now(),
            calls,
            store_replies,
            disk_replies,
            waiting: HashMap::new(),
            nodes: BTreeMap::new(),
            wants: BTreeMap::new(),
            connected: None,
            announced: None,
        };
        for (space, usage) in usages {
            grants.input(Input::Usage(space, usage));
        }
        let ears = Ears {
            store,
            disk,
            asked,
            reservations,
        };
        Ok((grants, ears))
    }

    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        Now {
            instant: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            wall: wall.map_or(0, |since| since.as_secs()),
        }
    }

    /// When the machine wants to hear that time has passed.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let at = self.machine.wake_at(self.now())?;
        Some(self.started + std::time::Duration::from_millis(at))
    }

    /// Takes in what was heard.
    pub(crate) fn heard(&mut self, heard: Heard) {
        match heard {
            Heard::Input(input) => self.input(*input),
            Heard::Request(asked) => match *asked {
                Asked::Request(ticket, request, answer) => {
                    self.waiting.insert(ticket, answer);
                    self.input(Input::Request(ticket, request));
                }
                Asked::Gone(ticket) => {
                    self.waiting.remove(&ticket);
                    self.input(Input::Gone(ticket));
                }
            },
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self) {
        self.input(Input::Tick);
    }

    fn input(&mut self, input: Input) {
        let mut out = Vec::new();
        self.machine.handle(self.now(), input, &mut out);
        for output in out {
            self.output(output);
        }
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Store(id, op) => {
                let reply = self.store_replies.clone();
                let call = Call { id, op, reply };
                if let Err(error) = self.calls.try_send(call) {
                    error.into_inner().refuse("too many calls are under way");
                }
            }
            Output::Disk(id, op) => self.on_disk(id, op),
            Output::Answer(ticket, answer) => {
                if let Some(waiting) = self.waiting.remove(&ticket) {
                    let _ = waiting.send(answer);
                }
            }
            Output::Announce { announced, settled } => self.announced = Some((announced, settled)),
            Output::Tell(line) => note!("{line}"),
        }
    }

    fn on_disk(&self, id: DiskId, op: DiskOp) {
        let (root, replies) = (self.root.clone(), self.disk_replies.clone());
        // It waits for the disk, and for whoever holds a space's lock.
        tokio::task::spawn_blocking(move || {
            let _ = replies.send((id, disk::perform(&root, op)));
        });
    }

    /// The store answers.
    pub(crate) fn connected(&mut self, cluster: ClusterId) {
        if self
            .connected
            .as_ref()
            .is_some_and(|before| *before != cluster)
        {
            self.disconnected();
        }
        self.connected = Some(cluster.clone());
        self.input(Input::Connected(cluster));
        self.input(Input::Nodes(self.nodes.clone()));
        let spaces: Vec<SpaceName> = self.machine.spaces().cloned().collect();
        spaces.into_iter().for_each(|space| self.tell_wants(space));
    }

    /// It does not.
    pub(crate) fn disconnected(&mut self) {
        if self.connected.take().is_some() {
            self.input(Input::Disconnected);
        }
    }

    /// All records of nodes and wants, among others.
    pub(crate) fn listed(&mut self, entries: &[Entry]) {
        self.nodes.clear();
        let wanted: Vec<SpaceName> = self.wants.keys().map(|(space, _)| space.clone()).collect();
        self.wants.clear();
        for entry in entries {
            self.take(&entry.key, Some(&entry.value));
        }
        if self.connected.is_some() {
            self.input(Input::Nodes(self.nodes.clone()));
            wanted.into_iter().for_each(|space| self.tell_wants(space));
        }
    }

    /// A record was written or removed.
    pub(crate) fn changed(&mut self, change: &Change) {
        let (key, value) = match change {
            Change::Put(entry) => (entry.key.as_str(), Some(entry.value.as_slice())),
            Change::Removed(key) => (key.as_str(), None),
        };
        self.take(key, value);
        if key::parse_node(key).is_some() {
            self.input(Input::Nodes(self.nodes.clone()));
        } else if let Some((space, _)) = key::parse_want(key) {
            self.tell_wants(space);
        }
    }

    fn take(&mut self, key: &str, value: Option<&[u8]>) {
        if let Some(name) = key::parse_node(key) {
            match value.and_then(|value| NodeRecord::parse(value).ok()) {
                Some(record) => self.nodes.insert(name, record),
                None => self.nodes.remove(&name),
            };
        } else if let Some((space, name)) = key::parse_want(key)
            && name != self.name
        {
            match value.and_then(|value| WantRecord::parse(value).ok()) {
                Some(record) => self.wants.insert((space, name), record),
                None => self.wants.remove(&(space, name)),
            };
        }
    }

    /// What the others lack in a space, all together.
    fn tell_wants(&mut self, space: SpaceName) {
        let of_space = self.wants.iter().filter(|((of, _), _)| *of == space);
        let all = WantRecord::together(of_space.map(|(_, want)| want));
        self.input(Input::Wants(space, all));
    }

    /// For the status: each space, how many addresses its grants have, and why new ones cannot be claimed.
    pub(crate) fn spaces(&self) -> Vec<(String, u64)> {
        let count = |space: &SpaceName| {
            let grants = self.machine.grants(space);
            grants.map_or(0, |file| {
                file.grants
                    .iter()
                    .map(|grant| u64::from(grant.span.len()))
                    .sum()
            })
        };
        let spaces = self.machine.spaces();
        spaces
            .map(|space| (space.to_string(), count(space)))
            .collect()
    }

    /// Why nothing can be claimed, if so.
    pub(crate) fn hindrance(&self) -> Option<String> {
        self.machine.ready(self.now().instant).err()
    }
}

/// The answer where there is nobody who could give one.
pub(crate) fn nobody() -> Answer {
    Answer::Refused(Refusal {
        code: code::TRY_AGAIN_LATER,
        msg: "the daemon ends".into(),
    })
}
