//! The cluster: what happens, and when.

use crate::disk::{Disk, SPACE};
use crate::node::{Add, Node};
use crate::random::Random;
use crate::store::Store;
use netloom_cluster::grants::{
    DiskId, DiskOp, DiskReply, Input, Now, OpId, Output, StoreOp, StoreReply, Ticket,
};
use netloom_cluster::message::{Answer, Op, Pod, Request, WantedRange, WantedSet};
use netloom_cluster::record::{Keep, NodeRecord};
use netloom_cluster::{SpaceName, key};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::IpAddr;

/// How bad things are. All numbers but the first are of a thousand.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    /// How long a message may take, in milliseconds.
    pub(crate) delay: u64,
    pub(crate) lost: u64,
    pub(crate) twice: u64,
    /// How much later the second of two comes at most, in milliseconds.
    pub(crate) again: u64,
    pub(crate) late: u64,
    pub(crate) refused: u64,
    pub(crate) crash: u64,
    pub(crate) disk_fails: u64,
}

impl Faults {
    pub(crate) const NONE: Self = Self {
        delay: 2,
        lost: 0,
        twice: 0,
        again: 10_000,
        late: 0,
        refused: 0,
        crash: 0,
        disk_fails: 0,
    };
}

#[derive(Debug)]
pub(crate) enum Event {
    /// A store operation arrives.
    Arrive {
        node: usize,
        start: u64,
        store: u64,
        id: OpId,
        op: StoreOp,
        tell: bool,
    },
    /// Something for a machine, of that start of its daemon.
    Input {
        node: usize,
        start: u64,
        input: Box<Input>,
    },
    Disk {
        node: usize,
        start: u64,
        id: DiskId,
        op: Box<DiskOp>,
    },
    Tick {
        node: usize,
        start: u64,
    },
    Start {
        node: usize,
    },
    Announce {
        node: usize,
        start: u64,
        record: Box<NodeRecord>,
    },
    /// All nodes' watches say what there is.
    Watch {
        node: usize,
    },
    /// The daemon hears that reservations came or went.
    Look {
        node: usize,
        start: u64,
    },
    Deadline {
        node: usize,
        ticket: u64,
    },
    EndLease {
        node: usize,
        start: u64,
    },
}

pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) now: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) store: Store,
    store_number: u64,
    pub(crate) store_is_up: bool,
    pub(crate) faults: Faults,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, Event>,
    sequence: u64,
    /// Every address that a living pod has, with node and pod.
    pub(crate) living: BTreeMap<IpAddr, (usize, u64)>,
    /// What a restored store may say wrongly, until everybody has told it.
    pub(crate) is_wiped: bool,
    /// Whether the store was emptied. A node that lost its disk and is the first to find it knows of
    /// nobody: docs/security.md says so, and here it does not happen.
    is_emptied: bool,
    pub(crate) log: bool,
    pub(crate) claims: u64,
    /// How many addresses nodes took out of the store.
    pub(crate) gone_back: u64,
    /// How many records they removed.
    pub(crate) removed: u64,
    pub(crate) adds: u64,
    pub(crate) failed_adds: Vec<String>,
    pub(crate) added: BTreeMap<u64, (usize, Vec<IpAddr>)>,
    pub(crate) steps: u64,
    pub(crate) said: Vec<String>,
}

fn describe(node: usize, op: &StoreOp) -> String {
    match op {
        StoreOp::Swap {
            key,
            expected,
            value,
        } => {
            let value = value.as_ref().map(|it| String::from_utf8_lossy(it));
            format!(
                "n{node} swap {key} {expected:?} {}",
                value.unwrap_or_default()
            )
        }
        op => format!("n{node} {op:?}"),
    }
}

pub(crate) fn space() -> SpaceName {
    SpaceName::new(SPACE).unwrap()
}

pub(crate) fn set(start: &str, end: &str) -> WantedSet {
    WantedSet {
        ranges: vec![WantedRange {
            start: start.parse().unwrap(),
            end: end.parse().unwrap(),
        }],
        address: None,
    }
}

impl World {
    pub(crate) fn new(seed: u64, nodes: u64, faults: Faults) -> Self {
        let mut world = Self {
            random: Random::new(seed),
            now: 0,
            nodes: (0..nodes).map(Node::new).collect(),
            store: Store::new(1),
            store_number: 1,
            store_is_up: true,
            faults,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            sequence: 0,
            living: BTreeMap::new(),
            is_wiped: false,
            is_emptied: false,
            log: std::env::var_os("NETLOOM_SEED").is_some(),
            claims: 0,
            gone_back: 0,
            removed: 0,
            adds: 0,
            failed_adds: Vec::new(),
            added: BTreeMap::new(),
            steps: 0,
            said: Vec::new(),
        };
        for node in 0..world.nodes.len() {
            let at = world.random.below(50);
            world.after(at, Event::Start { node });
        }
        world
    }

