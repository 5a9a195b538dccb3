//! Reservations of networks that nobody knows any more.

use super::config::DATA_DIR;
use super::error::HostLocalError;
use crate::wiring::reservations::listing::is_reservation;
use crate::wiring::reservations::store::Place;
use crate::wiring::reservations::store_error::failed;
use netloom_plugin::Error;
use netloom_plugin::host::Forgotten;
use netloom_spec::{ContainerId, NetworkName};
use rustix::io::Errno;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::path::Path;

/// The networks in the default `dataDir` that are not known and hold no reservation of these
/// containers, which live: on whatever network that is known of. A runtime that attaches a
/// container to more, as Multus does, may remember it elsewhere.
///
/// # Errors
/// When the directory cannot be read. A network that cannot be read is none of them.
pub(super) fn forgotten(
    is_known: &dyn Fn(&str) -> bool,
    living: &[&str],
) -> Result<Vec<Forgotten>, Error> {
    let mut found = Vec::new();
    for network in networks(Path::new(DATA_DIR))? {
        if is_known(&network) {
            continue;
        }
        let place = Place {
            data_dir: DATA_DIR.into(),
            network,
        };
        let held = containers(&place.reservations()).unwrap_or_default();
        let (addresses, containers): (Vec<_>, Vec<_>) = held.into_iter().unzip();
        // Of a damaged file no more may be left than the beginning of an id.
        let lives = |id: &String| living.iter().any(|living| living.starts_with(id.as_str()));
        if !containers.is_empty() && !containers.iter().any(lives) {
            let mut directories = vec![place.reservations(), place.index()];
            directories.retain(|directory| directory.is_dir());
            found.push(Forgotten {
                kind: "reservation",
                network: place.network,
                directories,
                count: containers.len(),
                addresses: addresses.into_iter().flatten().collect(),
            });
        }
    }
    Ok(found)
}

/// The names in a `dataDir` that a network can have, sorted. No link stands for a directory.
fn networks(data_dir: &Path) -> Result<Vec<String>, HostLocalError> {
    let list = || -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(data_dir)? {
            let entry = entry?;
            let name = entry.file_name().into_string().ok();
            if entry.file_type()?.is_dir() {
                names.extend(name.filter(|name| NetworkName::new(name).is_ok()));
            }
        }
        names.sort();
        Ok(names)
    };
    match list() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        listed => Ok(listed.map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            failed("list", data_dir)(errno)
        })?),
    }
}

/// The address and the container of each reservation; nothing of it where the file does not tell.
fn containers(reservations: &Path) -> io::Result<Vec<(Option<IpAddr>, String)>> {
    let mut containers = Vec::new();
    for entry in fs::read_dir(reservations)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| is_reservation(name)) else {
            continue;
        };
        let is_file = entry.file_type()?.is_file();
        let content = if is_file {
            fs::read(entry.path())?
        } else {
            Vec::new()
        };
        let content = String::from_utf8_lossy(&content);
        let id = content.split_ascii_whitespace().next().unwrap_or_default();
        let is_id = ContainerId::new(id).is_ok();
        let id = if is_id { id } else { "" };
        containers.push((name.parse().ok(), id.to_owned()));
    }
    Ok(containers)
}
