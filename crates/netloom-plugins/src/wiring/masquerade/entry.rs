//! One pod address in the verdict maps of the masquerade.

use super::super::owner::{Owner, hash16, network_hash};
use ipnet::IpNet;
use netloom_kernel::nft::{Element, ElementInfo, Key, Verdict};

/// The maps from source address to the chain of its subnet, IPv4 and IPv6.
pub(super) const MAPS: [&str; 2] = ["sources4", "sources6"];

/// An address that is to be masqueraded.
#[derive(Debug)]
pub(super) struct Entry {
    /// The address with the prefix of its subnet.
    pub(super) net: IpNet,
    /// The chain of its subnet.
    pub(super) chain: String,
    /// What the chain's comment says.
    pub(super) chain_comment: String,
    /// What the element's comment says.
    comment: String,
    prefix: String,
}

impl Entry {
    /// One entry for each different address.
    pub(super) fn all(owner: Owner<'_>, nets: &[IpNet]) -> Vec<Self> {
        let mut entries: Vec<Self> = Vec::with_capacity(nets.len());
        for net in nets {
            if entries.iter().all(|entry| entry.net.addr() != net.addr()) {
                entries.push(Self::new(owner, *net));
            }
        }
        entries
    }

    fn new(owner: Owner<'_>, net: IpNet) -> Self {
        let subnet = net.trunc().to_string();
        let network = owner.network;
        Self {
            net,
            chain: format!("subnet-{}", hash16(&[network, " ", &subnet])),
            chain_comment: format!(
                "{}, net: {network}, subnet: {subnet}",
                network_hash(network)
            ),
            comment: owner.nft_comment(),
            prefix: owner.nft_prefix(),
        }
    }

    /// The map it belongs to.
    pub(super) fn map(&self) -> &'static str {
        MAPS[usize::from(self.net.addr().is_ipv6())]
    }

    /// Its key in the map.
    pub(super) fn key(&self) -> Key {
        Key::new().ip(self.net.addr())
    }

    /// The element to add.
    pub(super) fn element(&self) -> Element {
        Element::new(self.key())
            .verdict(Verdict::Goto(self.chain.clone()))
            .comment(self.comment.as_str())
    }

    /// True when the element in the map is of the same owner.
    pub(super) fn owns(&self, found: &ElementInfo) -> bool {
        has_prefix(found.comment.as_deref(), &self.prefix)
    }

    /// True when the element in the map is just as this entry would make it.
    pub(super) fn is(&self, found: &ElementInfo) -> bool {
        self.owns(found) && found.verdict == Some(Verdict::Goto(self.chain.clone()))
    }
}

/// True when a comment starts with the hash or hashes that tell owners apart.
pub(super) fn has_prefix(comment: Option<&str>, prefix: &str) -> bool {
    comment.is_some_and(|comment| comment.starts_with(prefix))
}

/// The key of an element that was read, to delete it by.
pub(super) fn key_of(found: &ElementInfo) -> Option<Key> {
    let ip = match found.key.len() {
        4 => <[u8; 4]>::try_from(found.key.as_slice()).ok()?.into(),
        16 => <[u8; 16]>::try_from(found.key.as_slice()).ok()?.into(),
        _ => return None,
    };
    Some(Key::new().ip(ip))
}
