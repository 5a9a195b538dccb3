//! The machine as a whole: what concerns all spaces.

use super::context::{Context, Gate, Operations, Owner};
use super::interface::{
    Config, DiskId, DiskOp, DiskReply, Input, Instant, Now, OpId, Output, StoreReply, Ticket,
};
use super::random::Random;
use super::search::Search;
use super::settle::Mode;
use super::space::{Reply, Space};
use crate::disk::{ClusterFile, GrantsFile};
use crate::record::NodeRecord;
use crate::{ClusterId, NodeName, SpaceName};
use std::collections::BTreeMap;

/// The state machine of one node, see the [module](super).
#[derive(Debug)]
pub struct Machine {
    config: Config,
    random: Random,
    operations: Operations,
    spaces: BTreeMap<SpaceName, Space>,
    cluster_file: ClusterFile,
    /// Whether the file is being written, and whether it was changed since that began.
    writing: bool,
    is_dirty: bool,
    /// The store, while it answers, and the one before.
    connected: Option<ClusterId>,
    store: Option<ClusterId>,
    /// When that one was connected to for the first time.
    since: Instant,
    /// The own record, once all nodes' records have been seen since the connection.
    own: Option<Option<NodeRecord>>,
    /// Nodes that are there and wait for others themselves.
    unsettled: Vec<NodeName>,
    /// The nodes that are waited for, as long as anybody is.
    late: Vec<NodeName>,
    asked: Option<(ClusterId, bool)>,
    search: Search,
}

impl Machine {
    /// With what is on the disk: `cluster` is `None` where the node has no such file, or a damaged one,
    /// and a space's grants are `None` where its file is damaged. A space without a file is left out.
    pub fn new(
        config: Config,
        cluster: Option<ClusterFile>,
        spaces: BTreeMap<SpaceName, Option<GrantsFile>>,
    ) -> Self {
        let search = match &cluster {
            None => Search::everywhere(),
            Some(_) => {
                let damaged = spaces.iter().filter(|(_, file)| file.is_none());
                Search::of(damaged.map(|(name, _)| name))
            }
        };
        let space = |(name, file): (SpaceName, Option<GrantsFile>)| {
            let mut space = Space::new(name.clone(), file.clone().unwrap_or_default());
            space.is_damaged = file.is_none();
            (name, space)
        };
        Self {
            random: Random::new(config.seed),
            config,
            operations: Operations::default(),
            spaces: spaces.into_iter().map(space).collect(),
            cluster_file: cluster.unwrap_or_else(|| ClusterFile {
                joins: true,
                ..ClusterFile::default()
            }),
            writing: false,
            is_dirty: false,
            connected: None,
            store: None,
            since: 0,
            own: None,
            unsettled: Vec::new(),
            late: Vec::new(),
            asked: None,
            search,
        }
    }

