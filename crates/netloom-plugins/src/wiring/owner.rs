//! Who a netfilter object belongs to, and the names that say so.
//!
//! The names are those of the Go reference plugins, so that a container added by
//! one implementation is checked and deleted by the other.

use hmac_sha512::Hash;
use netloom_spec::{Attachment, ContainerId, IfName, NetworkName};

/// Longest comment that `nft` accepts and shows, in bytes.
const NFT_COMMENT_MAX: usize = 128;
/// Longest text of the `comment` match of iptables, in bytes.
const IPTABLES_COMMENT_MAX: usize = 255;

/// What the alias of a veth's end on the host begins with.
const WIRE_PREFIX: &str = "cni:";

/// One attachment: a container's interface on a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner<'a> {
    /// Network name.
    pub(crate) network: &'a str,
    /// `CNI_CONTAINERID`.
    pub(crate) container_id: &'a str,
    /// `CNI_IFNAME`.
    pub(crate) if_name: &'a str,
}

impl<'a> Owner<'a> {
    /// The attachment that a request is about.
    pub(crate) fn new(
        network: &'a NetworkName,
        container_id: &'a ContainerId,
        if_name: &'a IfName,
    ) -> Self {
        Self {
            network: network.as_str(),
            container_id: container_id.as_str(),
            if_name: if_name.as_str(),
        }
    }

    /// The owner for an attachment that GC got as valid.
    pub(crate) fn of(network: &'a str, attachment: &'a Attachment) -> Self {
        Self {
            network,
            container_id: &attachment.container_id,
            if_name: &attachment.if_name,
        }
    }

    /// Chain of the iptables masquerade. It lacks the interface name: two
    /// attachments of one container to one network share the chain.
    pub(crate) fn iptables_chain(&self) -> String {
        self.iptables_chain_of("")
    }

    /// A chain of iptables of another kind: `DN-` for port mappings. It lacks the interface name too.
    pub(crate) fn iptables_chain_of(&self, kind: &str) -> String {
        let hash = hex_sha512(&[self.network, self.container_id]);
        let mut chain = format!("CNI-{kind}{hash}");
        chain.truncate(28);
        chain
    }

    /// Comment on every iptables rule that leads to the port mappings.
    pub(crate) fn iptables_dnat_comment(&self) -> String {
        let mut text = format!("dnat {}", self.iptables_comment());
        cut(&mut text, IPTABLES_COMMENT_MAX);
        text
    }

    /// Whether a comment of iptables names the container, whatever the network is called in it.
    pub(crate) fn is_in_iptables_comment(&self, comment: &str) -> bool {
        comment.ends_with(&format!("\" id: \"{}\"", self.container_id))
    }

    /// A chain of another kind where somebody else has the reference's name, which puts network and
    /// container together without anything between them.
    pub(crate) fn iptables_chain_apart(&self, kind: &str) -> String {
        let hash = hex_sha512(&[self.network, " ", self.container_id]);
        let mut chain = format!("CNI-{kind}{hash}");
        chain.truncate(28);
        chain
    }

    /// Comment on every rule of the iptables masquerade.
    pub(crate) fn iptables_comment(&self) -> String {
        let mut text = format!("name: \"{}\" id: \"{}\"", self.network, self.container_id);
        cut(&mut text, IPTABLES_COMMENT_MAX);
        text
    }

    /// Chain of table `filter` that tells what this attachment has there. No other program knows
    /// it.
    pub(crate) fn firewall_chain(&self) -> String {
        let parts = [self.network, " ", self.container_id, " ", self.if_name];
        let mut chain = format!("CNI-FW-{}", hex_sha512(&parts));
        chain.truncate(28);
        chain
    }

    /// Comment on the rules of that chain.
    pub(crate) fn firewall_comment(&self) -> String {
        let prefix = Self::firewall_comment_prefix(self.network);
        let mut text = format!("{prefix}{}\" if: \"{}\"", self.container_id, self.if_name);
        cut(&mut text, IPTABLES_COMMENT_MAX);
        text
    }

    /// What these comments start with in a network.
    pub(crate) fn firewall_comment_prefix(network: &str) -> String {
        format!("name: \"{network}\" id: \"")
    }

    /// What every nftables masquerade comment of this owner starts with.
    pub(crate) fn nft_prefix(&self) -> String {
        format!("{}-{}", network_hash(self.network), self.nft_instance())
    }

