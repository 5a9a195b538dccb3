//! CHECK: the kernel's objects against the result of ADD and the configuration.

use super::add::gateways;
use super::plan::Plan;
use crate::wiring::check::{self, mismatch};
use crate::wiring::ends::Ends;
use crate::wiring::owner::Owner;
use crate::wiring::{SetupError, masquerade, sandbox};
use ipnet::IpNet;
use netloom_kernel::rtnl::{Family, Link, RouteFilter, Socket};
use netloom_plugin::CheckRequest;
use netloom_spec::{AddResult, Error, IpConfig};

/// Fails with the first difference.
pub(super) fn check(request: &CheckRequest<'_>) -> Result<(), Error> {
    let plan = Plan::new(request.conf)?;
    let netns = sandbox::open(request.netns)?;
    request.forward_to_ipam()?;
    let made = request.prev_result()?;
    let name = request.if_name.as_str();

    let inside =
        Socket::open_in(&netns).map_err(SetupError::kernel("failed to enter the netns"))?;
    let (position, listed) = check::container_interface(&made, name, request.netns)?;
    let container = check::veth(&inside, name)?;
    check::mac(&container, listed)?;
    check::up(&container)?;
    check::addresses(&inside, &container, &made, position)?;
    check::routes(&inside, &made)?;

    let own: Vec<_> = Ends::of(&made, name).ips(&made).cloned().collect();
    let host = Socket::open().map_err(SetupError::kernel("failed to reach the kernel"))?;
    let link = host_end(&host, &made, name, &container)?;
    host_addresses(&host, &link, &own)?;
    host_routes(&host, &link, &own)?;
    if let Some(choice) = plan.masquerade {
        let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
        let nets: Vec<IpNet> = own.iter().map(|ip| ip.address).collect();
        masquerade::check(owner, choice, &nets)?;
    }
    Ok(())
}

fn host_end(
    host: &Socket,
    made: &AddResult,
    name: &str,
    container: &Link,
) -> Result<Link, SetupError> {
    let listed = Ends::of(made, name).host;
    let listed = listed.ok_or_else(|| mismatch("prevResult lists no host end of the veth"))?;
    let link = check::veth(host, &listed.name)?;
    if link.lower != Some(container.index) {
        return Err(mismatch(format!(
            "Interface {} is not the peer of {name}",
            link.name
        )));
    }
    check::mac(&link, listed)?;
    check::mtu(&link, listed)?;
    check::up(&link)?;
    Ok(link)
}

fn host_addresses(host: &Socket, link: &Link, own: &[IpConfig]) -> Result<(), SetupError> {
    let present = host
        .list_addresses(link.index)
        .map_err(SetupError::kernel(format!(
            "list the addresses of {:?}",
            link.name
        )))?;
    let missing = |gateway: &IpNet| !present.iter().any(|found| found.address == *gateway);
    match gateways(own).into_iter().find(missing) {
        Some(gateway) => Err(mismatch(format!(
            "Failed to find Gateway {} on interface {}",
            gateway.addr(),
            link.name
        ))),
        None => Ok(()),
    }
}

fn host_routes(host: &Socket, link: &Link, own: &[IpConfig]) -> Result<(), SetupError> {
    for ip in own {
        let to = IpNet::from(ip.address.addr());
        let filter = RouteFilter::main(Family::of(to.addr()))
            .device(link.index)
            .dst(to);
        let routes = host
            .list_routes(&filter)
            .map_err(SetupError::kernel("list the host's routes"))?;
        if routes.is_empty() {
            return Err(mismatch(format!(
                "Expected Route {to} by {} not found in routing table of the host",
                link.name
            )));
        }
    }
    Ok(())
}
