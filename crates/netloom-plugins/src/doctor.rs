//! What a network has on this host that none of its valid attachments owns.
//!
//! Each kind of object has one line in [`KINDS`], and a function beside the code that makes and
//! collects the objects: it reads, and changes nothing.

use crate::ipam::host_local;
use crate::wiring::{masquerade, spoof};
use netloom_spec::{Attachment, Error, NetworkName, PluginConf};

/// A network, and who is on it.
#[derive(Debug)]
pub struct Known<'a> {
    /// Its name.
    pub network: &'a NetworkName,
    /// Its plugins, those of former configurations included.
    pub plugins: &'a [PluginConf],
    /// The attachments that live.
    pub valid: &'a [Attachment],
}

/// Something that nobody owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of object it is.
    pub kind: &'static str,
    /// The object: its name, and whose it was, as far as it tells.
    pub what: String,
}

type Examine = fn(&Known<'_>) -> Result<Vec<String>, Error>;

/// Every kind of object that netloom's GC collects, and the key by which a configuration asks for
/// it: without the key nobody misses what the kernel does not let us see.
const KINDS: &[(&str, &str, Examine)] = &[
    ("reservation", "ipam", reservations),
    ("nftables masquerade", "ipMasq", |known| {
        masquerade::stale_of_nftables(known.network.as_str(), known.valid)
    }),
    ("iptables masquerade", "ipMasq", |known| {
        masquerade::stale_of_iptables(known.network.as_str(), known.valid)
    }),
    ("spoof check", "macspoofchk", |known| {
        spoof::stale(known.network.as_str(), known.valid)
    }),
];

/// Looks for everything of the network that nobody owns. What cannot be read is told in the second
/// list; it does not keep the rest from being looked at.
#[must_use]
pub fn examine(known: &Known<'_>) -> (Vec<Finding>, Vec<Error>) {
    let (mut findings, mut errors) = (Vec::new(), Vec::new());
    for (kind, key, examine) in KINDS {
        match examine(known) {
            Ok(found) => findings.extend(found.into_iter().map(|what| Finding { kind, what })),
            Err(_) if known.plugins.iter().all(|conf| conf.get(key).is_none()) => {}
            Err(error) => errors.push(error.context(format_args!("look for every {kind}"))),
        }
    }
    (findings, errors)
}

fn reservations(known: &Known<'_>) -> Result<Vec<String>, Error> {
    let mut stale = Vec::new();
    for conf in pools(known) {
        stale.extend(host_local::stale(conf, known.network, known.valid)?);
    }
    stale.sort();
    stale.dedup();
    Ok(stale)
}

fn pools<'a>(known: &'a Known<'_>) -> impl Iterator<Item = &'a PluginConf> {
    let of_host_local = |conf: &&PluginConf| conf.ipam_type() == Some("host-local");
    known.plugins.iter().filter(of_host_local)
}
