//! What an attachment has, on record in one element of the set `attachments` of each table: DEL
//! learns from it whether there is anything, and whether what it was told leads to all of that. The
//! configuration may be another by then, and so may be what the runtime remembers.

use super::layout::{ATTACHMENTS, IpVersion};
use super::port_key::PortKey;
use crate::chained::portmap::plan::Masquerade;
use crate::wiring::elements::has_prefix;
use crate::wiring::masquerade::Backend;
use crate::wiring::owner::{Owner, hash16, prefix_of, prefix_of_instance};
use netloom_kernel::Result;
use netloom_kernel::nft::{Key, Socket};
use std::fmt::Write as _;

const NOTE: &str = " has ";

/// What was made, told apart from anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Digest(String);

impl Digest {
    /// `backend` has the mappings of these ports.
    pub(super) fn of(backend: Backend, masquerade: Masquerade, ports: &[PortKey]) -> Self {
        let mut text = format!("{backend:?} {masquerade:?}");
        for port in ports {
            let (ip, protocol) = (port.host_ip, port.protocol.name());
            let _ = write!(text, " {} {ip:?} {protocol} {}", port.map, port.host_port);
        }
        Self(hash16(&[&text]))
    }

    /// A note for the comment of the record.
    pub(super) fn note(&self) -> String {
        format!("{NOTE}{}", self.0)
    }
}

/// Whether a comment is of another element than the record.
pub(super) fn is_of_another(comment: &str) -> bool {
    !comment.contains(NOTE)
}

/// The key of the record of the owner whose comments begin so. The names are cut to those of links,
/// which is what `nft` takes them for; the comment tells owners apart for certain.
pub(super) fn key(prefix: &str) -> Key {
    let (network, instance) = prefix.split_once('-').unwrap_or((prefix, ""));
    Key::new().link(network).link(instance)
}

/// The key by which a container's interface is found whatever its network was called.
pub(super) fn index_key(instance: &str) -> Key {
    Key::new().link("any network").link(instance)
}

/// The record of an owner; `None` where nothing was made.
#[derive(Debug)]
pub(super) struct Record(String);

impl Record {
    pub(super) fn find(socket: &Socket, version: IpVersion, prefix: &str) -> Result<Option<Self>> {
        let found = socket.get_element(version.table(), ATTACHMENTS, &key(prefix))?;
        let comment = found.and_then(|found| found.comment);
        Ok(comment
            .filter(|comment| has_prefix(Some(comment), prefix))
            .map(Self))
    }

    /// That of a container's interface on a network that is called otherwise now.
    pub(super) fn find_by_index(
        socket: &Socket,
        version: IpVersion,
        owner: Owner<'_>,
    ) -> Result<Option<Self>> {
        let instance = owner.nft_instance();
        let found = socket.get_element(version.table(), ATTACHMENTS, &index_key(&instance))?;
        let comment = found.and_then(|found| found.comment).unwrap_or_default();
        match prefix_of_instance(&comment, &instance) {
            Some(prefix) => Self::find(socket, version, prefix),
            None => Ok(None),
        }
    }

    /// What all comments of the owner begin with.
    pub(super) fn prefix(&self) -> &str {
        prefix_of(&self.0)
    }

    pub(super) fn is(&self, digest: &Digest) -> bool {
        self.0.contains(&digest.note())
    }
}
