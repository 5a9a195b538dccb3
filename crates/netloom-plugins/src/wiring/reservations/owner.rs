//! Who holds an address.

use netloom_spec::{Attachment, ContainerId, IfName};
use std::fmt;

/// What stands between the container id and the interface name.
const SEPARATOR: &[u8] = b"\r\n";

/// Who holds an address: the content of the address's file, without the white space around it.
///
/// That is the container id, CR LF, and the interface name. Versions of the reference before 0.7
/// wrote the container id only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner(Vec<u8>);

impl Owner {
    /// One attachment.
    pub(crate) fn attachment(container_id: &str, if_name: &str) -> Self {
        Self([container_id.as_bytes(), SEPARATOR, if_name.as_bytes()].concat())
    }

    /// One attachment to a network, where several networks have their reservations in one directory.
    pub(crate) fn of_network(container_id: &str, if_name: &str, network: &str) -> Self {
        let separator = SEPARATOR;
        Self(
            [
                container_id.as_bytes(),
                separator,
                if_name.as_bytes(),
                separator,
                network.as_bytes(),
            ]
            .concat(),
        )
    }

    /// The network, where one is named.
    pub(crate) fn network(&self) -> Option<&[u8]> {
        self.words().2
    }

    /// A container with any interface, as very old versions of the reference wrote it.
    pub(crate) fn container(container_id: &str) -> Self {
        Self(container_id.as_bytes().to_vec())
    }

    /// The owner a file names.
    pub(crate) fn read(content: &[u8]) -> Self {
        Self(content.trim_ascii().to_vec())
    }

    /// What to write into a file.
    pub(crate) fn content(&self) -> &[u8] {
        &self.0
    }

    /// The container id, and the interface name if there is one.
    fn parts(&self) -> (&[u8], Option<&[u8]>) {
        let (id, if_name, _) = self.words();
        (id, if_name)
    }

    /// The container id, and the interface and network names if there are any.
    fn words(&self) -> (&[u8], Option<&[u8]>, Option<&[u8]>) {
        let cut = |text: &'_ [u8]| text.windows(SEPARATOR.len()).position(|it| it == SEPARATOR);
        let Some(at) = cut(&self.0) else {
            return (&self.0, None, None);
        };
        let (id, rest) = (&self.0[..at], &self.0[at + SEPARATOR.len()..]);
        cut(rest).map_or((id, Some(rest), None), |at| {
            (id, Some(&rest[..at]), Some(&rest[at + SEPARATOR.len()..]))
        })
    }

    /// Whether this is what is left of a reservation of `of` after its file was damaged, as far as
    /// that can be ruled out.
    pub(crate) fn is_damaged(&self, of: &Self) -> bool {
        self.says_nothing() || self.is_left_of(of)
    }

    /// Whether it begins with what no container's id can be, as an empty file does, and a file that
    /// was written over.
    pub(crate) fn says_nothing(&self) -> bool {
        let id = std::str::from_utf8(self.parts().0);
        !id.is_ok_and(|id| ContainerId::new(id).is_ok())
    }

    /// Whether it is the beginning of what was written for `of`, or begins with the id and goes on
    /// with what nobody wrote.
    pub(crate) fn is_left_of(&self, of: &Self) -> bool {
        let is_cut = !self.0.is_empty() && self != of && of.0.starts_with(&self.0);
        if is_cut || self.is_sound() {
            return is_cut;
        }
        let (id, own) = (self.parts().0, of.parts().0);
        id == own || id.starts_with(own) && self.says_nothing()
    }

    /// Whether it may have been written so, by whatever version.
    pub(crate) fn is_sound(&self) -> bool {
        let is_if_name = |name: &[u8]| {
            let name = std::str::from_utf8(name);
            name.is_ok_and(|name| IfName::new(name).is_ok())
        };
        !self.says_nothing() && self.parts().1.is_none_or(is_if_name)
    }

    /// The attachment, if what it was written as can be told.
    pub(crate) fn of_whom(&self) -> Option<Attachment> {
        let (id, if_name) = self.parts();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        self.is_sound().then_some(Attachment {
            container_id: text(id)?,
            if_name: text(if_name.unwrap_or(b"eth0"))?,
        })
    }

    /// What stands for the owner in the index.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let upper = hash(self.parts().0) >> 32 << 32;
        // Never zero, which means nobody.
        Fingerprint(upper | hash(&self.0) >> 32 | 1)
    }
}

/// A hash of an owner: of its container id in the upper half, and of all in the lower one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        (bits != 0).then_some(Self(bits))
    }

    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    /// One of `count` places, the same for all owners with one container id.
    pub(crate) fn place(self, count: usize) -> usize {
        (((self.0 >> 32) * count as u64) >> 32) as usize
    }

    pub(crate) fn is_of_same_container(self, other: Self) -> bool {
        self.0 >> 32 == other.0 >> 32
    }
}

/// FNV-1a, with MurmurHash's last step to spread similar ids: files hold it, so it must not
/// change from one build to the next as the standard library's may.
fn hash(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(hash)
}

/// Every bit of the outcome depends on every bit of `number`.
pub(crate) fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let number = (number ^ number >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    number ^ number >> 33
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
    fn what_is_left_of_a_damaged_file_is_known_and_is_nobody_elses() {
        let own = Owner::attachment("pod-1", "eth0");
        for damaged in [
            &b""[..],
            b"\xff\0{",
            b"pod",
            b"pod-1\r\net",
            b"pod 1\r\neth0",
        ] {
            assert!(Owner::read(damaged).is_damaged(&own), "{damaged:?}");
        }
        for sound in [
            &b"pod-1\r\neth0"[..],
            b"pod-1\r\neth1",
            b"pod-2",
            b"pod-12\r\neth0",
        ] {
            assert!(!Owner::read(sound).is_damaged(&own), "{sound:?}");
        }
    }

    #[test]
    fn what_is_left_of_a_file_tells_whose_it_may_be() {
        let own = Owner::attachment("pod-1", "eth0");
        for left in [
            &b"p"[..],
            b"pod-1",
            b"pod-1\r\net",
            b"pod-1\r\n\0\0",
            b"pod-1\0\0",
        ] {
            assert!(Owner::read(left).is_left_of(&own), "{left:?}");
        }
        for other in [
            &b""[..],
            b"\0\0",
            b"pod-1\r\neth0",
            b"pod-1\r\neth1",
            b"pod-12\r\n\0",
            b"pod-2\0",
        ] {
            assert!(!Owner::read(other).is_left_of(&own), "{other:?}");
        }
    }

    #[test]
    fn fingerprints_tell_owners_apart_and_keep_a_container_together() {
        let mut seen = std::collections::HashSet::new();
        let mut places = [0; 8];
        for number in 0..10_000 {
            let id = format!("{number:064x}");
            let container = Owner::container(&id).fingerprint();
            places[container.place(8)] += 1;
            assert!(seen.insert(container));
            for if_name in ["eth0", "eth1"] {
                let owner = Owner::attachment(&id, if_name).fingerprint();
                assert!(seen.insert(owner));
                assert_eq!(owner.place(8), container.place(8));
                assert!(owner.is_of_same_container(container));
            }
        }
        assert!(
            places.iter().all(|count| (1_000..1_500).contains(count)),
            "{places:?}"
        );
    }

    #[test]
    fn fingerprints_are_the_same_in_every_build() {
        let owner = Owner::attachment("pod-1", "eth0");
        assert_eq!(owner.fingerprint().bits(), 0xe4b1_bfb4_d8b1_e177);
    }
}
