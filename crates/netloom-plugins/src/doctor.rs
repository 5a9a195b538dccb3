//! What a network has on this host that none of its valid attachments owns.
//!
//! Each kind of object has one line in `KINDS`, and a function beside the code that makes and
//! collects the objects: it reads, changes nothing, and what it finds is what that code would
//! collect. Files that plugins keep are in `FILES`, which also tell of those that are broken.

use std::path::PathBuf;

use crate::chained::{bandwidth, firewall, portmap, tuning};
use crate::interface::{flannel, host_device};
use crate::ipam::{dhcp, host_local};
pub use crate::wiring::claimant::{Claimant, ClaimedAddress};
pub use crate::wiring::record::{Elsewhere, lives, living};
use crate::wiring::{link_kind, masquerade, record, spoof};
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
    /// A file that says nothing: GC leaves it, because nothing tells whose it is.
    pub broken: Option<PathBuf>,
}

/// What the kernel lacks for a plugin that works without it, unless a pod asks for more.
///
/// # Errors
/// If the kernel does not say.
pub fn lack_of_kernel(conf: &PluginConf) -> Result<Option<String>, Error> {
    if bandwidth::may_need_ifb(conf)? {
        return Ok(link_kind::lack_of("ifb")?);
    }
    Ok(None)
}

/// The command that provides what STATUS, or [`lack_of_kernel`], says is missing.
#[must_use]
pub fn command_for(missing: &str) -> Option<String> {
    link_kind::command_for(missing)
}

/// A chain of nftables that stops what comes in by one of the links of a firewalled network, as text,
/// and the command that lets it pass. `families`: whether its pods have IPv4 and IPv6.
///
/// # Errors
/// If nf_tables does not say.
pub fn closed_chain(
    conf: &PluginConf,
    links: &[&str],
    families: [bool; 2],
) -> Result<Option<(String, String)>, Error> {
    match conf.plugin_type() {
        "firewall" => firewall::closed_chain(conf, links, families),
        _ => Ok(None),
    }
}