    pub(crate) fn after(&mut self, delay: u64, event: Event) {
        self.sequence += 1;
        self.queue.push(Reverse((self.now + delay, self.sequence)));
        self.events.insert(self.sequence, event);
    }

    pub(crate) fn note(&self, text: impl FnOnce() -> String) {
        if self.log {
            eprintln!("{:>8} {}", self.now, text());
        }
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, milliseconds: u64) {
        let until = self.now + milliseconds;
        while let Some(Reverse((at, sequence))) = self.queue.peek().copied() {
            if at > until {
                break;
            }
            self.queue.pop();
            self.now = self.now.max(at);
            if let Some(event) = self.events.remove(&sequence) {
                self.steps += 1;
                self.step(event);
            }
        }
        self.now = until;
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Arrive {
                node,
                start,
                store,
                id,
                op,
                tell,
            } => {
                self.arrive(node, start, store, id, &op, tell);
            }
            Event::Input { node, start, input } => {
                if self.nodes[node].start == start {
                    if let Input::Store(id, reply) = &*input {
                        self.nodes[node].read_is_answered(*id, reply);
                    }
                    self.input(node, *input);
                }
            }
            Event::Disk {
                node,
                start,
                id,
                op,
            } => self.disk(node, start, id, *op),
            Event::Tick { node, start } => {
                if self.nodes[node].start == start {
                    self.nodes[node].next_tick = None;
                    self.input(node, Input::Tick);
                }
            }
            Event::Start { node } => self.start(node),
            Event::Announce {
                node,
                start,
                record,
            } => {
                let is_current = self.nodes[node].start == start;
                if is_current && self.reaches(node) && !self.nodes[node].is_fenced {
                    let key = key::node(&self.nodes[node].name);
                    self.store.put(&key, Some(record.to_json()), None);
                    self.changed();
                }
            }
            Event::Watch { node } => self.watch(node),
            Event::Look { node, start } => {
                if self.nodes[node].start == start {
                    let usage = self.nodes[node].disk.usage();
                    self.input(node, Input::Usage(space(), usage));
                }
            }
            Event::Deadline { node, ticket } => self.deadline(node, ticket),
            Event::EndLease { node, start } => {
                if self.nodes[node].start == start || self.nodes[node].machine.is_none() {
                    let name = self.nodes[node].name.clone();
                    self.store.end_lease(&name);
                    self.changed();
                }
            }
        }
    }

    pub(crate) fn reaches(&self, node: usize) -> bool {
        self.store_is_up && !self.nodes[node].is_cut_off
    }

    fn start(&mut self, node: usize) {
        if self.nodes[node].machine.is_some() {
            return;
        }
        let seed = self.random.next();
        self.nodes[node].start(seed);
        let known = self.nodes[node].disk.cluster.clone().unwrap_or_default();
        self.note(|| {
            format!(
                "n{node} starts, knows {}",
                String::from_utf8_lossy(&known).trim()
            )
        });
        let usage = self.nodes[node].disk.usage();
        self.input(node, Input::Usage(space(), usage));
        self.connect(node);
    }

    /// The daemon of a node that reaches the store connects, and its watches begin.
    pub(crate) fn connect(&mut self, node: usize) {
        if self.reaches(node) && self.nodes[node].machine.is_some() {
            let cluster = self.store.cluster.clone();
            self.input(node, Input::Connected(cluster));
            self.watch_soon(node);
        }
    }

    pub(crate) fn disconnect(&mut self, node: usize) {
        self.input(node, Input::Disconnected);
        let start = self.nodes[node].start;
        self.after(30_000, Event::EndLease { node, start });
    }

    pub(crate) fn delay(&mut self) -> u64 {
        let most = self.faults.delay;
        1 + self.random.below(most)
    }

    /// Everybody who watches hears of a change.
    pub(crate) fn changed(&mut self) {
        for node in 0..self.nodes.len() {
            self.watch_soon(node);
        }
    }

    fn watch_soon(&mut self, node: usize) {
        if !std::mem::replace(&mut self.nodes[node].is_watch_due, true) {
            let delay = self.delay();
            self.after(delay, Event::Watch { node });
        }
    }

    fn watch(&mut self, node: usize) {
        self.nodes[node].is_watch_due = false;
        if self.reaches(node) && self.nodes[node].machine.is_some() {
            let nodes = self.store.nodes();
            let wants = self.store.wants(&space(), &self.nodes[node].name);
            self.input(node, Input::Nodes(nodes));
            self.input(node, Input::Wants(space(), wants));
        }
    }

    /// Hands something to a machine and carries out what it says.
    pub(crate) fn input(&mut self, node: usize, input: Input) {
        let now = Now {
            instant: self.now,
            wall: 1_700_000_000 + self.now / 1000 + self.nodes[node].skew,
        };
        let mut out = Vec::new();
        let Some(machine) = &mut self.nodes[node].machine else {
            return;
        };
        machine.handle(now, input, &mut out);
        let wake = machine.wake_at(now);
        for output in out {
            // Every effect is a point at which the daemon may die.
            if self.random.happens(self.faults.crash) {
                self.crash(node);
                return;
            }
            self.output(node, output);
        }
        if let Some(at) = wake {
            let at = at.max(self.now + 1);
            if self.nodes[node].next_tick.is_none_or(|next| at < next) {
                self.nodes[node].next_tick = Some(at);
                let start = self.nodes[node].start;
                self.after(at - self.now, Event::Tick { node, start });
            }
        }
    }

    fn output(&mut self, node: usize, output: Output) {
        let start = self.nodes[node].start;
        match output {
            Output::Store(id, op) => {
                self.note(|| describe(node, &op));
                self.send(node, id, op);
            }
            Output::Disk(id, op) => {
                let delay = self.random.between(1, 3);
                let op = Box::new(op);
                self.after(
                    delay,
                    Event::Disk {
                        node,
                        start,
                        id,
                        op,
                    },
                );
            }
            Output::Answer(ticket, answer) => self.answer(node, ticket, answer),
            Output::Announce { announced, settled } => {
                let mut record = NodeRecord::new(format!("machine-{node}"));
                record.announced = Some(announced);
                record.settled = settled;
                let delay = self.delay();
                let record = Box::new(record);
                self.after(
                    delay,
                    Event::Announce {
                        node,
                        start,
                        record,
                    },
                );
            }
            Output::Tell(line) => {
                self.note(|| format!("n{node} says: {line}"));
                self.said.push(line);
            }
        }
    }

    /// An operation on its way to the store: it may be late, lost, or come twice.
    fn send(&mut self, node: usize, id: OpId, op: StoreOp) {
        let start = self.nodes[node].start;
        let store = self.store_number;
        let unknown = |why: &str| Box::new(Input::Store(id, StoreReply::Unknown(why.to_owned())));
        if self.random.happens(self.faults.refused) {
            let input = Box::new(Input::Store(id, StoreReply::Failed("refused".into())));
            self.after(1, Event::Input { node, start, input });
            return;
        }
        if !self.reaches(node) || self.random.happens(self.faults.lost) {
            let input = unknown("deadline exceeded");
            self.after(2_000, Event::Input { node, start, input });
            return;
        }
        if let StoreOp::Range { from, to } = &op {
            let range = from.clone()..to.clone();
            self.nodes[node].reads.insert(id, range);
        }
        let is_swap = matches!(op, StoreOp::Swap { .. });
        if is_swap && self.random.happens(self.faults.late) {
            let late = self.random.between(1_000, 20_000);
            self.after(
                late,
                Event::Arrive {
                    node,
                    start,
                    store,
                    id,
                    op,
                    tell: false,
                },
            );
            let input = unknown("deadline exceeded");
            self.after(2_000, Event::Input { node, start, input });
            return;
        }
        if is_swap && self.random.happens(self.faults.twice) {
            let later = self.random.between(1, self.faults.again);
            let op = op.clone();
            self.after(
                later,
                Event::Arrive {
                    node,
                    start,
                    store,
                    id,
                    op,
                    tell: false,
                },
            );
        }
        let delay = self.delay();
        self.after(
            delay,
            Event::Arrive {
                node,
                start,
                store,
                id,
                op,
                tell: true,
            },
        );
    }

    fn arrive(&mut self, node: usize, start: u64, store: u64, id: OpId, op: &StoreOp, tell: bool) {
        // What was meant for a store that is gone arrives nowhere.
        let is_there = self.store_is_up && store == self.store_number;
        let mut reply = StoreReply::Unknown("connection lost".into());
        if is_there {
            let name = self.nodes[node].name.clone();
            let (done, change) = self.store.apply(&name, op);
            reply = done;
            if let Some(change) = change {
                self.check_change(node, &change);
            }
            if matches!(op, StoreOp::Leased { .. }) {
                self.changed();
            }
        }
        if !tell {
            return;
        }
        let is_lost = !self.reaches(node) || self.random.happens(self.faults.lost);
        let (delay, reply) = if is_lost {
            (2_000, StoreReply::Unknown("connection lost".into()))
        } else {
            (self.delay(), reply)
        };
        let input = Box::new(Input::Store(id, reply));
        self.after(delay, Event::Input { node, start, input });
    }

    fn disk(&mut self, node: usize, start: u64, id: DiskId, op: DiskOp) {
        if self.nodes[node].start != start {
            return;
        }
        let fails = self.random.happens(self.faults.disk_fails);
        let is_written = !fails || self.random.happens(500);
        let disk = &mut self.nodes[node].disk;
        let reply = match op {
            DiskOp::Count(_) => DiskReply::Reserved(disk.usage()),
            DiskOp::Withdraw { taken, .. } if disk.in_use(&taken) => DiskReply::InUse(disk.usage()),
            DiskOp::WriteGrants(_, file) | DiskOp::Withdraw { file, .. } => {
                if is_written {
                    disk.grants = Some(file.to_json());
                    assert_eq!(
                        disk.file().as_ref(),
                        Some(&file),
                        "what is written is read again"
                    );
                    self.check_grants(node);
                    self.check_compared(node);
                }
                DiskReply::Done
            }
            DiskOp::WriteCluster(file) => {
                if is_written {
                    disk.cluster = Some(file.to_json());
                }
                self.note(|| format!("n{node} notes {file:?}, written: {is_written}"));
                DiskReply::Done
            }
        };
        let is_write = reply == DiskReply::Done;
        let reply = if fails && is_write {
            DiskReply::Failed("no space left".into())
        } else {
            reply
        };
        self.input(node, Input::Disk(id, reply));
    }

    /// The daemon dies; its requests may yet arrive, its files stay.
    pub(crate) fn crash(&mut self, node: usize) {
        if self.nodes[node].machine.take().is_none() {
            return;
        }
        self.note(|| format!("n{node} crashes"));
        let start = self.nodes[node].start;
        self.nodes[node].start += 1;
        self.after(
            30_000,
            Event::EndLease {
                node,
                start: start + 1,
            },
        );
        let back = self.random.between(1, 5_000);
        self.after(back, Event::Start { node });
        // The plugins that wait see the end of the connection.
        let adds: Vec<u64> = self.nodes[node].adds.keys().copied().collect();
        for ticket in adds {
            self.deadline(node, ticket);
        }
    }

    /// The whole machine starts anew: no pod lives, and the plugin forgets them at the first ADD.
    pub(crate) fn reboot(&mut self, node: usize, loses_disk: bool) {
        self.crash(node);
        self.living.retain(|_, (on, _)| *on != node);
        self.added.retain(|_, (on, _)| *on != node);
        self.nodes[node].boot += 1;
        self.nodes[node].disk.reservations.clear();
        self.nodes[node].note_boot();
        if loses_disk && (self.is_told() || !self.is_emptied) {
            self.note(|| format!("n{node} loses its disk"));
            self.nodes[node].disk = Disk::default();
        }
    }

    /// Whether every node has told the store what it holds.
    pub(crate) fn is_told(&self) -> bool {
        let nodes = self.store.nodes();
        let has_told = |name| {
            let told = nodes.get(name).and_then(|it| it.announced.as_ref());
            told == Some(&self.store.cluster)
        };
        let knows = |node: &Node| {
            let file = node.disk.cluster();
            file.is_some_and(|it| it.cluster.as_ref() == Some(&self.store.cluster))
        };
        self.nodes
            .iter()
            .all(|node| has_told(&node.name) && knows(node))
    }

    /// Another store, empty or as some time ago.
    pub(crate) fn replace_store(&mut self, copy: Option<&Store>) {
        self.store_number += 1;
        self.is_wiped = true;
        self.is_emptied = copy.is_none();
        self.store = match copy {
            Some(copy) => Store::restored(copy, self.store_number),
            None => Store::new(self.store_number),
        };
        self.note(|| "the store is another one".to_owned());
        for node in 0..self.nodes.len() {
            self.disconnect(node);
            self.connect(node);
        }
    }

    /// ADD of a pod.
    pub(crate) fn add(&mut self, node: usize, pod: u64, sets: Vec<WantedSet>, wait: u64) {
        let mut request = Request::new(Op::Claim, space(), sets);
        request.wait = wait;
        let deadline = self.now + wait;
        let add = Add {
            pod,
            name: None,
            request,
            deadline,
        };
        self.try_add(node, add);
    }

    /// ADD of a pod whose address is kept.
    pub(crate) fn add_kept(
        &mut self,
        node: usize,
        pod: u64,
        name: &str,
        set: WantedSet,
        keep: Keep,
    ) {
        let mut request = Request::new(Op::Pin, space(), vec![set]);
        request.wait = 5_000;
        request.keep = keep;
        request.pod = Some(Pod {
            name: name.to_owned(),
            uid: format!("uid-{pod}"),
        });
        let add = Add {
            pod,
            name: Some(name.to_owned()),
            request,
            deadline: self.now + 5_000,
        };
        self.ask(node, add);
    }

    fn try_add(&mut self, node: usize, add: Add) {
        let boot = self.nodes[node].boot_id();
        let taken = self.nodes[node]
            .disk
            .take(add.pod, &add.request.sets, &boot);
        match taken {
            Some(addresses) => self.got(node, add.pod, addresses),
            None => self.ask(node, add),
        }
    }

    fn ask(&mut self, node: usize, mut add: Add) {
        if self.nodes[node].machine.is_none() || self.now >= add.deadline {
            self.failed_adds.push("the daemon does not answer".into());
            return;
        }
        add.request.wait = add.deadline - self.now;
        self.nodes[node].requests += 1;
        let ticket = self.nodes[node].requests;
        let request = Request::parse(&add.request.to_line()).expect("the plugin writes it");
        self.after(add.request.wait + 100, Event::Deadline { node, ticket });
        self.nodes[node].adds.insert(ticket, add);
        self.input(node, Input::Request(Ticket(ticket), request));
    }

    fn answer(&mut self, node: usize, ticket: Ticket, answer: Answer) {
        let answer = Answer::parse(&answer.to_line()).expect("the daemon writes it");
        let Some(add) = self.nodes[node].adds.remove(&ticket.0) else {
            return;
        };
        match answer {
            Answer::Done(addresses) if add.name.is_some() => {
                let boot = self.nodes[node].boot_id();
                let name = add.name.clone().unwrap();
                let disk = &mut self.nodes[node].disk;
                if addresses
                    .iter()
                    .all(|it| disk.take_pinned(add.pod, &name, *it, &boot))
                {
                    self.got(node, add.pod, addresses);
                } else {
                    self.failed_adds
                        .push("a pinned address could not be taken".into());
                }
            }
            Answer::Done(_) => {
                self.check_verified(node);
                self.try_add(node, add);
            }
            Answer::Refused(refusal) => {
                self.note(|| format!("n{node} pod {} refused: {}", add.pod, refusal.msg));
                self.failed_adds.push(refusal.msg);
            }
        }
    }

    fn deadline(&mut self, node: usize, ticket: u64) {
        if self.nodes[node].adds.remove(&ticket).is_some() {
            self.failed_adds.push("no answer".into());
            self.input(node, Input::Gone(Ticket(ticket)));
        }
    }

    fn got(&mut self, node: usize, pod: u64, addresses: Vec<IpAddr>) {
        self.check_compared(node);
        for address in &addresses {
            self.note(|| format!("n{node} pod {pod} has {address}"));
            self.check_reserved(node, *address);
            self.living.insert(*address, (node, pod));
        }
        self.adds += addresses.len() as u64;
        self.added.insert(pod, (node, addresses));
        self.look(node);
    }

    /// DEL: files only.
    pub(crate) fn del(&mut self, node: usize, pod: u64) {
        self.nodes[node].disk.release(pod);
        for address in self.added.remove(&pod).map(|it| it.1).unwrap_or_default() {
            if self.living.get(&address) == Some(&(node, pod)) {
                self.living.remove(&address);
            }
        }
        self.look(node);
    }

    /// The daemon notices that reservations came or went.
    fn look(&mut self, node: usize) {
        let delay = self.random.between(1, 20);
        let start = self.nodes[node].start;
        self.after(delay, Event::Look { node, start });
    }

    /// `netloom node remove NAME --fenced`.
    pub(crate) fn remove_fenced(&mut self, node: usize) {
        self.nodes[node].is_fenced = true;
        let name = self.nodes[node].name.clone();
        let keys: Vec<String> = self.store.blocks().map(|(key, _)| key.clone()).collect();
        for key in keys {
            let Some(mut record) = self.store.record(&key) else {
                continue;
            };
            if netloom_cluster::removal::take_out(
                &mut record,
                &name,
                1_700_000_000 + self.now / 1000,
            ) {
                let value = (!record.is_empty()).then(|| record.to_json());
                self.store.put(&key, value, None);
            }
        }
        self.store.put(&key::node(&name), None, None);
        self.changed();
    }
}
