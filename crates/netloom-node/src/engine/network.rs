//! The pod network: who has which part of it, and what follows for this host.

use netloom_cluster::flannel::{Announcement, NetworkConfig, Subnets, Vtep};
use netloom_cluster::peers::{Judged, Own, Record, judge};
use netloom_cluster::record::NodeRecord;

use super::Engine;
use crate::kernel::{Desired, Report};
use crate::store::{self, Change, Entry, Event, WishedPlace};

impl Engine {
    /// Takes in what the store says.
    pub(super) fn heard(&mut self, event: Event) {
        match event {
            Event::Connected(cluster) => {
                let mut status = self.status.get();
                if !status.store.connected {
                    note!("connected to the store {cluster}");
                }
                status.store.connected = true;
                status.store.error.clear();
                status.store.cluster = cluster.to_string();
                drop(status);
                self.grants.connected(cluster);
                if let Some(links) = &mut self.links {
                    links.connected();
                }
                self.wish();
            }
            Event::Disconnected(why) => {
                let mut status = self.status.get();
                if status.store.connected || status.store.error.is_empty() {
                    note!("the store does not answer: {why}");
                }
                status.counters.store_disconnects += u64::from(status.store.connected);
                status.store.connected = false;
                status.store.error = why;
                drop(status);
                self.grants.disconnected();
                if let Some(links) = &mut self.links {
                    links.disconnected();
                }
            }
            Event::Refused(why) => {
                let mut status = self.status.get();
                if status.store.error != why {
                    note!("{why}");
                }
                status.store.error = why;
            }
            Event::Listed(entries) => self.listed(entries),
            Event::Changed(change) => {
                self.status.get().counters.store_events += 1;
                self.changed(change);
            }
            Event::Holds(subnets, announced) => self.holds(subnets, announced),
        }
    }

    fn listed(&mut self, entries: Vec<Entry>) {
        self.status.get().counters.store_lists += 1;
        self.listed = true;
        let config_key = store::config_key(&self.remembered.prefix);
        let config = entries.iter().find(|entry| entry.key == config_key);
        self.configured(config.map(|entry| entry.value.clone()));
        self.grants.listed(&entries);
        if let Some(links) = &mut self.links {
            links.listed(&entries);
        }
        let keys = store::subnet_keys(&self.remembered.prefix);
        let records = entries.into_iter().filter_map(|entry| record(entry, &keys));
        let now = self.now();
        self.unsaved |= self.memory.list(now, records);
    }

    fn changed(&mut self, change: Change) {
        self.grants.changed(&change);
        if let Some(links) = &mut self.links {
            links.changed(&change);
        }
        self.wish();
        let keys = store::subnet_keys(&self.remembered.prefix);
        let config_key = store::config_key(&self.remembered.prefix);
        match change {
            Change::Put(entry) if entry.key == config_key => self.configured(Some(entry.value)),
            Change::Removed(key) if key == config_key => self.configured(None),
            Change::Put(entry) => {
                if let Some(record) = record(entry, &keys) {
                    self.unsaved |= self.memory.put(record);
                }
            }
            Change::Removed(key) => {
                if let Some(key) = key.strip_prefix(&keys) {
                    let now = self.now();
                    self.unsaved |= self.memory.delete(now, key);
                }
            }
        }
    }

    /// Takes the network's configuration. One that is gone or wrong changes nothing for a node that has a
    /// place: its pods run.
    fn configured(&mut self, value: Option<Vec<u8>>) {
        let key = store::config_key(&self.remembered.prefix);
        let parsed = match &value {
            None => Err(format!(
                "the store has no network: etcdctl put {key} '{{\"Network\":\"10.5.0.0/16\",\
                 \"Backend\":{{\"Type\":\"vxlan\",\"DirectRouting\":true}}}}'"
            )),
            Some(value) => NetworkConfig::parse(value).map_err(|error| format!("{key}: {error}")),
        };
        match parsed {
            Ok(config) => {
                let text = String::from_utf8_lossy(&value.unwrap_or_default()).into_owned();
                self.unsaved |= self.remembered.config != text;
                self.remembered.config = text;
                self.config = Some(config);
                self.wish();
            }
            Err(why) => self.heard(Event::Refused(why)),
        }
    }

    /// This node's part of the network is its own now.
    fn holds(&mut self, subnets: Subnets, announced: String) {
        if self.own != Some(subnets) {
            note!("this node's part of the network is {subnets}");
        }
        self.own = Some(subnets);
        self.status.get().store.error.clear();
        let key = subnets.key();
        if self.remembered.subnets != key || self.remembered.announced != announced {
            self.remembered.subnets = key;
            self.remembered.announced = announced;
            // Before anybody can rely on it.
            self.save();
        }
        self.wish();
    }

