//! Links between pods of different hosts, for the plugin ratchet: tells the store of this host's pods, and
//! the plugin of the others'.
//!
//! The plugin's ADD makes the links whose other pod is known by then. Those of pods that were there
//! before, `ratchet reach` makes, which this executes when the other hosts have something new.

mod disk;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use netloom_cluster::grants::{OpId, StoreOp, StoreReply};
use netloom_cluster::links::{Book, FarFile, of_node};
use netloom_cluster::record::NodeRecord;
use netloom_cluster::{NodeName, key};
use netloom_spec::NetworkName;
use tokio::sync::mpsc;

use crate::cli::Run;
use crate::identity::Identity;
use crate::store::{Call, Change, Entry};
use disk::{Found, Watch};

/// When what has failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often the kernel is brought in order though nothing is new: somebody may have removed a tunnel.
const RESYNC: Duration = Duration::from_secs(60);

/// What is known, and what is under way.
pub(crate) struct Links {
    root: PathBuf,
    /// The plugin.
    program: PathBuf,
    name: NodeName,
    found: Found,
    book: Book,
    local: Vec<IpAddr>,
    /// The store has listed everything since the start.
    listed: bool,
    connected: bool,
    /// Keys of this node that the store has.
    stored: BTreeSet<String>,
    /// What this connection has told the store of them; empty: not known.
    told: BTreeMap<String, Vec<u8>>,
    calls: mpsc::Sender<Call>,
    replies: mpsc::UnboundedSender<(OpId, StoreReply)>,
    /// Keys that are being written, one call for each.
    under_way: BTreeMap<OpId, String>,
    next_call: u64,
    reached: mpsc::UnboundedSender<Result<()>>,
    /// The plugin is at work, and there is more for it to do.
    at_work: bool,
    more: bool,
    /// It is to look though nothing is new.
    due: bool,
    wake: Instant,
    trouble: String,
}

/// Its ears.
pub(crate) struct Ears {
    watch: Watch,
    replies: mpsc::UnboundedReceiver<(OpId, StoreReply)>,
    reached: mpsc::UnboundedReceiver<Result<()>>,
}

/// What they hear.
pub(crate) enum Heard {
    Found(Found),
    Stored(OpId, StoreReply),
    Reached(Result<()>),
}

impl Ears {
    async fn hear(&mut self) -> Heard {
        tokio::select! {
            found = self.watch.changed() => Heard::Found(found),
            Some((id, reply)) = self.replies.recv() => Heard::Stored(id, reply),
            Some(outcome) = self.reached.recv() => Heard::Reached(outcome),
        }
    }
}

/// Waits for something; without links, for ever.
pub(crate) async fn hear(ears: &mut Option<Ears>) -> Heard {
    match ears {
        Some(ears) => ears.hear().await,
        None => std::future::pending().await,
    }
}

impl Links {
    /// If the user wants it.
    pub(crate) fn start(
        identity: &Identity,
        args: &Run,
        local: Vec<IpAddr>,
        calls: mpsc::Sender<Call>,
    ) -> Result<Option<(Self, Ears)>> {
        if !args.links {
            return Ok(None);
        }
        let root = args.places.links_dir.clone();
        let program = args.places.bin_dir.join("ratchet");
        ensure!(
            program.is_file(),
            "--links: there is no {}: netloom install puts the plugins there",
            program.display()
        );
        let watch = Watch::begin(&root, &identity.boot)?;
        let (replies, replies_out) = mpsc::unbounded_channel();
        let (reached, reached_out) = mpsc::unbounded_channel();
        let links = Self {
            root,
            program,
            name: identity.name.clone(),
            found: Found::default(),
            book: Book::new(identity.name.clone()),
            local,
            listed: false,
            connected: false,
            stored: BTreeSet::new(),
            told: BTreeMap::new(),
            calls,
            replies,
            under_way: BTreeMap::new(),
            next_call: 0,
            reached,
            at_work: false,
            more: false,
            due: true,
            wake: Instant::now() + RESYNC,
            trouble: String::new(),
        };
        let ears = Ears {
            watch,
            replies: replies_out,
            reached: reached_out,
        };
        Ok(Some((links, ears)))
    }

    /// Takes in what was heard.
    pub(crate) fn heard(&mut self, heard: Heard) {
        match heard {
            Heard::Found(found) => {
                self.found = found;
                self.publish();
                self.reach();
            }
            Heard::Stored(id, reply) => {
                let Some(key) = self.under_way.remove(&id) else {
                    return;
                };
                if !matches!(reply, StoreReply::Done) {
                    // Whatever the store has: it is to be written again.
                    self.told.insert(key, Vec::new());
                    self.wake = self.wake.min(Instant::now() + RETRY);
                    return;
                }
                self.publish();
            }
            Heard::Reached(outcome) => self.has_reached(outcome),
        }
    }

    fn has_reached(&mut self, outcome: Result<()>) {
        self.at_work = false;
        match outcome {
            Ok(()) => self.trouble.clear(),
            Err(error) => {
                let why = format!("{error:#}");
                if why != self.trouble {
                    note!("links: {why}");
                }
                self.trouble = why;
                self.due = true;
                self.wake = self.wake.min(Instant::now() + RETRY);
            }
        }
        if std::mem::take(&mut self.more) {
            self.reach();
        }
    }