/// Whether a plugin makes objects of the kind.
type Makes = fn(&PluginConf) -> bool;
type Examine = fn(&Known<'_>) -> Result<Vec<String>, Error>;
/// The files that nobody owns, and the broken ones.
type ExamineFiles = fn(&PluginConf, &Known<'_>) -> Result<(Vec<PathBuf>, Vec<PathBuf>), Error>;

/// Every kind of object that netloom's GC collects, and which plugins make it: without one of those
/// nobody misses what the kernel does not let us see.
const KINDS: &[(&str, Makes, Examine)] = &[
    ("reservation", is_of_host_local, reservations),
    ("nftables masquerade", has_masquerade, |known| {
        masquerade::stale_of_nftables(known.network.as_str(), known.valid)
    }),
    ("iptables masquerade", has_masquerade, |known| {
        masquerade::stale_of_iptables(known.network.as_str(), known.valid)
    }),
    (
        "spoof check",
        |conf| conf.get("macspoofchk").is_some(),
        |known| spoof::stale(known.network.as_str(), known.valid),
    ),
    (
        "nftables port mapping",
        |conf| conf.plugin_type() == "portmap",
        |known| portmap::stale_of_nftables(known.network.as_str(), known.valid),
    ),
    (
        "iptables port mapping",
        |conf| conf.plugin_type() == "portmap",
        |known| portmap::stale_of_iptables(known.network.as_str(), known.valid),
    ),
    (
        "nftables firewall",
        |conf| conf.plugin_type() == "firewall",
        |known| firewall::stale_of_nftables(known.network.as_str(), known.valid),
    ),
    (
        "iptables firewall",
        |conf| conf.plugin_type() == "firewall",
        |known| firewall::stale_of_iptables(known.network.as_str(), known.valid),
    ),
    (
        "ifb",
        |conf| conf.plugin_type() == "bandwidth",
        |known| bandwidth::stale(known.network, known.valid),
    ),
    ("lent device", is_of_host_device, lent_devices),
    ("record of an attachment", makes_links, |known| {
        record::describe_stale(known.network.as_str(), known.valid)
    }),
];

/// The same for what is in files of a plugin.
const FILES: &[(&str, Makes, ExamineFiles)] = &[
    (
        "tuning backup",
        |conf| conf.plugin_type() == "tuning",
        |conf, known| tuning::stale(conf, known.network, known.valid),
    ),
    (
        "flannel configuration",
        |conf| conf.plugin_type() == "flannel",
        |conf, known| flannel::stale(conf, known.network, known.valid),
    ),
    ("reservation", is_of_host_local, |conf, known| {
        let broken = host_local::obstacles(conf, known.network, known.valid)?;
        Ok((Vec::new(), broken))
    }),
    (
        "DHCP lease",
        |conf| conf.ipam_type() == Some("dhcp"),
        |conf, known| dhcp::stale(conf, known.network, known.valid),
    ),
];

type FindClaims = fn(&str) -> Result<Vec<ClaimedAddress>, Error>;

/// Objects that tell both owner and address.
const CLAIMANTS: &[(Makes, FindClaims)] = &[
    (has_masquerade, masquerade::claims),
    (|conf| conf.plugin_type() == "portmap", portmap::claims),
];

/// Looks for everything of the network that nobody owns. What cannot be read is told in the second
/// list; it does not keep the rest from being looked at.
#[must_use]
pub fn examine(known: &Known<'_>) -> (Vec<Finding>, Vec<Error>) {
    let (mut findings, mut errors) = (Vec::new(), Vec::new());
    for (kind, makes, examine) in KINDS {
        match examine(known) {
            Ok(found) => findings.extend(found.into_iter().map(|what| Finding {
                kind,
                what,
                broken: None,
            })),
            Err(_) if !known.plugins.iter().any(makes) => {}
            Err(error) => errors.push(error.context(format_args!("look for every {kind}"))),
        }
    }
    for (kind, makes, examine) in FILES {
        for conf in known.plugins.iter().filter(|conf| makes(conf)) {
            match examine(conf, known) {
                Ok((stale, broken)) => add_files(&mut findings, kind, stale, broken),
                Err(error) => errors.push(error.context(format_args!("look for every {kind}"))),
            }
        }
    }
    (findings, errors)
}

/// Two plugins may keep their files in one place.
fn add_files(
    findings: &mut Vec<Finding>,
    kind: &'static str,
    stale: Vec<PathBuf>,
    broken: Vec<PathBuf>,
) {
    let stale = stale.into_iter().map(|path| (path, false));
    for (path, is_broken) in stale.chain(broken.into_iter().map(|path| (path, true))) {
        let why = if is_broken { " is broken" } else { "" };
        let finding = Finding {
            kind,
            what: format!("{}{why}", path.display()),
            broken: is_broken.then_some(path),
        };
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
}

/// The addresses that something on this host was made for, whoever did it, each with its owner. Whether
/// that lives, the addresses show.
///
/// # Errors
/// When a plugin's files cannot be locked or read, or the kernel does not tell what the network's plugins
/// made.
pub fn claims(network: &NetworkName, plugins: &[PluginConf]) -> Result<Vec<ClaimedAddress>, Error> {
    let mut claims = Vec::new();
    for conf in plugins {
        let reserved = match conf.ipam_type() {
            Some("host-local") => host_local::reserved(conf, network)?,
            Some("dhcp") => dhcp::leased(conf, network)?,
            _ => Vec::new(),
        };
        claims.extend(reserved.into_iter().map(|(owner, address)| ClaimedAddress {
            claimant: Claimant::Attachment(owner),
            address,
        }));
    }
    for (makes, find) in CLAIMANTS {
        match find(network.as_str()) {
            Ok(found) => claims.extend(found),
            Err(_) if !plugins.iter().any(makes) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(claims)
}

/// The plugins that a plugin has do its work, with their configurations: their objects are looked
/// for by those.
#[must_use]
pub fn delegates(conf: &PluginConf, network: &NetworkName) -> Vec<PluginConf> {
    match conf.plugin_type() {
        "flannel" => flannel::delegates(conf, network),
        _ => Vec::new(),
    }
}

/// The plugins, and those that they have do their work.
#[must_use]
pub fn with_delegates(plugins: &[PluginConf], network: &NetworkName) -> Vec<PluginConf> {
    let of_others = plugins.iter().flat_map(|conf| delegates(conf, network));
    plugins.iter().cloned().chain(of_others).collect()
}

fn has_masquerade(conf: &PluginConf) -> bool {
    conf.get("ipMasq").is_some()
}

fn is_of_host_local(conf: &PluginConf) -> bool {
    conf.ipam_type() == Some("host-local")
}

fn makes_links(conf: &PluginConf) -> bool {
    const MAKERS: [&str; 8] = [
        "bridge",
        "ptp",
        "macvlan",
        "ipvlan",
        "vlan",
        "dummy",
        "tap",
        "host-device",
    ];
    MAKERS.contains(&conf.plugin_type())
}

fn is_of_host_device(conf: &PluginConf) -> bool {
    conf.plugin_type() == "host-device"
}

fn reservations(known: &Known<'_>) -> Result<Vec<String>, Error> {
    let mut stale = Vec::new();
    for conf in known.plugins.iter().filter(|conf| is_of_host_local(conf)) {
        stale.extend(host_local::stale(conf, known.network, known.valid)?);
    }
    stale.sort();
    stale.dedup();
    Ok(stale)
}

fn lent_devices(known: &Known<'_>) -> Result<Vec<String>, Error> {
    let mut stray = Vec::new();
    for conf in known.plugins.iter().filter(|conf| is_of_host_device(conf)) {
        stray.extend(host_device::stray(conf)?);
    }
    Ok(stray)
}
