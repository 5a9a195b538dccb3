//! loopback: sets the pod's `lo` up.
//!
//! The kernel makes `lo` with the namespace and gives it its addresses when it goes up; nothing
//! else exists to be created or owned. The alias of `lo` names the container, so that a DEL whose path
//! leads to another pod by now leaves that one alone. `CNI_IFNAME` is ignored: this is about `lo` alone.

use crate::wiring::{check, identity, sandbox};
use ipnet::IpNet;
use netloom_kernel::netns::{Netns, OpenError};
use netloom_kernel::rtnl::{LinkChange, Socket};
use netloom_plugin::forecast::{Effect, Forecast, Spot};
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
        let index = set_up(&pod, request.container_id.as_str(), undo)?;
        let addresses = loopback_addresses(&pod, index)?;
        Ok(prev_result.unwrap_or_else(|| describe(request.netns, &addresses)))
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        let lo = open(request.netns)?.get_link(LO).map_err(Failure::from)?;
        check::owner(&lo, request.container_id.as_str())?;
        if lo.flags.is_up() {
            Ok(())
        } else {
            Err(Failure::Down.into())
        }
    }

    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        let made = request.prev_result();
        let Some(netns) = sandbox::of_attachment(request, made.as_ref())? else {
            return Ok(());
        };
        let pod = Socket::open_in(&netns).map_err(Failure::from)?;
        let lo = pod.get_link(LO).map_err(Failure::from)?;
        match identity::marked(&lo) {
            None => Ok(set_down(&pod, LinkChange::new())?),
            Some(mark) if mark == identity::mark(request.container_id.as_str()) => {
                Ok(set_down(&pod, LinkChange::new().alias(""))?)
            }
            // Another pod's, which has the path of the namespace now.
            Some(_) => Ok(()),
        }
    }

    fn describe(&self, forecast: &mut Forecast<'_>) -> Result<(), Error> {
        forecast.tell(Effect::Changes, Spot::Pod, "link", "lo");
        forecast.makes_inside("address", "127.0.0.1/8 on lo");
        forecast.makes_inside("address", "::1/128 on lo");
        Ok(())
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

/// Sets `lo` up and marks it as the container's, as far as it is not, and returns its index. An
/// alias that somebody else gave it stays.
fn set_up<'r>(pod: &Rc<Socket>, container_id: &str, undo: &mut Undo<'r>) -> Result<u32, Failure> {
    let lo = pod.get_link(LO)?;
    let mark = identity::mark(container_id);
    let is_up = lo.flags.is_up();
    let marks = lo.alias.as_deref() != Some(&mark)
        && (lo.alias.is_none() || identity::marked(&lo).is_some());
    if is_up && !marks {
        return Ok(lo.index);
    }
    let up = LinkChange::new().up();
    pod.set_link(lo.index, &if marks { up.alias(&mark) } else { up })?;
    let pod = Rc::clone(pod);
    let former = lo.alias.unwrap_or_default();
    undo.on_failure("set lo back to what it was", move || {
        let back = LinkChange::new().alias(&former);
        let back = if is_up { back } else { back.down() };
        Ok(pod.set_link(LO, &back).map_err(Failure::from)?)
    });
    Ok(lo.index)
}

fn set_down(pod: &Socket, change: LinkChange<'_>) -> Result<(), Failure> {
    Ok(pod.set_link(LO, &change.down())?)
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