    /// Tells the store's task what this node wants to have there, if that is new.
    pub(super) fn wish(&mut self) {
        let record = self.node_record();
        let place = self.config.map(|config| WishedPlace {
            config,
            announcement: self.announcement(&config),
            preferred: Subnets::of_key(&self.remembered.subnets),
            announced: self.remembered.announced.clone(),
        });
        self.wish.send_if_modified(|wish| {
            // What was announced last is of use at the next claim, and no reason for one.
            let known = |place: &Option<WishedPlace>| {
                let place = place.as_ref();
                place.map(|place| (place.config, place.announcement.clone()))
            };
            let same = wish.record == record && known(&wish.place) == known(&place);
            wish.record = record;
            wish.place = place;
            !same
        });
    }

    fn node_record(&self) -> NodeRecord {
        let mut record = NodeRecord::new(self.identity.machine.clone());
        record.boot = self.identity.boot.clone();
        record.addresses = self.uplink.addresses();
        record.pod_cidrs = self.own.iter().flat_map(Subnets::parts).collect();
        record.version = env!("CARGO_PKG_VERSION").to_owned();
        if let Some((announced, settled)) = &self.grants.announced {
            record.announced = Some(announced.clone());
            record.settled = *settled;
        }
        record
    }

    fn announcement(&self, config: &NetworkConfig) -> Announcement {
        let backend = &config.backend;
        let vtep = |there: bool, number: usize| {
            (there && backend.mode.tunnels()).then_some(Vtep {
                vni: backend.vni,
                mac: self.macs[number],
            })
        };
        let public_v4 = self.uplink.public_v4.filter(|_| config.v4.is_some());
        let public_v6 = self.uplink.public_v6.filter(|_| config.v6.is_some());
        Announcement {
            vtep_v4: vtep(public_v4.is_some(), 0),
            vtep_v6: vtep(public_v6.is_some(), 1),
            public_v4,
            public_v6,
            backend: backend.mode.backend().to_owned(),
        }
    }

    /// Tells the kernel's thread what is wanted there.
    pub(super) fn bring_about(&mut self) {
        let (Some(config), Some(subnets)) = (self.config, self.own) else {
            return;
        };
        if !config.allows(&subnets) {
            let key = store::config_key(&self.remembered.prefix);
            let why = format!(
                "{key} has no place for {subnets} any more, which this node's pods have: netloom node \
                 uninstall --forget gives it another part"
            );
            self.heard(Event::Refused(why));
            return;
        }
        let judged = self.judge(&config, subnets);
        self.kernel.want(Desired {
            config,
            subnets,
            peers: judged.peers,
            complete: self.listed,
            macs: self.macs,
            masquerade: !self.args.no_masquerade,
            exceptions: self.args.no_masquerade_to.clone(),
        });
    }

    fn judge(&self, config: &NetworkConfig, subnets: Subnets) -> Judged {
        let own = Own {
            subnets,
            addresses: self.uplink.addresses(),
            vtep_macs: self.macs.to_vec(),
        };
        let judged = judge(self.memory.records(), &own, config);
        let mut status = self.status.get();
        let refused = judged.refused.iter();
        let texts: Vec<String> = refused.map(|(key, why)| format!("{key}: {why}")).collect();
        for text in texts
            .iter()
            .filter(|text| !status.peers.refused.contains(text))
        {
            note!("the record {text}");
        }
        status.peers.refused_by.clear();
        for (_, why) in &judged.refused {
            *status
                .peers
                .refused_by
                .entry(why.label().to_owned())
                .or_default() += 1;
        }
        status.peers.refused = texts;
        status.peers.believed = judged.peers.len();
        status.peers.remembered = self.memory.counts().1;
        judged
    }

    /// Takes in what the kernel's thread says.
    pub(super) fn reported(&mut self, report: Result<Report, String>) {
        if let Ok(report) = &report
            && report.uplink != self.uplink
        {
            note!("the others reach this node by {} now", report.uplink.name);
            self.uplink = report.uplink.clone();
            if let Some(links) = &mut self.links {
                links.is_reached_by(self.uplink.addresses());
            }
            self.wish();
            // What is told of oneself decides whom to believe.
            self.bring_about();
        }
        self.account(&report);
        self.report = Some(report);
        self.offer();
    }
}

/// A record of somebody's part of the network. What is not UTF-8 or too long is nobody's.
fn record(entry: Entry, keys: &str) -> Option<Record> {
    let key = entry.key.strip_prefix(keys)?.to_owned();
    Some(Record {
        key,
        value: entry.value,
        created: entry.created,
    })
}
