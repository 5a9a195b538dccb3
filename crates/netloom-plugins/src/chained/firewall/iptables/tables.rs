//! iptables' table, looked into without executing anything where iptables is built on nf_tables.

use super::rules::{PODS, TABLE};
use crate::wiring::SetupError;
use crate::wiring::nftables::Nftables;
use netloom_kernel::iptables::Family;
use netloom_kernel::nft::{self, Table};

/// The chain that tells what an attachment has.
#[derive(Debug)]
pub(super) enum Marker {
    Absent,
    /// With this many rules.
    Present(usize),
    /// Only iptables itself can tell.
    Hidden,
}

impl Marker {
    pub(super) fn may_be_there(&self) -> bool {
        !matches!(self, Self::Absent)
    }

    /// How many rules it has, if that is known.
    pub(super) fn rules(&self) -> Option<usize> {
        match self {
            Self::Present(rules) => Some(*rules),
            Self::Absent | Self::Hidden => None,
        }
    }
}

pub(super) fn find_marker(
    nftables: &Nftables,
    family: Family,
    chain: &str,
) -> Result<Marker, SetupError> {
    if has_legacy_table(family) {
        return Ok(Marker::Hidden);
    }
    let table = table(family);
    let rules = nftables.with(|socket| match socket.get_chain(&table, chain)? {
        Some(_) => Ok(Some(socket.list_rules(&table, chain)?.len())),
        None => Ok(None),
    });
    Ok(rules
        .map_err(looking)?
        .map_or(Marker::Absent, Marker::Present))
}

/// Whether any attachment can have rules.
pub(super) fn may_have_rules(nftables: &Nftables, family: Family) -> Result<bool, SetupError> {
    if has_legacy_table(family) {
        return Ok(true);
    }
    let table = table(family);
    nftables
        .with(|socket| Ok(socket.get_chain(&table, PODS)?.is_some()))
        .map_err(looking)
}

pub(super) fn looking(error: netloom_kernel::Error) -> SetupError {
    SetupError::kernel("failed to look for iptables' firewall rules")(error)
}

pub(super) fn table(family: Family) -> Table<'static> {
    match family {
        Family::V4 => Table::new(nft::Family::Ip, TABLE),
        Family::V6 => Table::new(nft::Family::Ip6, TABLE),
    }
}

/// The old kind of iptables lists its tables, and keeps their chains out of sight.
pub(super) fn has_legacy_table(family: Family) -> bool {
    let path = match family {
        Family::V4 => "/proc/thread-self/net/ip_tables_names",
        Family::V6 => "/proc/thread-self/net/ip6_tables_names",
    };
    std::fs::read_to_string(path).is_ok_and(|tables| tables.lines().any(|table| table == TABLE))
}
