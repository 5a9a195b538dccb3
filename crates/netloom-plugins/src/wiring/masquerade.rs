//! Masquerade: what a pod sends beyond its subnet leaves with the host's address.

mod backend;
mod entry;
mod iptables;
mod iptables_script;
mod nftables;

pub(crate) use backend::{Backend, BackendChoice};
pub(crate) use nftables::TABLE;

use super::SetupError;
use super::check::mismatch;
use super::configured::is_on;
use super::nftables::Nftables;
use super::owner::Owner;
use ipnet::IpNet;
use netloom_plugin::host::ClaimedAddress;
use netloom_plugin::{Owned, Undo};
use netloom_spec::{AddResult, NetworkName, PluginConf};

/// Masquerades the addresses of a result of ADD. Doing it again changes nothing.
pub(crate) fn create<'r>(
    nftables: &Nftables,
    owner: Owner<'r>,
    choice: BackendChoice,
    result: &AddResult,
    undo: &mut Undo<'r>,
) -> Result<(), SetupError> {
    let backend = choice.for_add();
    // The addresses with the prefixes of their subnets.
    let nets: Vec<IpNet> = result.ips.iter().map(|ip| ip.address).collect();
    let created = nets.clone();
    // Registered first: what fails half way is taken back as well.
    undo.on_failure("remove the masquerade", move || {
        let choice = BackendChoice::Only(backend);
        Ok(remove(
            &Nftables::open()?,
            owner,
            choice,
            Addresses::Known(&created),
        )?)
    });
    match backend {
        Backend::Iptables => iptables::create(nftables, owner, &nets),
        Backend::Nftables => nftables::create(nftables, owner, &nets),
    }
}

/// The addresses of an attachment that goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Addresses<'a> {
    /// By the result of ADD.
    Known(&'a [IpNet]),
    /// As the pod's interface has them now; none if it cannot be asked. The container may have changed
    /// them.
    Seen(&'a [IpNet]),
}

impl<'a> Addresses<'a> {
    fn nets(self) -> &'a [IpNet] {
        match self {
            Self::Known(nets) | Self::Seen(nets) => nets,
        }
    }

    /// Whether no address can be missing. A result without addresses is not certain.
    fn is_certain(self) -> bool {
        matches!(self, Self::Known(nets) if !nets.is_empty())
    }
}

/// Removes the masquerade from both packet filters, because the configuration need not say which of
/// them ADD used. What is not found by the addresses is found by the owner's name.
pub(crate) fn remove(
    nftables: &Nftables,
    owner: Owner<'_>,
    choice: BackendChoice,
    of: Addresses<'_>,
) -> Result<(), SetupError> {
    let by_nftables = nftables::remove(nftables, owner, of.nets());
    let by_iptables = iptables::remove(nftables, owner, choice, of);
    by_nftables.and(by_iptables)
}

/// CHECK: fails unless every address is masqueraded by the packet filter that the configuration names.
/// If it names none, either of the two will do.
pub(crate) fn check(
    owner: Owner<'_>,
    choice: BackendChoice,
    nets: &[IpNet],
) -> Result<(), SetupError> {
    match choice {
        BackendChoice::Only(Backend::Iptables) => iptables::check(owner, nets),
        BackendChoice::Only(Backend::Nftables) => nftables::check(owner, nets),
        BackendChoice::Any => {
            let Err(first) = nftables::check(owner, nets) else {
                return Ok(());
            };
            let Err(second) = iptables::check(owner, nets) else {
                return Ok(());
            };
            Err(mismatch(format!("{first}, and {second}")))
        }
    }
}

/// The addresses of a network that are masqueraded, with their owners. They are looked for even if the
/// configuration has no masquerade now, as it may have had one before; but then it is no error that they
/// cannot be read.
pub(crate) fn claims(
    conf: &PluginConf,
    network: &NetworkName,
) -> Result<Vec<ClaimedAddress>, netloom_spec::Error> {
    match find_claims(network.as_str()) {
        Err(_) if !is_on(conf, "ipMasq") => Ok(Vec::new()),
        found => found,
    }
}

/// Those of both packet filters.
fn find_claims(network: &str) -> Result<Vec<ClaimedAddress>, netloom_spec::Error> {
    let mut claims = nftables::claims(network)?;
    claims.extend(iptables::claims(network)?);
    Ok(claims)
}

/// What GC removes.
pub(crate) const OWNED: [Owned; 2] = [
    Owned::of_network("nftables masquerade", nftables::sweep).with_key("ipMasq"),
    Owned::of_network("iptables masquerade", iptables::sweep).with_key("ipMasq"),
];
