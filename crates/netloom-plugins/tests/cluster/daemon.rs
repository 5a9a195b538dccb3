//! A stand-in for netloom-node: the real state machine over a store in memory, at the real socket of the
//! test's host.

use netloom_cluster::disk::{CLUSTER, ClusterFile, GRANTS, GrantsFile, ROOT};
use netloom_cluster::grants::{
    Config, DiskOp, DiskReply, Expected, Found, Input, Machine, Now, Output, StoreOp, StoreReply,
    Stored, Ticket, Usage,
};
use netloom_cluster::grid::Block;
use netloom_cluster::message::{Request, SOCKET};
use netloom_cluster::record::{BlockRecord, Entry, NodeRecord};
use netloom_cluster::{ClusterId, NodeName, SpaceName, key};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::IpAddr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The store: each key with its value and the revision of its last change.
#[derive(Default)]
pub(crate) struct Store {
    revision: u64,
    map: BTreeMap<String, (Vec<u8>, u64)>,
    pub(crate) operations: u64,
}

impl Store {
    pub(crate) fn put(&mut self, key: &str, value: Option<Vec<u8>>) {
        self.revision += 1;
        match value {
            Some(value) => drop(self.map.insert(key.to_owned(), (value, self.revision))),
            None => drop(self.map.remove(key)),
        }
    }

    /// What is granted, and to whom.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let prefix = key::blocks(None);
        let blocks = self.map.iter().filter(|(key, _)| key.starts_with(&prefix));
        blocks
            .flat_map(|(_, (value, _))| BlockRecord::parse(value).unwrap().entries().to_vec())
            .collect()
    }

    fn found(&self, from: &str, is_in: impl Fn(&str) -> bool) -> StoreReply {
        let range = self
            .map
            .range(from.to_owned()..)
            .take_while(|(key, _)| is_in(key));
        let stored = range.map(|(key, (value, revision))| Stored {
            key: key.clone(),
            value: value.clone(),
            revision: *revision,
        });
        StoreReply::Found(Found {
            revision: self.revision,
            stored: stored.collect(),
            more: false,
        })
    }

    fn apply(&mut self, op: &StoreOp) -> StoreReply {
        self.operations += 1;
        match op {
            StoreOp::Range { from, to } => self.found(from, |key| key < to.as_str()),
            StoreOp::Scan { prefix, .. } => self.found(prefix, |key| key.starts_with(prefix)),
            StoreOp::Swap {
                key,
                expected,
                value,
            } => {
                let now = self.map.get(key).map(|(_, revision)| *revision);
                let is_so = match expected {
                    Expected::Absent => now.is_none(),
                    Expected::At(revision) => now == Some(*revision),
                };
                if !is_so {
                    return StoreReply::Conflict;
                }
                self.put(key, value.clone());
                StoreReply::Done
            }
            StoreOp::Leased { key, value } => {
                self.put(key, value.clone());
                StoreReply::Done
            }
        }
    }
}

enum Event {
    Asked(Request, UnixStream),
    Stop,
}

/// The daemon, until it is dropped.
pub(crate) struct Daemon {
    pub(crate) store: Arc<Mutex<Store>>,
    events: Sender<Event>,
    threads: Vec<JoinHandle<()>>,
}

impl Daemon {
    /// Starts on the host that the test's thread is in.
    pub(crate) fn start() -> Self {
        Self::over(Arc::default())
    }

