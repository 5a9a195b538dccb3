//! How a link is known again: its group, the marks of its ends, and what follows from its names.

use hmac_sha256::Hash;
use netloom_kernel::MacAddress;
use netloom_kernel::rtnl::Link as Interface;

/// What every mark begins with.
const MARK: &str = "nl-";

/// Which end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The near end, or the only one.
    A,
    /// The far end of a cable.
    B,
}

impl Side {
    /// `a` or `b`.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::A => 'a',
            Self::B => 'b',
        }
    }
}

/// The name of a link, and that of the topology it is part of. Two links are the same if these are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId {
    topology: String,
    link: String,
}

impl LinkId {
    /// A link of a topology. Any text will do for both; they end up in digests, and in the alias of
    /// each end for people to read.
    #[must_use]
    pub fn new(topology: impl Into<String>, link: impl Into<String>) -> Self {
        Self {
            topology: topology.into(),
            link: link.into(),
        }
    }

    /// The name of the topology.
    #[must_use]
    pub fn topology(&self) -> &str {
        &self.topology
    }

    /// The name of the link in its topology.
    #[must_use]
    pub fn link(&self) -> &str {
        &self.link
    }

    /// The group (`IFLA_GROUP`) of every end of the topology.
    #[must_use]
    pub fn group(&self) -> u32 {
        group_of(&self.topology)
    }

    /// The alternative name of an end: `nl-`, eight digits for the topology, `-`, and sixteen for
    /// the topology, the link and the end.
    #[must_use]
    pub fn mark(&self, side: Side) -> String {
        let digest = self.digest(b"mark", side);
        format!("{}{}", mark_prefix(&self.topology), hex(&digest[..8]))
    }

    /// The hardware address that an end gets unless told otherwise: locally administered, and the
    /// same whenever and wherever the link is made.
    #[must_use]
    pub fn mac(&self, side: Side) -> MacAddress {
        let digest = self.digest(b"mac", side);
        let mut mac = [0; 6];
        mac.copy_from_slice(&digest[..6]);
        mac[0] = mac[0] & 0xfc | 0x02;
        mac
    }

    /// What `ip link` shows people, at most 255 bytes. Nothing is concluded from it.
    #[must_use]
    pub fn alias(&self, side: Side) -> String {
        let words = format!("netloom {} {} {}", self.topology, self.link, side.letter());
        let mut end = words.len().min(255);
        while !words.is_char_boundary(end) {
            end -= 1;
        }
        words[..end].to_owned()
    }

    /// Lengths are part of it, so that no two pairs of names give one text.
    fn digest(&self, purpose: &[u8], side: Side) -> [u8; 32] {
        let mut sha = Hash::new();
        for part in [purpose, self.topology.as_bytes(), self.link.as_bytes()] {
            sha.update((part.len() as u64).to_be_bytes());
            sha.update(part);
        }
        sha.update([side.letter() as u8]);
        sha.finalize()
    }
}

/// The group of a topology's links. Never 0, which is that of all other links.
#[must_use]
pub fn group_of(topology: &str) -> u32 {
    let digest = Hash::hash(topology.as_bytes());
    let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    // `ip` reads groups as signed numbers.
    (number & 0x7fff_ffff).max(1)
}

/// What the marks of a topology's ends begin with.
#[must_use]
pub fn mark_prefix(topology: &str) -> String {
    format!("{MARK}{:08x}-", group_of(topology))
}

/// Whether an alternative name is the mark of an end, of whichever topology.
#[must_use]
pub fn is_mark(name: &str) -> bool {
    let hexadecimal = |text: &str, length| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    name.strip_prefix(MARK)
        .and_then(|rest| rest.split_once('-'))
        .is_some_and(|(topology, end)| hexadecimal(topology, 8) && hexadecimal(end, 16))
}

/// Whether an interface is of a topology: marked so, or made so a moment ago and neither marked nor
/// set up.
pub(crate) fn is_of_topology(link: &Interface, group: u32, prefix: &str) -> bool {
    let marks = || link.alternative_names.iter().filter(|name| is_mark(name));
    link.group == group
        && (marks().any(|mark| mark.starts_with(prefix))
            || marks().next().is_none() && !link.flags.is_up() && link.kind.is_some())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_tell_topologies_links_and_ends_apart() {
        let id = LinkId::new("lab", "r1:eth1--r2:eth1");
        let marks = [
            id.mark(Side::A),
            id.mark(Side::B),
            LinkId::new("lab", "other").mark(Side::A),
            LinkId::new("labr1", ":eth1--r2:eth1").mark(Side::A),
        ];
        for (at, mark) in marks.iter().enumerate() {
            assert!(is_mark(mark), "{mark}");
            assert!(!marks[at + 1..].contains(mark), "{mark} twice");
        }
        assert!(marks[0].starts_with(&mark_prefix("lab")));
        assert!(!marks[3].starts_with(&mark_prefix("lab")));
        for other in ["nl-", "nl-12345678", "eth0", "nl-12345678-123456789abcdefg"] {
            assert!(!is_mark(other), "{other}");
        }
    }

    #[test]
    fn a_mac_address_is_unicast_and_local() {
        let mac = LinkId::new("lab", "one").mac(Side::B);
        assert_eq!(mac[0] & 0x03, 0x02);
        assert_ne!(mac, LinkId::new("lab", "one").mac(Side::A));
    }

    #[test]
    fn an_alias_is_cut_between_characters() {
        let alias = LinkId::new("lab", "é".repeat(200)).alias(Side::A);
        assert!(alias.len() <= 255 && alias.starts_with("netloom lab é"));
    }
}
