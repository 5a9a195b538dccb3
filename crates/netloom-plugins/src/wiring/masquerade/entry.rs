//! One pod address in the masquerade's set for its subnet.

use super::super::claims::{Claim, Shape};
use super::super::owner::{Owner, hash16, network_hash};
use ipnet::IpNet;
use netloom_kernel::nft::{Element, Field, Key, KeyType, Rule, Set};

/// How the names of the sets begin, and the comments of the rules that look into them. The
/// comment must not begin with the network's hash: the Go plugins' GC deletes every such rule.
pub(super) const SET_PREFIX: &str = "sources-";

/// An address that is to be masqueraded.
#[derive(Debug)]
pub(super) struct Entry {
    /// The address with the prefix of its subnet.
    pub(super) net: IpNet,
    /// The set of its subnet's addresses.
    pub(super) set: String,
    set_comment: String,
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
            set: format!("{SET_PREFIX}{}", hash16(&[network, " ", &subnet])),
            // The subnet first: a long comment is cut.
            set_comment: format!("{}{subnet}, net: {network}", set_comment_prefix(network)),
            comment: owner.nft_comment(),
            prefix: owner.nft_prefix(),
        }
    }

    /// The set to make if it is not there.
    pub(super) fn new_set(&self) -> Set<'_> {
        Set::new(&self.set, self.shape().key).comment(&self.set_comment)
    }

    /// The rule that masquerades what comes from the set and leaves the subnet.
    pub(super) fn rule(&self) -> Rule {
        let source = match self.net {
            IpNet::V4(_) => Field::IpSaddr,
            IpNet::V6(_) => Field::Ip6Saddr,
        };
        Rule::new()
            .in_set(&[source], &self.set)
            .daddr_not_in(self.net.trunc())
            .masquerade()
            .comment(self.set.as_str())
    }

    /// Its key in the set.
    pub(super) fn key(&self) -> Key {
        Key::new().ip(self.net.addr())
    }

    /// The element to add.
    pub(super) fn element(&self) -> Element {
        Element::new(self.key()).comment(self.comment.as_str())
    }

    /// The same as a claim on an address that somebody has.
    pub(super) fn claim(&self) -> Claim {
        Claim {
            value: None,
            comment: Some(self.comment.clone()),
        }
    }

    /// The types of its set.
    pub(super) fn shape(&self) -> Shape<'static> {
        let key: &[KeyType] = match self.net {
            IpNet::V4(_) => &[KeyType::Ipv4Addr],
            IpNet::V6(_) => &[KeyType::Ipv6Addr],
        };
        Shape { key, value: &[] }
    }

    /// True when a comment names the same owner.
    pub(super) fn owns(&self, comment: &str) -> bool {
        comment.starts_with(&self.prefix)
    }
}

/// What the comment of each set of a network starts with.
pub(super) fn set_comment_prefix(network: &str) -> String {
    format!("{}, subnet: ", network_hash(network))
}

/// The subnet that the comment of a set names.
pub(super) fn subnet_of(comment: Option<&str>) -> Option<IpNet> {
    let (_, rest) = comment?.split_once(", subnet: ")?;
    rest.split(',').next()?.parse().ok()
}