    pub(crate) fn over(store: Arc<Mutex<Store>>) -> Self {
        let (events, incoming) = channel();
        fs::create_dir_all(Path::new(SOCKET).parent().unwrap()).unwrap();
        let _ = fs::remove_file(SOCKET);
        let listener = UnixListener::bind(SOCKET).unwrap();
        let to_loop = events.clone();
        let accepting = std::thread::spawn(move || accept(&listener, &to_loop));
        let own = Arc::clone(&store);
        let (started, ready) = channel();
        let working = std::thread::spawn(move || Loop::new(own).run(&incoming, &started));
        ready.recv().unwrap();
        Self {
            store,
            events,
            threads: vec![accepting, working],
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.events.send(Event::Stop);
        // The one that accepts ends with the connection that says nothing.
        drop(UnixStream::connect(SOCKET).and_then(|mut it| it.write_all(b"stop\n")));
        let _ = fs::remove_file(SOCKET);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &UnixListener, events: &Sender<Event>) {
    for stream in listener.incoming().map_while(Result::ok) {
        let mut line = Vec::new();
        let _ = BufReader::new(&stream).read_until(b'\n', &mut line);
        if line == b"stop\n" {
            return;
        }
        // One that only looks whether somebody is there says nothing.
        if !line.is_empty() {
            let request = Request::parse(&line).unwrap();
            let _ = events.send(Event::Asked(request, stream));
        }
    }
}

struct Loop {
    machine: Machine,
    store: Arc<Mutex<Store>>,
    begun: Instant,
    waiting: BTreeMap<u64, UnixStream>,
}

fn node() -> NodeName {
    NodeName::new("here").unwrap()
}

fn cluster() -> ClusterId {
    ClusterId::new("in-memory").unwrap()
}

fn directory(space: &SpaceName) -> PathBuf {
    Path::new(ROOT).join(space.as_str())
}

fn usage(space: &SpaceName) -> Usage {
    let mut usage = Usage::new();
    for entry in fs::read_dir(directory(space)).into_iter().flatten() {
        if let Ok(address) = entry
            .unwrap()
            .file_name()
            .to_str()
            .unwrap()
            .parse::<IpAddr>()
        {
            let block = Block::of(address);
            *usage.entry(block).or_default() |= 1 << block.place(address).unwrap();
        }
    }
    usage
}

fn replace(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let draft = path.with_extension("new");
    fs::write(&draft, content).unwrap();
    fs::rename(draft, path).unwrap();
}

impl Loop {
    fn new(store: Arc<Mutex<Store>>) -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let config = Config {
            node: node(),
            boot: boot.trim().to_owned(),
            forget_after: 600_000,
            idle: 60_000,
            seed: 7,
        };
        let mut spaces = BTreeMap::new();
        for entry in fs::read_dir(ROOT).into_iter().flatten() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if let Ok(space) = SpaceName::new(name) {
                let file = fs::read(directory(&space).join(GRANTS)).ok();
                spaces.insert(space, file.and_then(|it| GrantsFile::parse(&it).ok()));
            }
        }
        let file = fs::read(Path::new(ROOT).join(CLUSTER)).ok();
        let file = file.and_then(|it| ClusterFile::parse(&it).ok());
        Self {
            machine: Machine::new(config, file, spaces),
            store,
            begun: Instant::now(),
            waiting: BTreeMap::new(),
        }
    }

    fn now(&self) -> Now {
        Now {
            instant: self.begun.elapsed().as_millis() as u64,
            wall: 1_700_000_000,
        }
    }

    fn run(mut self, events: &Receiver<Event>, started: &Sender<()>) {
        self.input(Input::Connected(cluster()));
        let nodes = self.nodes();
        self.input(Input::Nodes(nodes));
        started.send(()).unwrap();
        for ticket in 1.. {
            let wake = self.machine.wake_at(self.now()).unwrap_or(u64::MAX);
            let left = wake.saturating_sub(self.now().instant).min(60_000);
            match events.recv_timeout(Duration::from_millis(left)) {
                Ok(Event::Asked(request, stream)) => {
                    let space = request.space.clone();
                    self.input(Input::Usage(space.clone(), usage(&space)));
                    self.waiting.insert(ticket, stream);
                    self.input(Input::Request(Ticket(ticket), request));
                }
                Err(RecvTimeoutError::Timeout) => self.input(Input::Tick),
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn nodes(&self) -> BTreeMap<NodeName, NodeRecord> {
        let store = self.store.lock().unwrap();
        let records = store.map.iter().filter_map(|(key, (value, _))| {
            Some((key::parse_node(key)?, NodeRecord::parse(value).ok()?))
        });
        records.collect()
    }

    fn input(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut out = Vec::new();
            let now = self.now();
            self.machine.handle(now, input, &mut out);
            inputs.extend(
                out.into_iter()
                    .rev()
                    .filter_map(|output| self.output(output)),
            );
        }
    }

    fn output(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Store(id, op) => {
                let reply = self.store.lock().unwrap().apply(&op);
                Some(Input::Store(id, reply))
            }
            Output::Disk(id, op) => Some(Input::Disk(id, write(op))),
            Output::Answer(ticket, answer) => {
                if let Some(mut stream) = self.waiting.remove(&ticket.0) {
                    let _ = stream.write_all(&answer.to_line());
                }
                None
            }
            Output::Announce { announced, settled } => {
                let mut record = NodeRecord::new("machine");
                record.announced = Some(announced);
                record.settled = settled;
                let key = key::node(&node());
                self.store.lock().unwrap().put(&key, Some(record.to_json()));
                Some(Input::Nodes(self.nodes()))
            }
            Output::Tell(line) => {
                eprintln!("daemon: {line}");
                None
            }
        }
    }
}

/// The tests' plugins are not called while something is withdrawn.
fn write(op: DiskOp) -> DiskReply {
    match op {
        DiskOp::Count(space) => DiskReply::Reserved(usage(&space)),
        DiskOp::WriteGrants(space, file) | DiskOp::Withdraw { space, file, .. } => {
            replace(&directory(&space).join(GRANTS), &file.to_json());
            DiskReply::Done
        }
        DiskOp::WriteCluster(file) => {
            replace(&Path::new(ROOT).join(CLUSTER), &file.to_json());
            DiskReply::Done
        }
    }
}
