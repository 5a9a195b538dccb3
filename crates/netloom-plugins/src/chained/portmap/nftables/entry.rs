//! The elements of one attachment.

use super::super::plan::Masquerade;
use super::layout::{self, ATTACHMENTS, IpVersion, LOOPBACKS, PODS, subnets};
use super::port_key::PortKey;
use super::record::{self, Digest};
use crate::wiring::claims::{Claim, Place};
use crate::wiring::elements::has_prefix;
use crate::wiring::masquerade::Backend;
use crate::wiring::owner::Owner;
use ipnet::IpNet;
use netloom_kernel::Result;
use netloom_kernel::nft::{Batch, Element, ElementInfo, Key, Socket};
use std::net::Ipv6Addr;

/// An element that ADD makes.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) version: IpVersion,
    /// The set or map it is in.
    pub(super) set: String,
    pub(super) key: Key,
    value: Option<Key>,
    comment: String,
    prefix: String,
    /// For messages.
    pub(super) what: String,
}

/// Makes entries of one owner.
#[derive(Debug)]
pub(super) struct Maker<'o> {
    owner: Owner<'o>,
    comment: String,
    prefix: String,
}

impl<'o> Maker<'o> {
    pub(super) fn new(owner: Owner<'o>) -> Self {
        Self {
            owner,
            comment: owner.nft_comment(),
            prefix: owner.nft_prefix(),
        }
    }

    /// The record of what is made.
    pub(super) fn record(&self, version: IpVersion, digest: &Digest) -> Entry {
        let (key, what) = (
            record::key(&self.prefix),
            "the record of its ports".to_owned(),
        );
        Entry {
            comment: self.owner.nft_comment_with(&digest.note()),
            ..self.entry(version, ATTACHMENTS.to_owned(), key, None, what)
        }
    }

    fn entry(
        &self,
        version: IpVersion,
        set: String,
        key: Key,
        value: Option<Key>,
        what: String,
    ) -> Entry {
        Entry {
            version,
            set,
            key,
            value,
            comment: self.comment.clone(),
            prefix: self.prefix.clone(),
            what,
        }
    }

    /// A source address for what goes to the port by `::1`, if it is reached by that.
    pub(super) fn loopback(&self, port: &PortKey, source: Ipv6Addr) -> Option<Entry> {
        let ((map, key), value) = (port.loopback.clone()?, Key::new().ip(source.into()));
        let what = format!("host port {} of ::1", port.what());
        Some(self.entry(
            IpVersion { v6: true },
            map.to_owned(),
            key,
            Some(value),
            what,
        ))
    }

    /// By which the record is found when the network is called otherwise.
    pub(super) fn index(&self, version: IpVersion) -> Entry {
        let (key, what) = (
            record::index_key(&self.owner.nft_instance()),
            "the index of its record".to_owned(),
        );
        self.entry(version, ATTACHMENTS.to_owned(), key, None, what)
    }

    /// Everything for one address of the pod: its ports, and whom to masquerade.
    pub(super) fn entries(
        &self,
        net: IpNet,
        ports: &[PortKey],
        masquerade: Masquerade,
        loopback_source: Option<Ipv6Addr>,
    ) -> Vec<Entry> {
        let version = IpVersion::of(net.addr());
        let mut entries = Vec::new();
        for port in ports {
            let target = Key::new().ip(net.addr()).port(port.container_port);
            let what = format!("host port {}", port.what());
            entries.push(self.entry(
                version,
                port.map.clone(),
                port.key.clone(),
                Some(target),
                what,
            ));
            let source = loopback_source.filter(|_| masquerade != Masquerade::Nobody);
            entries.extend(source.and_then(|source| self.loopback(port, source)));
        }
        if entries.is_empty() {
            return entries;
        }
        let digest = Digest::of(Backend::Nftables, masquerade, ports);
        entries.extend([self.record(version, &digest), self.index(version)]);
        if let Some((length, key)) = subnet_key(net, masquerade) {
            let what = format!("the masquerade of {}", net.addr());
            entries.push(self.entry(version, subnets(length), key, None, what.clone()));
            if !version.v6 {
                let key = Key::new().ip(net.addr());
                entries.push(self.entry(version, PODS.to_owned(), key, None, what));
            }
        }
        entries
    }
}

/// Who is masqueraded on the way to a pod: its subnet, or the subnet of everybody. With the length
/// of the prefix.
pub(super) fn subnet_key(net: IpNet, masquerade: Masquerade) -> Option<(u8, Key)> {
    let length = match masquerade {
        Masquerade::Nobody => return None,
        Masquerade::Neighbours => net.prefix_len(),
        Masquerade::Everybody => 0,
    };
    let subnet = IpNet::new(net.addr(), length).map_or(net, |net| net.trunc());
    Some((length, Key::new().ip(subnet.addr()).ip(net.addr())))
}

impl Entry {
    /// Where it is among all elements.
    pub(super) fn place(&self) -> (&str, &[u8]) {
        (&self.set, self.key.bytes())
    }

    /// Whether this is, in every respect, what has been recorded.
    pub(super) fn is_just(&self, found: &ElementInfo) -> bool {
        found.comment.as_ref() == Some(&self.comment)
    }

    /// Whether it is the record of all others.
    pub(super) fn is_record(&self) -> bool {
        self.set == ATTACHMENTS && !record::is_of_another(&self.comment)
    }

    /// Whether it is only found by; commit 17b6fbc made none.
    pub(super) fn is_index(&self) -> bool {
        self.set == ATTACHMENTS && !self.is_record()
    }

    /// Makes the claim on its key, in force from then on.
    pub(super) fn take(&self, socket: &Socket, batch: &mut Batch<'_>) -> Result<()> {
        let claim = Claim {
            value: self.value.as_ref().map(|value| value.bytes().to_vec()),
            comment: Some(self.comment.clone()),
        };
        let is_own = |comment: &str| comment.starts_with(&self.prefix);
        let shape = layout::shape(self.version, &self.set);
        self.claims().take(socket, batch, shape, &claim, is_own)
    }

    /// Where the claims on its key are.
    pub(super) fn claims(&self) -> Place<'_> {
        Place {
            table: self.version.table(),
            set: &self.set,
            key: &self.key,
        }
    }

    /// The element to add.
    pub(super) fn element(&self) -> Element {
        let element = Element::new(self.key.clone()).comment(self.comment.as_str());
        match &self.value {
            Some(value) => element.value(value.clone()),
            None => element,
        }
    }

    /// True when a comment names the same owner.
    pub(super) fn owns(&self, comment: Option<&str>) -> bool {
        has_prefix(comment, &self.prefix)
    }

    /// True when the claim does what this entry would. For `::1` any address of the host will do;
    /// which one it prefers changes with its addresses.
    pub(super) fn is(&self, found: &Claim) -> bool {
        let any_value = LOOPBACKS.contains(&self.set.as_str());
        self.owns(found.comment.as_deref()) && (any_value || self.has_value(found))
    }

    fn has_value(&self, found: &Claim) -> bool {
        found.value.as_deref() == self.value.as_ref().map(Key::bytes)
    }
}
