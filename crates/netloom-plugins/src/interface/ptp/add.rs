//! ADD of the ptp plugin.

use super::CONTAINER;
use super::plan::Plan;
use crate::wiring::nftables::Nftables;
use crate::wiring::owner::Owner;
use crate::wiring::pod::{self, Addressing, Announce, Dad, Subnet};
use crate::wiring::router_advertisements::RouterAdvertisements;
use crate::wiring::veth::{PodEnd, Wire, create_wire};
use crate::wiring::{SetupError, forwarding, ipam, listed, masquerade, record, sandbox, sysctls};
use ipnet::IpNet;
use netloom_kernel::rtnl::{AddressSpec, Link, RouteSpec, Scope, Socket};
use netloom_plugin::{AddRequest, Undo};
use netloom_spec::{AddResult, Error, Interface, IpConfig};

/// Makes the attachment. Nothing is touched before the whole request is known to be good.
pub(super) fn add<'r>(
    request: &'r AddRequest<'r>,
    undo: &mut Undo<'r>,
) -> Result<AddResult, Error> {
    let plan = Plan::new(request.conf)?;
    let ra = RouterAdvertisements::read(request)?;
    let netns = sandbox::open(request.netns)?;
    let inside =
        Socket::open_in(&netns).map_err(SetupError::kernel("failed to enter the netns"))?;
    let host = Socket::open().map_err(SetupError::kernel("failed to reach the kernel"))?;
    let name = request.if_name.as_str();
    pod::refuse_taken_name(&inside, name, request.netns)?;
    record::refuse_second(request)?;

    let mut result = AddResult::new();
    ipam::take_addresses(request, CONTAINER, &mut result, undo)?;
    refuse_missing_gateways(&result)?;
    forwarding::ensure_forwarding(&host, result.ips.iter().map(|ip| ip.address.addr()))?;

    let end = PodEnd {
        name,
        netns: &netns,
        mac: None,
    };
    let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
    let wire = create_wire(&host, owner, end, plan.mtu, None, undo)?;
    record::create(request, &netns, &inside, wire.links(), undo);
    // Before the pod's end is up: the host's end has a carrier from then on, and gets IPv6 addresses.
    sysctls::skip_duplicate_address_detection(&wire.host.name);
    result.interfaces = interfaces(&wire, request);
    let pod = wire.pod_link(request, (&netns, &inside), ra, CONTAINER);
    // Only the host and this pod are on the link, so nobody else can have the same address.
    let addressing = Addressing {
        dad: Dad::Off,
        subnet: Subnet::BehindGateway,
        announce: Announce::V4,
    };
    let announcement = pod::configure(pod, &mut result, addressing)?;
    route_to_pod(&host, &wire.host, &result)?;
    announcement.send(&netns, &inside);
    if let Some(choice) = plan.masquerade {
        masquerade::create(&Nftables::open()?, owner, choice, &result, undo)?;
    }
    if let Some(dns) = plan.dns {
        result.dns = dns;
    }
    Ok(result)
}

/// The result's interfaces: host's end, container's. Chained plugins rely on the order.
fn interfaces(wire: &Wire, request: &AddRequest<'_>) -> Vec<Interface> {
    let (name, version) = (request.if_name.as_str(), request.version());
    let (mac, mtu) = (Some(wire.pod_mac), wire.host.mtu);
    vec![
        listed::host_link(&wire.host, version),
        listed::pod_link(name, mac, mtu, request.netns, version),
    ]
}

/// All routes of the pod lead to the gateway, so the IPAM plugin must name one for each address.
fn refuse_missing_gateways(result: &AddResult) -> Result<(), SetupError> {
    match result.ips.iter().find(|ip| ip.gateway.is_none()) {
        Some(ip) => Err(SetupError::MissingGateway(ip.address)),
        None => Ok(()),
    }
}

/// Gives the host's end the gateways' addresses, and the host a route to each address of the pod.
fn route_to_pod(host: &Socket, link: &Link, result: &AddResult) -> Result<(), SetupError> {
    if result.ips.iter().any(|ip| ip.address.addr().is_ipv6()) {
        sysctls::enable_ipv6(&link.name)?;
    }
    let mut batch = host.batch();
    for gateway in gateways(&result.ips) {
        batch.add_address(link.index, AddressSpec::new(gateway).no_dad());
    }
    for ip in &result.ips {
        let route = RouteSpec::to(ip.address.addr().into()).device(link.index);
        batch.replace_route(&route.scope(Scope::Host));
    }
    let what = format!("failed to route to the pod by {:?}", link.name);
    batch.commit().map(drop).map_err(SetupError::kernel(what))
}

/// Each gateway as a single address, once.
pub(super) fn gateways(ips: &[IpConfig]) -> Vec<IpNet> {
    let mut found: Vec<IpNet> = ips
        .iter()
        .filter_map(|ip| ip.gateway)
        .map(IpNet::from)
        .collect();
    found.sort();
    found.dedup();
    found
}
