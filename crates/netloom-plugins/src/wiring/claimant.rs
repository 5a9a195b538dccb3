//! Whom an object names as its owner.

use super::owner::{Owner, prefix_of};
use netloom_plugin::host::{Claimant, ClaimedAddress};
use netloom_spec::Attachment;
use std::net::IpAddr;

/// The owner that a comment of nf_tables names, of an element or rule of this network.
pub(crate) fn of_comment(network: &str, comment: &str, address: IpAddr) -> ClaimedAddress {
    let claimant = attachment_in(network, comment)
        .map_or_else(|| Claimant::Cut(comment.to_owned()), Claimant::Attachment);
    ClaimedAddress { claimant, address }
}

/// Whether the owner is this attachment of the network. An owner of which only the container is known
/// counts as every attachment of it.
#[must_use]
pub fn is(claimant: &Claimant, network: &str, attachment: &Attachment) -> bool {
    match claimant {
        Claimant::Attachment(own) => own == attachment,
        Claimant::Container(id) => *id == attachment.container_id,
        Claimant::Cut(comment) => prefix_of(comment) == Owner::of(network, attachment).nft_prefix(),
    }
}

/// An address in a key or value of a set.
pub(crate) fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(<[u8; 4]>::try_from(bytes).ok()?.into()),
        16 => Some(<[u8; 16]>::try_from(bytes).ok()?.into()),
        _ => None,
    }
}

/// The attachment in a comment; `None` if its names were cut, which the hashes show.
fn attachment_in(network: &str, comment: &str) -> Option<Attachment> {
    let (_, names) = comment.split_once(", if: ")?;
    let (if_name, container_id) = names.split_once(", id: ")?;
    let attachment = Attachment {
        container_id: container_id.to_owned(),
        if_name: if_name.to_owned(),
    };
    let is_whole = prefix_of(comment) == Owner::of(network, &attachment).nft_prefix();
    is_whole.then_some(attachment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_tells_an_attachment_only_if_it_is_whole() {
        let address = "10.1.0.2".parse().unwrap();
        for (length, is_whole) in [(12, true), (57, true), (58, false), (100, false)] {
            let attachment = Attachment {
                container_id: "c".repeat(length),
                if_name: "eth0".to_owned(),
            };
            let comment = Owner::of("net", &attachment).nft_comment_with(" over others");
            let found = of_comment("net", &comment, address).claimant;
            assert!(is(&found, "net", &attachment), "{found:?}");
            assert_eq!(found == Claimant::Attachment(attachment.clone()), is_whole);
            let other = Attachment {
                if_name: "eth1".to_owned(),
                ..attachment
            };
            assert!(!is(&found, "net", &other), "{found:?}");
        }
    }
}