    /// When it wants to hear that time has passed.
    pub(crate) fn wake_at(&self) -> Instant {
        self.wake
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self) {
        self.wake = Instant::now() + RESYNC;
        self.due = true;
        self.publish();
        self.reach();
    }

    /// The store answers. What it was told by an earlier connection goes with that one's lease.
    pub(crate) fn connected(&mut self) {
        self.connected = true;
        let stored = self.stored.iter().cloned();
        self.told = stored.map(|key| (key, Vec::new())).collect();
        self.publish();
    }

    /// It does not. What is known stays true, as far as anybody knows.
    pub(crate) fn disconnected(&mut self) {
        self.connected = false;
    }

    /// The others reach this host by these addresses now.
    pub(crate) fn is_reached_by(&mut self, local: Vec<IpAddr>) {
        if self.local != local {
            self.local = local;
            self.reach();
        }
    }

    /// All records of pods and nodes, among others.
    pub(crate) fn listed(&mut self, entries: &[Entry]) {
        self.listed = true;
        self.book.clear();
        self.stored.clear();
        for entry in entries {
            self.take(&entry.key, Some(entry));
        }
        self.reach();
    }

    /// A record was written or removed.
    pub(crate) fn changed(&mut self, change: &Change) {
        let concerns = match change {
            Change::Put(entry) => self.take(&entry.key, Some(entry)),
            Change::Removed(key) => self.take(key, None),
        };
        if concerns {
            self.publish();
            self.reach();
        }
    }

    /// Whether it is a record of a node or of a pod.
    fn take(&mut self, key: &str, entry: Option<&Entry>) -> bool {
        if let Some(node) = key::parse_node(key) {
            let record = entry.and_then(|entry| NodeRecord::parse(&entry.value).ok());
            let addresses = record.map(|record| record.addresses);
            self.book.node(node, addresses.unwrap_or_default());
            return true;
        }
        if !key.starts_with(&netloom_cluster::links::all()) {
            return false;
        }
        if key.starts_with(&of_node(&self.name)) {
            match entry {
                Some(_) => {
                    self.stored.insert(key.to_owned());
                    // Somebody else's word for it is not left to stand.
                    self.told.entry(key.to_owned()).or_default();
                }
                None => {
                    self.stored.remove(key);
                    self.told.remove(key);
                }
            }
            return true;
        }
        match entry {
            Some(entry) => {
                if let Err(error) = self.book.put(key, &entry.value, entry.created) {
                    note!("links: the record {error}");
                }
            }
            None => self.book.remove(key),
        }
        true
    }

    /// Tells the store of this host's pods, as far as it does not know.
    fn publish(&mut self) {
        if !self.connected {
            return;
        }
        let pods = self.found.pods.iter();
        let wanted = pods.map(|(pod, record)| (pod.key(&self.name), record.to_json()));
        let wanted: BTreeMap<String, Vec<u8>> = wanted.collect();
        let is_new = |(key, value): &(&String, &Vec<u8>)| self.told.get(*key) != Some(value);
        let writes = wanted.iter().filter(is_new);
        let mut calls: Vec<(String, Option<Vec<u8>>)> = writes
            .map(|(key, value)| (key.clone(), Some(value.clone())))
            .collect();
        let gone = self.told.keys().filter(|key| !wanted.contains_key(*key));
        calls.extend(gone.map(|key| (key.clone(), None)));
        for (key, value) in calls {
            self.call(key, value);
        }
    }

    /// One call at a time for each key, since calls may overtake each other.
    fn call(&mut self, key: String, value: Option<Vec<u8>>) {
        if self.under_way.values().any(|busy| *busy == key) {
            return;
        }
        let id = OpId(self.next_call);
        self.next_call += 1;
        match &value {
            Some(value) => self.told.insert(key.clone(), value.clone()),
            None => self.told.remove(&key),
        };
        self.under_way.insert(id, key.clone());
        let call = Call {
            id,
            op: StoreOp::Leased { key, value },
            reply: self.replies.clone(),
        };
        if let Err(error) = self.calls.try_send(call) {
            error.into_inner().refuse("too many calls are under way");
        }
    }

    /// Tells the plugin of the other hosts' pods, and has it make and remove what follows from that.
    fn reach(&mut self) {
        if !self.listed {
            return;
        }
        if self.at_work {
            self.more = true;
            return;
        }
        self.at_work = true;
        let networks = self.found.networks.iter();
        let files = networks.map(|network| (network.clone(), self.book.file(network, &self.local)));
        let files: Vec<(NetworkName, FarFile)> = files.collect();
        let (root, program) = (self.root.clone(), self.program.clone());
        let (due, reached) = (std::mem::take(&mut self.due), self.reached.clone());
        // It waits for the disk, and for whoever holds a network's lock.
        tokio::task::spawn_blocking(move || {
            let _ = reached.send(bring_about(&root, &program, &files, due));
        });
    }
}

fn bring_about(
    root: &Path,
    program: &Path,
    files: &[(NetworkName, FarFile)],
    due: bool,
) -> Result<()> {
    let mut is_new = due && !files.is_empty();
    for (network, file) in files {
        is_new |= disk::tell(root, network, file)?;
    }
    if !is_new {
        return Ok(());
    }
    let output = Command::new(program)
        .arg("reach")
        .arg(root)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot execute {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{} reach: {}",
        program.display(),
        said.trim()
    );
    Ok(())
}

/// Takes the plugin's files about other hosts away.
pub(crate) fn forget(root: &Path) -> Result<()> {
    disk::forget(root)
}
