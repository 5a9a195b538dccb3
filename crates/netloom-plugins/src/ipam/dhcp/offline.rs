//! Giving leases back while no daemon runs.

use super::attachment::Attachment;
use super::error::DhcpError;
use super::flags::Flags;
use super::identity::Identity;
use super::rpc::client::CallError;
use super::store::{Record, Store, boot_id, directory, read_all};
use netloom_plugin::Error;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long to wait for others who give leases back. A daemon has them for as long as it runs.
const LIMIT: Duration = Duration::from_secs(5);

/// Gives the lease of one attachment back, if there is one. Returns what is worth a warning.
pub(super) fn release(socket: &Path, identity: &Identity) -> Result<Vec<String>, DhcpError> {
    let store = match Store::open_existing(directory(socket), LIMIT) {
        Ok(Some(store)) => store,
        Ok(None) => return Ok(vec!["no lease to release".to_owned()]),
        // A daemon that is stuck keeps the lease.
        Err(held @ DhcpError::Held(_)) => return Err(held),
        Err(error) => return Ok(vec![error.to_string()]),
    };
    let released = match store.read(identity) {
        Ok(Some(record)) => {
            release_record(record);
            vec!["released without the daemon".to_owned()]
        }
        Ok(None) => vec!["no lease to release".to_owned()],
        Err(error) => {
            let file = directory(socket).join(identity.file_name());
            vec![format!(
                "the lease {} cannot be read: {error}",
                file.display()
            )]
        }
    };
    let removed = store.remove(identity).err();
    Ok(released
        .into_iter()
        .chain(removed.map(|error| error.to_string()))
        .collect())
}

/// What a call has failed for that was not answered to its end: a daemon that has the leases may
/// answer later.
pub(super) fn unanswered(socket: &Path, error: CallError) -> Error {
    match Store::open_existing(directory(socket), Duration::ZERO) {
        Err(held @ DhcpError::Held(_)) => Error::from(held).context(error),
        _ => DhcpError::from(error).into(),
    }
}

/// Gives back all leases of a network but those of valid attachments.
pub(super) fn collect(
    socket: &Path,
    network: &str,
    valid: &[netloom_plugin::Attachment],
) -> Result<(), DhcpError> {
    let directory = directory(socket);
    let failed = |cause| DhcpError::Leases {
        directory: directory.clone(),
        cause,
    };
    let Some(store) = Store::open_existing(directory.clone(), LIMIT)? else {
        return Ok(());
    };
    let (records, mut faults) = store.list().map_err(failed)?;
    for record in records {
        if record.identity.is_stale(network, valid) {
            let identity = record.identity.clone();
            release_record(record);
            faults.extend(store.remove(&identity).err().map(|error| error.to_string()));
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    Err(DhcpError::SomeLeases { directory, faults })
}

/// The files of leases that GC would give back, or of an earlier run of the kernel, and the files
/// that are none. They are read beside a daemon that may be at work on them.
pub(super) fn stale(
    socket: &Path,
    network: &str,
    valid: &[netloom_plugin::Attachment],
) -> Result<(Vec<PathBuf>, Vec<PathBuf>), DhcpError> {
    let directory = directory(socket);
    let (records, broken) = match read_all(&directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => Default::default(),
        read => read.map_err(|cause| DhcpError::Leases { directory, cause })?,
    };
    let boot_id = boot_id();
    let is_stale = |record: &Record| {
        let earlier = record.identity.network == network && record.boot_id != boot_id;
        earlier || record.identity.is_stale(network, valid)
    };
    let stale = records.into_iter().filter(|(_, record)| is_stale(record));
    let paths = stale.map(|(path, _)| path).collect();
    Ok((paths, broken.into_iter().map(|(path, _)| path).collect()))
}

/// The attachments of a network with leases, and each address.
pub(super) fn leased(
    socket: &Path,
    network: &str,
) -> Result<Vec<(netloom_plugin::Attachment, IpAddr)>, DhcpError> {
    let directory = directory(socket);
    let records = match read_all(&directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        read => {
            read.map_err(|cause| DhcpError::Leases { directory, cause })?
                .0
        }
    };
    let records = records.into_iter().map(|(_, record)| record);
    let addresses = |record: Record| {
        let v4 = record.ipv4.map(|lease| lease.address.addr().into());
        let v6 = record.ipv6.map(|lease| lease.address.into());
        let owner = netloom_plugin::Attachment {
            container_id: record.identity.container_id,
            if_name: record.identity.if_name,
        };
        let both = v4.into_iter().chain(v6);
        both.map(move |address| (owner.clone(), address))
    };
    let of_network = records.filter(|record| record.identity.network == network);
    Ok(of_network.flat_map(addresses).collect())
}

fn release_record(record: Record) {
    Attachment::resume(record, &Flags::default()).release();
}
