//! Whose lease it is.

use netloom_plugin::Attachment;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// An attachment, as the daemon tells them apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Identity {
    #[serde(rename = "containerID")]
    pub(super) container_id: String,
    pub(super) network: String,
    #[serde(rename = "ifname")]
    pub(super) if_name: String,
}

/// As long as an option can be, without the byte that says what kind of id it is.
const TEXT_MAX: usize = 254;

impl Identity {
    /// What servers know the attachment by (option 61). It is the reference's, so that the same
    /// container gets the same address from either.
    pub(super) fn client_id(&self) -> Vec<u8> {
        let text = self.to_string();
        let mut id = vec![0];
        id.extend(text.bytes().take(TEXT_MAX));
        id
    }

    /// A number of 256 bits that no two attachments share.
    pub(super) fn digest(&self) -> [u8; 32] {
        // A slash is in none of the parts.
        Sha256::digest(self.to_string()).into()
    }

    /// Whether it is of a network, and not among the attachments that are valid there.
    pub(super) fn is_stale(&self, network: &str, valid: &[Attachment]) -> bool {
        self.network == network
            && !valid.iter().any(|attachment| {
                attachment.container_id == self.container_id && attachment.if_name == self.if_name
            })
    }

    /// The name of the file that holds the lease: names may be longer than a file's.
    pub(super) fn file_name(&self) -> String {
        let hex: String = self.digest()[..16]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("{hex}.json")
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            container_id,
            network,
            if_name,
        } = self;
        write!(f, "{container_id}/{network}/{if_name}")
    }
}

#[cfg(test)]
mod tests {
    use super::Identity;

    fn identity(container_id: &str) -> Identity {
        Identity {
            container_id: container_id.to_owned(),
            network: "net".into(),
            if_name: "eth0".into(),
        }
    }

    #[test]
    fn the_client_id_is_a_zero_and_the_names_cut_to_an_option() {
        assert_eq!(identity("cid").client_id(), b"\0cid/net/eth0");
        let long = identity(&"x".repeat(300));
        assert_eq!(long.client_id().len(), 255);
        assert_ne!(long.file_name(), identity(&"x".repeat(301)).file_name());
    }
}
