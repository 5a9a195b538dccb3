//! Who holds an address.

use sha2::{Digest, Sha256};
use std::fmt;

/// What stands between the container id and the interface name.
const SEPARATOR: &[u8] = b"\r\n";
/// The kernel's limit for an interface name, without the final zero.
const IF_NAME_LIMIT: usize = 15;
/// The limit of every common filesystem.
const FILE_NAME_LIMIT: usize = 255;

/// Who holds an address: the content of the address's file, without the white space around it.
///
/// That is the container id, CR LF, and the interface name. Versions of the reference before 0.7
/// wrote the container id only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Owner(Vec<u8>);

impl Owner {
    /// One attachment.
    pub(super) fn attachment(container_id: &str, if_name: &str) -> Self {
        Self([container_id.as_bytes(), SEPARATOR, if_name.as_bytes()].concat())
    }

    /// A container with any interface, as very old versions of the reference wrote it.
    pub(super) fn container(container_id: &str) -> Self {
        Self(container_id.as_bytes().to_vec())
    }

    /// The owner a file names.
    pub(super) fn read(content: &[u8]) -> Self {
        Self(content.trim_ascii().to_vec())
    }

    /// What to write into a file.
    pub(super) fn content(&self) -> &[u8] {
        &self.0
    }

    /// The container id, and the interface name if there is one.
    fn parts(&self) -> (&[u8], Option<&[u8]>) {
        let at = self
            .0
            .windows(SEPARATOR.len())
            .position(|window| window == SEPARATOR);
        at.map_or((&self.0, None), |at| {
            (&self.0[..at], Some(&self.0[at + SEPARATOR.len()..]))
        })
    }

    /// A file name that no other owner has.
    ///
    /// `<container id>:<interface name>`, for a person to read: neither can contain a colon. What
    /// would be too long, or was written by something else than a CNI plugin, becomes a hash.
    pub(super) fn file_name(&self) -> String {
        self.plain_name().unwrap_or_else(|| {
            let hex: String = Sha256::digest(&self.0)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            format!("sha256:{hex}")
        })
    }

    fn plain_name(&self) -> Option<String> {
        let (id, if_name) = self.parts();
        let plain_id = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
        let plain_if = |byte: &u8| byte.is_ascii_graphic() && !b"/:".contains(byte);
        // The hashes' names have a longer second part, so no plain name is one of them.
        let plain = id.first()?.is_ascii_alphanumeric()
            && id.iter().all(plain_id)
            && if_name.is_none_or(|name| {
                (1..=IF_NAME_LIMIT).contains(&name.len()) && name.iter().all(plain_if)
            });
        let name = [id, b":", if_name.unwrap_or_default()].concat();
        (plain && name.len() <= FILE_NAME_LIMIT).then(|| String::from_utf8(name).ok())?
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            ([], _) => f.write_str("nobody"),
            (id, None) => write!(f, "container {}", id.escape_ascii()),
            (id, Some(name)) => {
                write!(
                    f,
                    "container {}, interface {}",
                    id.escape_ascii(),
                    name.escape_ascii()
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_read_back_with_any_white_space_around() {
        let owner = Owner::attachment("pod-1", "eth0");
        assert_eq!(owner.content(), b"pod-1\r\neth0");
        assert_eq!(Owner::read(b"  pod-1\r\neth0\n"), owner);
        assert_eq!(Owner::read(b"pod-1\n"), Owner::container("pod-1"));
        assert_eq!(owner.to_string(), "container pod-1, interface eth0");
        assert_eq!(Owner::read(b"").to_string(), "nobody");
    }

    #[test]
    fn ordinary_owners_have_readable_file_names() {
        assert_eq!(Owner::attachment("pod-1", "eth0").file_name(), "pod-1:eth0");
        assert_eq!(Owner::container("pod-1").file_name(), "pod-1:");
    }

    #[test]
    fn odd_owners_have_hashes_for_names() {
        let long = "x".repeat(300);
        for owner in [
            Owner::attachment(&long, "eth0"),
            Owner::container("../../etc/passwd"),
            Owner::container(""),
            Owner::container(".hidden"),
            Owner::read(b"a:b"),
            Owner::read(b"a\nb"),
            Owner::read(b"\xff\xfe"),
            Owner::attachment("a", "b\r\nc"),
            Owner::attachment("a", "b/c"),
            Owner::attachment("sha256", &"0".repeat(64)),
        ] {
            let name = owner.file_name();
            assert!(name.starts_with("sha256:") && name.len() == 71, "{name}");
        }
    }
}
