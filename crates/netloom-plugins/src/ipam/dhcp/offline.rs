//! Giving leases back while no daemon runs.

use super::attachment::Attachment;
use super::error::DhcpError;
use super::flags::Flags;
use super::identity::Identity;
use super::store::{Record, Store, boot_id, directory, read_all};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Gives the lease of one attachment back, if there is one. Returns what is worth a warning.
pub(super) fn release(socket: &Path, identity: &Identity) -> Vec<String> {
    let store = match Store::open_existing(directory(socket)) {
        Ok(Some(store)) => store,
        // A daemon that is just starting has read the lease and will see that the pod is gone.
        Ok(None) => return vec!["no lease to release".to_owned()],
        Err(error) => return vec![error.to_string()],
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
    released
        .into_iter()
        .chain(removed.map(|error| error.to_string()))
        .collect()
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
    let Some(store) = Store::open_existing(directory.clone()).map_err(failed)? else {
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

fn release_record(record: Record) {
    Attachment::resume(record, &Flags::default()).release();
}
