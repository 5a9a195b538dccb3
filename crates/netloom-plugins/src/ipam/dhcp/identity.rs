//! Whose lease it is.

use hmac_sha256::Hash;
use netloom_plugin::Attachment;
use serde::{Deserialize, Serialize};
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

/// What becomes of a client id that is longer than an option can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum LongId {
    /// It is cut, as the reference does. The names of two interfaces may differ behind the cut only.
    /// Leases that were acquired so go on so: their server knows them by it.
    #[default]
    Cut,
    /// Its end is replaced by a digest of all of it.
    Hashed,
}

impl Identity {
    /// What servers know the attachment by (option 61). One that fits is the reference's, so that
    /// the same container gets the same address from either.
    pub(super) fn client_id(&self, long: LongId) -> Vec<u8> {
        let mut text = self.to_string();
        if text.len() > TEXT_MAX && long == LongId::Hashed {
            let digest = hex(&self.digest());
            text.truncate(text.floor_char_boundary(TEXT_MAX - 1 - digest.len()));
            text.push('#');
            text.push_str(&digest);
        }
        let mut id = vec![0];
        id.extend(text.bytes().take(TEXT_MAX));
        id
    }

    /// A number of 256 bits that no two attachments share.
    pub(super) fn digest(&self) -> [u8; 32] {
        // A slash is in none of the parts.
        Hash::hash(self.to_string().as_bytes())
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
        format!("{}.json", hex(&self.digest()[..16]))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
    use super::{Identity, LongId};

    fn identity(container_id: &str) -> Identity {
        Identity {
            container_id: container_id.to_owned(),
            network: "net".into(),
            if_name: "eth0".into(),
        }
    }

    #[test]
    fn the_client_id_is_a_zero_and_the_names_as_long_as_they_fit() {
        // Nine bytes are the other names' and the slashes'.
        for id in ["cid".to_owned(), "x".repeat(254 - 9)] {
            let expected = format!("\0{id}/net/eth0").into_bytes();
            assert!(expected.len() <= 255);
            for long in [LongId::Cut, LongId::Hashed] {
                assert_eq!(identity(&id).client_id(long), expected);
            }
        }
    }

    #[test]
    fn no_two_attachments_share_a_client_id_however_long_their_names_are() {
        let [one, two] = [246, 300].map(|length| identity(&"x".repeat(length)));
        let ids = [&one, &two].map(|identity| identity.client_id(LongId::Hashed));
        assert_eq!((ids[0].len(), ids[1].len()), (255, 255));
        assert_ne!(ids[0], ids[1]);
        assert_eq!(
            two.client_id(LongId::Cut),
            [&b"\0"[..], &[b'x'; 254]].concat()
        );
        assert_ne!(one.file_name(), two.file_name());
        // Whatever the bytes of a name are.
        assert!(identity(&"é".repeat(200)).client_id(LongId::Hashed).len() <= 255);
    }
}
