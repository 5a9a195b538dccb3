//! `ratchet reach DIRECTORY`: makes the tunnels of pods that were here before the other pod was there, on
//! another host, and removes those whose other pod is gone. The node's daemon executes it when it has
//! changed its file in a network's store.

use super::meet::{self, Asks, Candidate};
use super::plan::Wanted;
use super::record::Record;
use super::store::Store;
use super::{unlink, wait};
use netloom_links::Place;
use netloom_plugin::Cleanup;
use netloom_spec::{Error, NetworkName, code, terminal};
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

pub(super) fn main(arguments: &[OsString]) -> ExitCode {
    let outcome = match arguments {
        [root] => reach(Path::new(root)),
        _ => Err(super::invalid(
            "usage: ratchet reach DIRECTORY, that of the store",
        )),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{}", terminal::lines(&error.to_string()));
            ExitCode::FAILURE
        }
    }
}

fn reach(root: &Path) -> Result<(), Error> {
    let failed = |cause: std::io::Error| {
        Error::new(code::IO, format!("cannot list {}: {cause}", root.display()))
    };
    let mut cleanup = Cleanup::new();
    for entry in fs::read_dir(root).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if let Some(Ok(network)) = name.to_str().map(NetworkName::new) {
            cleanup.step(network.as_str(), in_network(root, &network));
        }
    }
    cleanup.finish()
}

fn in_network(root: &Path, network: &NetworkName) -> Result<(), Error> {
    let store = Store::of(root, network)?;
    let Some(_lock) = store.lock_if_there()? else {
        return Ok(());
    };
    let mut cleanup = Cleanup::new();
    for (_, record) in store.list()?.records {
        if record.pod.is_empty() || !store.is_current(&record)? {
            continue;
        }
        if let Some(place) = record.open_place(store.boot())? {
            let what = format!("links of pod {:?}", record.pod);
            cleanup.step(&what, in_pod(network, &store, &record, &place));
        }
    }
    cleanup.finish()
}

/// What the configuration allowed and the pod asked for at ADD, the record tells.
fn in_pod(
    network: &NetworkName,
    store: &Store,
    record: &Record,
    place: &Place,
) -> Result<(), Error> {
    let (mut wanted, mut kept) = (Vec::new(), Vec::new());
    for (link, alone) in record.wanted() {
        match link.hosts {
            // A topology has placed it; ADD has made it.
            Some(_) => kept.push(meet::marks(network, &link)[1].clone()),
            None => wanted.push(Wanted {
                link,
                alone,
                tunnel: None,
            }),
        }
    }
    let asks = Asks {
        wanted: &wanted,
        open: record.open,
        mutual: true,
    };
    let (mut candidates, peers) = meet::candidates(asks, &record.pod, store)?;
    candidates.retain(|it: &Candidate| it.tunnel.is_some());
    let marks = candidates.iter().map(|it| meet::marks(network, &it.link));
    kept.extend(marks.map(|[_, tunnel]| tunnel));
    unlink::remove_tunnels(place, network, &kept)?;
    let host = meet::host_of(&candidates)?;
    let mut cleanup = Cleanup::new();
    for candidate in &candidates {
        let link = meet::for_kernel(network, candidate, place, host.as_ref(), &peers)?;
        let made = link.apply().map(drop).map_err(super::failure);
        cleanup.step(&candidate.link.peer.id(), made);
    }
    wait::settle(place, &candidates, &peers);
    cleanup.finish()
}
