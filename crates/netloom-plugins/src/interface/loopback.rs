//! loopback: sets the pod's `lo` up.
//!
//! The kernel makes `lo` with the namespace and gives it its addresses when it goes up; nothing
//! else exists to be created or owned. `CNI_IFNAME` is ignored: this is about `lo` alone.

use ipnet::IpNet;
use netloom_kernel::netns::{Netns, OpenError};
use netloom_kernel::rtnl::{LinkChange, Socket};
use netloom_plugin::{AddRequest, AddResult, CheckRequest, DelRequest, Error, Plugin, Undo, code};
use netloom_spec::{Interface, IpConfig};
use std::rc::Rc;

/// The plugin loopback.
#[derive(Debug)]
pub struct Loopback;

const LO: &str = "lo";

/// The hardware address of every loopback interface.
const NO_MAC: &str = "00:00:00:00:00:00";

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("failed to open netns {path:?}: {cause}")]
    Netns { path: String, cause: OpenError },
    #[error("loopback interface found with non-loopback address {0}")]
    ForeignAddress(IpNet),
    #[error("loopback interface is down")]
    Down,
    #[error(transparent)]
    Kernel(#[from] netloom_kernel::Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let code = match failure {
            Failure::Netns { .. } => code::INVALID_NETNS,
            Failure::ForeignAddress(_) | Failure::Down | Failure::Kernel(_) => code::INTERNAL,
        };
        Self::new(code, failure.to_string())
    }
}

impl Plugin for Loopback {
    fn name(&self) -> &'static str {
        "loopback"
    }

    fn add<'r>(
        &self,
        request: &'r AddRequest<'r>,
        undo: &mut Undo<'r>,
    ) -> Result<AddResult, Error> {
        let prev_result = request.prev_result()?;
        let pod = Rc::new(open(request.netns)?);
        let index = set_up(&pod, undo)?;
        let addresses = loopback_addresses(&pod, index)?;
        Ok(prev_result.unwrap_or_else(|| describe(request.netns, &addresses)))
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        let lo = open(request.netns)?.get_link(LO).map_err(Failure::from)?;
        if lo.flags.is_up() {
            Ok(())
        } else {
            Err(Failure::Down.into())
        }
    }

    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        match request.netns.map(open) {
            None => Ok(()),
            // The namespace is gone, or a plain file is all that is left of its mount.
            Some(Err(Failure::Netns {
                cause: OpenError::NotFound { .. } | OpenError::NotANetns { .. },
                ..
            })) => Ok(()),
            Some(pod) => set_down(&pod?),
        }
    }
}

/// A socket in the pod's namespace.
fn open(netns: &str) -> Result<Socket, Failure> {
    let netns = Netns::open(netns).map_err(|cause| Failure::Netns {
        path: netns.to_owned(),
        cause,
    })?;
    Ok(Socket::open_in(&netns)?)
}

/// Sets `lo` up, if it is not, and returns its index.
fn set_up<'r>(pod: &Rc<Socket>, undo: &mut Undo<'r>) -> Result<u32, Failure> {
    let lo = pod.get_link(LO)?;
    if !lo.flags.is_up() {
        pod.set_link(lo.index, &LinkChange::new().up())?;
        let pod = Rc::clone(pod);
        undo.push("set lo down again", move || set_down(&pod));
    }
    Ok(lo.index)
}

fn set_down(pod: &Socket) -> Result<(), Error> {
    Ok(pod
        .set_link(LO, &LinkChange::new().down())
        .map_err(Failure::from)?)
}

/// The addresses of `lo`, all of which must be loopback addresses.
fn loopback_addresses(pod: &Socket, index: u32) -> Result<Vec<IpNet>, Failure> {
    let addresses: Vec<IpNet> = pod
        .list_addresses(index)?
        .into_iter()
        .map(|found| found.address)
        .collect();
    match addresses
        .iter()
        .find(|address| !address.addr().is_loopback())
    {
        Some(foreign) => Err(Failure::ForeignAddress(*foreign)),
        None => Ok(addresses),
    }
}

/// The result of the first plugin of a chain: `lo` with its first address of each family.
fn describe(netns: &str, addresses: &[IpNet]) -> AddResult {
    let mut lo = Interface::new(LO);
    lo.mac = NO_MAC.to_owned();
    lo.sandbox = netns.to_owned();
    let first = |v4: bool| {
        addresses
            .iter()
            .find(|address| address.addr().is_ipv4() == v4)
    };
    let mut result = AddResult::new();
    result.interfaces = vec![lo];
    result.ips = [first(true), first(false)]
        .into_iter()
        .flatten()
        .map(|address| {
            let mut ip = IpConfig::new(*address);
            ip.interface = Some(0);
            ip
        })
        .collect();
    result
}
