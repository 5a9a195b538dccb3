//! Who filters packets on this host.

use super::firewalld::Firewalld;
use super::plan::Choice;
use crate::wiring::SetupError;
use crate::wiring::check::mismatch;
use netloom_kernel::iptables::{self, Family};
use netloom_kernel::nft::Socket;

/// A packet filter.
#[derive(Debug)]
pub(super) enum Backend {
    Iptables,
    Firewalld(Firewalld),
    Nftables,
}

impl Backend {
    /// What a configuration would say that names it.
    pub(super) fn choice(&self) -> Choice {
        match self {
            Self::Iptables => Choice::Iptables,
            Self::Firewalld(_) => Choice::Firewalld,
            Self::Nftables => Choice::Nftables,
        }
    }
}

/// Decides for ADD, as upstream does: what the configuration names, else firewalld if it runs,
/// else iptables; and nf_tables where that is not installed. Nothing is executed to find out.
pub(super) fn choose(choice: Choice) -> Result<Backend, SetupError> {
    match choice {
        Choice::Iptables => Ok(Backend::Iptables),
        Choice::Nftables => Ok(Backend::Nftables),
        Choice::Firewalld => Firewalld::connect().map(Backend::Firewalld),
        Choice::Any => Ok(match Firewalld::if_running() {
            Some(firewalld) => Backend::Firewalld(firewalld),
            None => packet_filter(),
        }),
    }
}

/// Without firewalld, or beside it for what it cannot do.
pub(super) fn packet_filter() -> Backend {
    if iptables::is_available(Family::V4) {
        Backend::Iptables
    } else {
        Backend::Nftables
    }
}

/// Fails unless iptables is installed, for one family at least.
pub(super) fn require_iptables() -> Result<(), SetupError> {
    if iptables::is_available(Family::V4) || iptables::is_available(Family::V6) {
        return Ok(());
    }
    Err(mismatch(
        "neither iptables-restore nor ip6tables-restore is in PATH: install iptables, or \
               set backend to \"nftables\"",
    ))
}

/// Fails unless the kernel has nf_tables.
pub(super) fn require_nftables() -> Result<(), SetupError> {
    Socket::open()
        .and_then(|socket| socket.generation())
        .map(drop)
        .map_err(SetupError::kernel("the kernel has no nf_tables"))
}
