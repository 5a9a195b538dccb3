//! The store: etcd, over gRPC.
//!
//! The client library neither notices a server that is gone nor begins anew. What is added to it here:
//! pings on the connection, a limit for a watch's silence, a time limit for each call, another endpoint
//! after each failure, pauses that grow up to a limit, and a watch that goes on where it ended, or lists
//! anew where the store has forgotten that revision.

mod call;
mod claim;
mod endpoint;
mod keep;
mod kubernetes;
mod pause;
mod removal;
mod session;
mod settings;

use netloom_cluster::flannel::{Announcement, NetworkConfig, Subnets};
use netloom_cluster::key::PREFIX;
use netloom_cluster::record::NodeRecord;
use netloom_cluster::{ClusterId, NodeName};
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::sync::{mpsc, watch};

pub(crate) use call::Call;
pub(crate) use endpoint::{Endpoint, Trouble};

use crate::cli::StoreArgs;

/// Which store, and how to speak to it; valid.
#[derive(Clone)]
pub(crate) enum Settings {
    Etcd(Box<settings::Settings>),
    Kubernetes(kubernetes::Settings),
}

impl Settings {
    /// Judges what the user says; opens no connection.
    pub(crate) fn new(args: &StoreArgs) -> anyhow::Result<Self> {
        if !args.kubernetes && args.kubeconfig.is_none() {
            return settings::Settings::new(args).map(|one| Self::Etcd(Box::new(one)));
        }
        let prefix = settings::prefix(args)?;
        let file = args.kubeconfig.as_deref();
        kubernetes::Settings::new(file, &args.net_conf, args.peers, &prefix).map(Self::Kubernetes)
    }

    /// Whether `init` writes the pod network into it.
    pub(crate) fn is_written_by_init(&self) -> bool {
        matches!(self, Self::Etcd(_))
    }

    /// Where the pod network's records are.
    pub(crate) fn prefix(&self) -> &str {
        match self {
            Self::Etcd(settings) => &settings.prefix,
            Self::Kubernetes(settings) => &settings.prefix,
        }
    }
}

/// What the store has to say.
#[derive(Debug)]
pub(crate) enum Event {
    /// It answers.
    Connected(ClusterId),
    /// All records, as of one moment.
    Listed(Vec<Entry>),
    /// A record was written, or removed.
    Changed(Change),
    /// This node's part of the network is its own, under this value.
    Holds(Subnets, String),
    /// It answers, but this node cannot have its place, for this reason.
    Refused(String),
    /// It does not answer, for this reason.
    Disconnected(String),
}

/// A record.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
    /// The revision at which it was created.
    pub(crate) created: i64,
}

/// What became of a record.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Put(Entry),
    Removed(String),
}

/// What this node wants to have in the store.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) name: NodeName,
    pub(crate) instance: String,
    /// How long its part is its own without a word from it; zero: for ever.
    pub(crate) lease: Duration,
    /// How long the store may not hear of the daemon before it counts as away.
    pub(crate) alive: Duration,
    /// What it tells of itself.
    pub(crate) record: NodeRecord,
    /// `None` until the network is known.
    pub(crate) place: Option<WishedPlace>,
}

/// The node's place in a network.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WishedPlace {
    pub(crate) config: NetworkConfig,
    pub(crate) announcement: Announcement,
    /// The part of the network that it had, or was told by flannel.
    pub(crate) preferred: Option<Subnets>,
    /// What it announced last, by which its record is known even if its address has changed.
    pub(crate) announced: String,
}

/// Runs for as long as the engine listens.
pub(crate) async fn run(
    settings: Settings,
    wish: watch::Receiver<Wish>,
    calls: mpsc::Receiver<Call>,
    events: mpsc::Sender<Event>,
) {
    match settings {
        Settings::Etcd(settings) => session::run(*settings, wish, calls, events).await,
        Settings::Kubernetes(settings) => kubernetes::run(settings, wish, calls, events).await,
    }
}

/// Writes the network's configuration unless there is one; returns what it says if there is.
pub(crate) async fn create(settings: Settings, key: &str, value: &str) -> Result<Option<String>> {
    let Settings::Etcd(settings) = settings else {
        bail!("on Kubernetes the pod network is no record");
    };
    let mut endpoint = Endpoint::new(*settings);
    let mut trouble = String::new();
    for _ in 0..endpoint.count() {
        match endpoint.create(key, value).await {
            Ok(found) => return Ok(found),
            Err(error) => trouble = endpoint.blame(&error),
        }
        endpoint.failed();
    }
    bail!("the store does not answer: {trouble}")
}

/// What was removed.
pub(crate) struct Removed {
    pub(crate) subnets: usize,
    pub(crate) blocks: usize,
    pub(crate) known: bool,
}

/// Takes a node's records out. `now`: seconds since 1970.
pub(crate) async fn remove_node(settings: Settings, node: &NodeName, now: u64) -> Result<Removed> {
    match settings {
        Settings::Etcd(settings) => removal::remove_node(*settings, node, now).await,
        Settings::Kubernetes(settings) => kubernetes::remove_node(settings, node, now).await,
    }
}

/// The key that tells a store from one that was wiped.
fn store_key() -> String {
    format!("{PREFIX}store")
}

/// What the keys of the pod network begin with.
fn network_keys(prefix: &str) -> String {
    format!("{prefix}/")
}

/// The key of the network's configuration.
pub(crate) fn config_key(prefix: &str) -> String {
    format!("{prefix}/config")
}

/// What the keys of hosts' parts of the network begin with.
pub(crate) fn subnet_keys(prefix: &str) -> String {
    format!("{prefix}/subnets/")
}
