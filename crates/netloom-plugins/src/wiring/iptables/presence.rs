//! Whether iptables can have something, found out without executing it.

use super::super::SetupError;
use super::super::nftables::Nftables;
use netloom_kernel::iptables::Family;
use netloom_kernel::nft::{self, Socket, Table};

/// Whether the iptables that is built on nf_tables has this chain in its table `nat`.
pub(crate) fn has_chain(
    nftables: &Nftables,
    family: Family,
    chain: &str,
) -> Result<bool, SetupError> {
    ask(nftables, |socket| {
        Ok(socket.get_chain(&nat(family), chain)?.is_some())
    })
}

/// Whether any iptables can have it: the old kind keeps its chains out of sight.
pub(crate) fn may_have_chain(
    nftables: &Nftables,
    family: Family,
    chain: &str,
) -> Result<bool, SetupError> {
    Ok(has_legacy_nat_table(family) || has_chain(nftables, family, chain)?)
}

/// Whether any iptables has a table `nat`.
pub(crate) fn may_have_nat_table(nftables: &Nftables, family: Family) -> Result<bool, SetupError> {
    if has_legacy_nat_table(family) {
        return Ok(true);
    }
    ask(nftables, |socket| {
        Ok(socket.get_table(&nat(family))?.is_some())
    })
}

fn ask(
    nftables: &Nftables,
    question: impl FnOnce(&Socket) -> netloom_kernel::Result<bool>,
) -> Result<bool, SetupError> {
    nftables.with(question).map_err(SetupError::kernel(
        "failed to look for the chains of iptables",
    ))
}

fn nat(family: Family) -> Table<'static> {
    table(family, "nat")
}

/// A table of the iptables that is built on nf_tables.
pub(crate) fn table(family: Family, name: &str) -> Table<'_> {
    let family = match family {
        Family::V4 => nft::Family::Ip,
        Family::V6 => nft::Family::Ip6,
    };
    Table::new(family, name)
}

/// The old kind of iptables lists its tables, for the network namespace of the thread.
pub(crate) fn has_legacy_nat_table(family: Family) -> bool {
    let path = match family {
        Family::V4 => "/proc/thread-self/net/ip_tables_names",
        Family::V6 => "/proc/thread-self/net/ip6_tables_names",
    };
    std::fs::read_to_string(path).is_ok_and(|tables| tables.lines().any(|table| table == "nat"))
}