    /// The second part of it: the container's interface, without the network.
    pub(crate) fn nft_instance(&self) -> String {
        hash16(&[self.if_name, ":", self.container_id])
    }

    /// Comment on this owner's nftables masquerade entries.
    pub(crate) fn nft_comment(&self) -> String {
        self.nft_comment_with("")
    }

    /// The same with a note on what the entry is.
    pub(crate) fn nft_comment_with(&self, note: &str) -> String {
        let bare = |text: &str| text.replace('"', "");
        let mut comment = format!(
            "{}{note}, net: {}, if: {}, id: {}",
            self.nft_prefix(),
            bare(self.network),
            bare(self.if_name),
            bare(self.container_id)
        );
        cut(&mut comment, NFT_COMMENT_MAX);
        comment
    }

    /// Link that bandwidth shapes what the container sends with. It lacks the interface name: the
    /// second interface of a container on a network has [`Owner::second_ifb_name`].
    pub(crate) fn ifb_name(&self) -> String {
        ifb_name(&[self.network, self.container_id])
    }

    /// The link of an interface whose container has another one on the same network.
    pub(crate) fn second_ifb_name(&self) -> String {
        ifb_name(&[self.network, self.container_id, "/", self.if_name])
    }

    /// Alias of links that are this owner's: what [`Owner::nft_comment`] says.
    pub(crate) fn alias(&self) -> String {
        self.nft_comment()
    }

    /// Alias of the host's end of a veth that is this owner's: the hashes, and the text for people. The
    /// alias of a device that host-device has lent is a link's name, in which there is no colon.
    pub(crate) fn wire_mark(&self) -> String {
        format!("{WIRE_PREFIX}{}", self.nft_comment())
    }

    /// Whether the alias of a veth's end on the host says whose that is: this owner's or not. `None`:
    /// it is no such mark, which proves nothing.
    pub(crate) fn owns_wire(&self, alias: Option<&str>) -> Option<bool> {
        Some(hashes_of_wire(alias?)? == self.nft_prefix())
    }

    /// The same by container and interface alone, since the network may have been renamed.
    pub(crate) fn may_own_wire(&self, alias: Option<&str>) -> Option<bool> {
        let own = self.nft_prefix();
        let instance = |hashes: &str| hashes.split_once('-').map(|(_, own)| own.to_owned());
        Some(instance(hashes_of_wire(alias?)?) == instance(&own))
    }

    /// The reference by which the spoof check names its chains and rules. It
    /// lacks the network name.
    pub(crate) fn spoof_reference(&self) -> String {
        format!("{}-{}", self.container_id, self.if_name)
    }
}

/// The hashes in the mark of a wire: of the network, and of interface and container.
fn hashes_of_wire(alias: &str) -> Option<&str> {
    let (hashes, _) = alias.strip_prefix(WIRE_PREFIX)?.split_once(',')?;
    let is_hash = |text: &str| text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let (network, instance) = hashes.split_once('-')?;
    (is_hash(network) && is_hash(instance)).then_some(hashes)
}

/// What a comment starts with, if that names this interface of a container on any network.
pub(crate) fn prefix_of_instance<'c>(comment: &'c str, instance: &str) -> Option<&'c str> {
    let prefix = prefix_of(comment);
    let (_, found) = prefix.split_once('-')?;
    (found == instance).then_some(prefix)
}

/// What tells owners apart in the comment of any element: the hashes that it starts with.
pub(crate) fn prefix_of(comment: &str) -> &str {
    &comment[..comment.find([' ', ',']).unwrap_or(comment.len())]
}

/// Whether a comment starts with the hashes that tell owners apart.
pub(crate) fn is_by_hash(comment: &str) -> bool {
    let is_hash = |part: &str| part.len() == 16 && part.bytes().all(|b| b.is_ascii_hexdigit());
    prefix_of(comment)
        .split_once('-')
        .is_some_and(|(network, instance)| is_hash(network) && is_hash(instance))
}

/// A comment with a note behind what it starts with.
pub(crate) fn with_note(comment: &str, note: &str) -> String {
    let (prefix, rest) = comment.split_at(prefix_of(comment).len());
    let mut noted = format!("{prefix}{note}{rest}");
    cut(&mut noted, NFT_COMMENT_MAX);
    noted
}