    /// Takes in what happened; what is to be done is added to `out`.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Connected(cluster) => self.connect(cluster, now),
            Input::Disconnected => self.disconnect(),
            Input::Nodes(nodes) => self.see_nodes(nodes),
            Input::Wants(name, wants) => {
                if let Some(space) = self.spaces.get_mut(&name) {
                    space.wants(wants);
                }
            }
            Input::Usage(name, usage) => self.space(name).reserved(usage, now.instant),
            Input::Request(ticket, request) => {
                let name = request.space.clone();
                self.space(name.clone());
                self.in_space(&name, now, out, |space, cx| {
                    space.request(ticket, request, cx)
                });
            }
            Input::Gone(ticket) => self.gone(ticket),
            Input::Store(OpId(id), reply) => self.store_reply(id, reply, now, out),
            Input::Disk(DiskId(id), reply) => self.disk_reply(id, reply, now, out),
            Input::Tick => {}
        }
        self.advance(now, out);
    }

    /// When an [`Input::Tick`] is needed at the latest, as of `now`.
    pub fn wake_at(&self, now: Now) -> Option<Instant> {
        let is_connected = self.connected.is_some();
        let waits = self.since + self.config.forget_after;
        let waits = (is_connected && waits > now.instant && !self.laggards(true).is_empty())
            .then_some(waits);
        let spaces = self.spaces.values();
        let spaces = spaces.filter_map(|it| it.wake_at(is_connected, self.config.idle, now));
        spaces
            .chain(waits)
            .chain(self.search.wake_at(is_connected))
            .min()
    }

    /// The grants of a space as they are known now, for metrics and status.
    pub fn grants(&self, space: &SpaceName) -> Option<&GrantsFile> {
        self.spaces.get(space).map(|it| &it.file)
    }

    /// The spaces that this node knows.
    pub fn spaces(&self) -> impl Iterator<Item = &SpaceName> {
        self.spaces.keys()
    }

    /// Whether every grant was compared with the store since the last connection, and new ones may be
    /// claimed; otherwise why not, in one line.
    ///
    /// # Errors
    /// What is waited for.
    pub fn ready(&self, now: Instant) -> Result<(), String> {
        match self.gate(now) {
            Gate::Away => Err("the store does not answer".to_owned()),
            Gate::Waiting(nodes) => {
                let names: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
                Err(format!(
                    "nodes that have not told the store what they hold: {}",
                    names.join(", ")
                ))
            }
            Gate::Open if self.spaces.values().all(|it| it.ready) => Ok(()),
            Gate::Open => Err("the grants are being compared with the store".to_owned()),
        }
    }

    fn space(&mut self, name: SpaceName) -> &mut Space {
        let make = || Space::new(name.clone(), GrantsFile::default());
        self.spaces.entry(name.clone()).or_insert_with(make)
    }

    fn connect(&mut self, cluster: ClusterId, now: Now) {
        if self.store.as_ref() != Some(&cluster) {
            self.since = now.instant;
            let is_known = self.cluster_file.cluster.as_ref() == Some(&cluster);
            if !is_known {
                // One that was restored may have grants that went back since.
                self.search = Search::everywhere();
            }
            if self.store.is_some() || !is_known {
                self.spaces.values_mut().for_each(Space::forget_store);
            }
        }
        self.store = Some(cluster.clone());
        self.connected = Some(cluster);
        self.find_late();
        self.own = None;
        self.asked = None;
        for space in self.spaces.values_mut() {
            space.reconnect();
        }
    }

    fn disconnect(&mut self) {
        self.connected = None;
        self.own = None;
        for space in self.spaces.values_mut() {
            space.ready = false;
        }
    }

    /// Keeps in mind who is there, and forgets who was removed: a node that had told this store what it
    /// holds, and has no record there any more.
    fn see_nodes(&mut self, mut nodes: BTreeMap<NodeName, NodeRecord>) {
        let Some(cluster) = &self.connected else {
            return;
        };
        self.own = Some(nodes.remove(&self.config.node));
        let is_settled = |it: &NodeRecord| it.settled && it.announced.as_ref() == Some(cluster);
        let unsettled = nodes.iter().filter(|(_, record)| !is_settled(record));
        self.unsettled = unsettled.map(|(name, _)| name.clone()).collect();
        let mut known = self.cluster_file.nodes.clone();
        known.retain(|name, told| nodes.contains_key(name) || told.as_ref() != Some(cluster));
        for (name, record) in nodes {
            let told = record.announced.filter(|it| it == cluster);
            let before = known.entry(name).or_default();
            *before = told.or_else(|| before.take());
        }
        if known != self.cluster_file.nodes {
            self.cluster_file.nodes = known;
            self.is_dirty = true;
        }
        self.find_late();
        self.asked = None;
    }

    fn gone(&mut self, ticket: Ticket) {
        self.spaces
            .values_mut()
            .for_each(|space| space.gone(ticket));
    }

    fn store_reply(&mut self, id: u64, reply: StoreReply, now: Now, out: &mut Vec<Output>) {
        match self.operations.end(id) {
            Some(Owner::Space(name)) => {
                self.in_space(&name, now, out, |space, cx| {
                    space.reply(id, Reply::Store(reply), cx);
                });
            }
            Some(Owner::Search) => {
                let found = self.search.reply(id, reply, &self.config.node, now.instant);
                for (name, block) in found {
                    self.space(name).unlisted.insert(block);
                }
            }
            _ => {}
        }
    }

    fn disk_reply(&mut self, id: u64, reply: DiskReply, now: Now, out: &mut Vec<Output>) {
        match self.operations.end(id) {
            Some(Owner::Space(name)) => {
                self.in_space(&name, now, out, |space, cx| {
                    space.reply(id, Reply::Disk(reply), cx);
                });
            }
            Some(Owner::ClusterFile) => {
                self.is_dirty |= reply != DiskReply::Done;
                self.writing = false;
            }
            _ => {}
        }
    }

    /// Whom the store is compared with.
    fn mode(&self) -> Option<Mode> {
        let cluster = self.connected.as_ref()?;
        if self.search.is_under_way() {
            return None;
        }
        let is_known = self.cluster_file.cluster.as_ref() == Some(cluster);
        if !is_known {
            self.own.as_ref()?;
        }
        Some(Mode {
            announce: !is_known,
            // What a restored store says of a node that lost its disk may be long past, and another's.
            adopt: is_known || self.cluster_file.cluster.is_none() && self.unsettled.is_empty(),
        })
    }

    /// Who is waited for follows from the connection and the records of nodes.
    fn find_late(&mut self) {
        let known = self.cluster_file.nodes.iter();
        let has_not_told = known.filter(|(_, told)| told.as_ref() != self.connected.as_ref());
        self.late = has_not_told.map(|(name, _)| name.clone()).collect();
        if self.cluster_file.joins {
            self.late.extend(self.unsettled.iter().cloned());
            self.late.sort();
            self.late.dedup();
        }
    }

    /// The nodes that are waited for.
    fn laggards(&self, waits: bool) -> &[NodeName] {
        if waits { &self.late } else { &[] }
    }

    fn waits(&self, now: Instant) -> bool {
        now < self.since + self.config.forget_after
    }

    fn gate(&self, now: Instant) -> Gate {
        let (Some(cluster), Some(own)) = (&self.connected, &self.own) else {
            return Gate::Away;
        };
        let has_told = own.as_ref().and_then(|it| it.announced.as_ref()) == Some(cluster);
        if self.cluster_file.cluster.as_ref() != Some(cluster) || !has_told {
            return Gate::Waiting(vec![self.config.node.clone()]);
        }
        match self.laggards(self.waits(now)) {
            [] => Gate::Open,
            late => Gate::Waiting(late.to_vec()),
        }
    }

    fn in_space(
        &mut self,
        name: &SpaceName,
        now: Now,
        out: &mut Vec<Output>,
        act: impl FnOnce(&mut Space, &mut Context<'_>),
    ) {
        let (gate, mode, waits) = (self.gate(now.instant), self.mode(), self.waits(now.instant));
        let Some(space) = self.spaces.get_mut(name) else {
            return;
        };
        let mut cx = Context {
            now,
            config: &self.config,
            random: &mut self.random,
            operations: &mut self.operations,
            out,
            gate,
            mode,
            nodes: &self.cluster_file.nodes,
            cluster: self.connected.as_ref(),
            waits,
        };
        act(space, &mut cx);
    }

    fn advance(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.connected.is_some() {
            self.search.send(now.instant, &mut self.operations, out);
        }
        let names: Vec<SpaceName> = self.spaces.keys().cloned().collect();
        for name in &names {
            self.in_space(name, now, out, Space::advance);
        }
        self.note_cluster(now.instant);
        if self.is_dirty && !self.writing {
            self.is_dirty = false;
            self.writing = true;
            let write = DiskOp::WriteCluster(self.cluster_file.clone());
            self.operations.disk(Owner::ClusterFile, write, out);
        }
        self.announce(now.instant, out);
    }

    /// When everything was told to a store that was not known, it is known.
    fn note_cluster(&mut self, now: Instant) {
        let (Some(cluster), Some(_)) = (&self.connected, self.mode()) else {
            return;
        };
        let is_told = self.spaces.values().all(|space| space.ready);
        if is_told && self.cluster_file.cluster.as_ref() != Some(cluster) {
            self.cluster_file.cluster = Some(cluster.clone());
            self.is_dirty = true;
        }
        if self.cluster_file.joins && self.gate(now) == Gate::Open {
            self.cluster_file.joins = false;
            self.find_late();
            self.is_dirty = true;
        }
        if !self.waits(now) && !self.late.is_empty() {
            // Who has not come by now is not waited for after the next start either.
            let connected = self.connected.clone();
            let before = self.cluster_file.nodes.len();
            self.cluster_file.nodes.retain(|_, told| *told == connected);
            self.is_dirty |= before != self.cluster_file.nodes.len();
            self.find_late();
        }
    }

    /// Asks for the own record to be written, once what it says is on the disk.
    fn announce(&mut self, now: Instant, out: &mut Vec<Output>) {
        let (Some(cluster), Some(own)) = (&self.connected, &self.own) else {
            return;
        };
        let is_durable = !self.writing && !self.is_dirty;
        if self.cluster_file.cluster.as_ref() != Some(cluster) || !is_durable {
            return;
        }
        let settled = self.laggards(self.waits(now)).is_empty();
        let says =
            |it: &NodeRecord| it.announced.as_ref() == Some(cluster) && it.settled == settled;
        let wanted = Some((cluster.clone(), settled));
        if own.as_ref().is_some_and(says) || self.asked == wanted {
            return;
        }
        out.push(Output::Announce {
            announced: cluster.clone(),
            settled,
        });
        self.asked = wanted;
    }
}
