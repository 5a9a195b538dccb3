//! One pod address in the masquerade's set for its subnet.

use super::super::elements::has_prefix;
use super::super::owner::{Owner, hash16, network_hash};
use ipnet::IpNet;
use netloom_kernel::nft::{Element, ElementInfo, Field, Key, KeyType, Rule, Set};

/// How the names of the sets begin, and the comments of the rules that look into them. The
/// comment must not begin with the network's hash: the Go plugins' GC deletes every such rule.
const SET_PREFIX: &str = "sources-";

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
        let key: &[KeyType] = match self.net {
            IpNet::V4(_) => &[KeyType::Ipv4Addr],
            IpNet::V6(_) => &[KeyType::Ipv6Addr],
        };
        Set::new(&self.set, key).comment(&self.set_comment)
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

    /// True when the element in the set is of the same owner.
    pub(super) fn owns(&self, found: &ElementInfo) -> bool {
        has_prefix(found.comment.as_deref(), &self.prefix)
    }
}

/// What the comment of each set of a network starts with.
pub(super) fn set_comment_prefix(network: &str) -> String {
    format!("{}, subnet: ", network_hash(network))
}