/// The owner that a comment names, in words.
pub(crate) fn named_by(comment: &str) -> String {
    let after = |key: &str| comment.split_once(key).map(|(_, rest)| rest);
    let word = |key: &str| after(key).map(|rest| rest.split(',').next().unwrap_or(rest));
    match (word(", id: "), word(", if: "), word(", net: ")) {
        (Some(id), Some(if_name), Some(network)) => {
            format!(
                "another attachment (container {id:?}, interface {if_name}, network {network:?})"
            )
        }
        _ => format!("another attachment ({comment})"),
    }
}

/// As long as the name of a link can be.
fn ifb_name(parts: &[&str]) -> String {
    let mut name = format!("bwp{}", hex_sha512(parts));
    name.truncate(15);
    name
}

/// What every nftables comment of a network starts with.
pub(crate) fn network_hash(network: &str) -> String {
    hash16(&[network])
}

/// First 16 hexadecimal digits of the SHA-512 of the parts put together.
pub(crate) fn hash16(parts: &[&str]) -> String {
    let mut hex = hex_sha512(parts);
    hex.truncate(16);
    hex
}

/// First 32 hexadecimal digits, of which every name here takes fewer.
fn hex_sha512(parts: &[&str]) -> String {
    let mut digest = Hash::new();
    for part in parts {
        digest.update(part);
    }
    let bytes = digest.finalize();
    let nibbles = bytes[..16].iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    nibbles
        .map(|nibble| char::from(b"0123456789abcdef"[usize::from(nibble)]))
        .collect()
}

/// Cuts `text` to at most `max` bytes, at a character's boundary.
fn cut(text: &mut String, max: usize) {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner<'_> = Owner {
        network: "test",
        container_id: "1234",
        if_name: "eth0",
    };

    #[test]
    fn the_iptables_chain_is_the_hash_of_network_and_container_cut_to_28_characters() {
        // sha512("test1234") computed by sha512sum.
        let chain = OWNER.iptables_chain();
        assert_eq!(chain, "CNI-2bbe0c48b91a7d1b8a6753a8");
        assert_eq!(chain.len(), 28);
    }

    #[test]
    fn the_nftables_comment_starts_with_the_hashes_and_is_cut_to_128_bytes() {
        let comment = OWNER.nft_comment();
        assert_eq!(
            comment,
            "ee26b0dd4af7e749-43243da06b17813b, net: test, if: eth0, id: 1234"
        );
        assert!(comment.starts_with(&OWNER.nft_prefix()));
        let long = "x".repeat(200);
        let owner = Owner {
            container_id: &long,
            ..OWNER
        };
        assert_eq!(owner.nft_comment().len(), 128);
    }

    #[test]
    fn the_mark_of_a_wire_is_compared_whole_and_other_aliases_say_nothing() {
        let mark = OWNER.wire_mark();
        assert_eq!(OWNER.owns_wire(Some(&mark)), Some(true));
        let others = [
            Owner {
                network: "tes",
                ..OWNER
            },
            Owner {
                container_id: "123",
                ..OWNER
            },
            Owner {
                if_name: "eth01",
                container_id: "234",
                ..OWNER
            },
        ];
        for other in others {
            assert_eq!(other.owns_wire(Some(&mark)), Some(false), "{other:?}");
            let renamed = other.network != OWNER.network;
            assert_eq!(other.may_own_wire(Some(&mark)), Some(renamed), "{other:?}");
        }
        // Two that are the same up to where the text is cut.
        let long = "x".repeat(250);
        let [one, two] = [&long[..249], &long].map(|id| Owner {
            container_id: id,
            ..OWNER
        });
        assert_eq!(one.owns_wire(Some(&two.wire_mark())), Some(false));
        for alias in [
            None,
            Some(""),
            Some("cni:1234"),
            Some("uplink"),
            Some("cni:g-h, net"),
        ] {
            assert_eq!(OWNER.owns_wire(alias), None, "{alias:?}");
            assert_eq!(OWNER.may_own_wire(alias), None, "{alias:?}");
        }
    }

    #[test]
    fn the_link_for_shaping_has_upstreams_name() {
        let owner = Owner {
            network: "cni-plugin-bandwidth-test",
            container_id: "dummy",
            ..OWNER
        };
        assert_eq!(owner.ifb_name(), "bwpa8eda89404b7");
        assert_ne!(owner.ifb_name(), owner.second_ifb_name());
        assert_eq!(owner.second_ifb_name().len(), 15);
    }

    #[test]
    fn a_comment_is_cut_between_characters() {
        let mut text = "aé".to_owned();
        cut(&mut text, 2);
        assert_eq!(text, "a");
    }
}
