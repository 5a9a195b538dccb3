//! ADD of the bridge plugin.

use super::device::{ensure_bridge, ensure_vlan_interface, keep_mac};
use super::plan::{Gateway, Layer, LayerThree, Plan};
use super::port;
use crate::wiring::announcement::Announcement;
use crate::wiring::nftables::Nftables;
use crate::wiring::owner::Owner;
use crate::wiring::pod::{self, Addressing, Announce, Dad, PodLink, Subnet};
use crate::wiring::router_advertisements::RouterAdvertisements;
use crate::wiring::veth::{PodEnd, Wire, create_wire};
use crate::wiring::{
    SetupError, forwarding, gateway, host_address, ipam, listed, masquerade, record, sandbox, spoof,
};
use ipnet::IpNet;
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{Link, Socket};
use netloom_plugin::{AddRequest, Undo};
use netloom_spec::{AddResult, Error};
use std::time::{Duration, Instant};

/// Position of the container's interface in the result, which chained plugins rely on.
pub(super) const CONTAINER: usize = 2;
/// How long the port may take to come up.
const PORT_PATIENCE: Duration = Duration::from_secs(3);

/// Makes the attachment. Nothing is touched before the whole request is known to be good.
pub(super) fn add<'r>(
    request: &'r AddRequest<'r>,
    undo: &mut Undo<'r>,
) -> Result<AddResult, Error> {
    let (plan, own_dns) = Plan::new(request.conf, request.args)?;
    let ra = RouterAdvertisements::read(request)?;
    let netns = sandbox::open(request.netns)?;
    let inside =
        Socket::open_in(&netns).map_err(SetupError::kernel("failed to enter the netns"))?;
    let host = Socket::open().map_err(SetupError::kernel("failed to reach the kernel"))?;
    pod::refuse_taken_name(&inside, request.if_name.as_str(), request.netns)?;
    record::refuse_second(request)?;

    let bridge = ensure_bridge(&host, &plan, undo)?;
    let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
    let side = HostSide {
        request,
        owner,
        plan: &plan,
        socket: &host,
        bridge: &bridge,
    };
    let wire = side.create_port(&netns, &inside, undo)?;
    let nftables = plan.needs_nftables().then(Nftables::open).transpose()?;
    if let (true, Some(nftables)) = (plan.spoof_check, &nftables) {
        spoof::create(nftables, owner, &wire.host.name, wire.pod_mac, undo)?;
    }

    let mut result = interfaces(&bridge, &wire, request);
    let pod = wire.pod_link(request, (&netns, &inside), ra, CONTAINER);
    let mut announcement = None;
    match &plan.layer {
        Layer::Two { up: false } => {}
        Layer::Two { up: true } => pod::set_up(pod)?,
        Layer::Three(layer) => {
            announcement = Some(side.configure(pod, layer, &mut result, undo)?);
            if let (Some(choice), Some(nftables)) = (layer.masquerade, &nftables) {
                masquerade::create(nftables, owner, choice, &result, undo)?;
            }
        }
    }
    if plan.layer != (Layer::Two { up: false }) {
        let port = wait_until_up(&host, &wire.host)?;
        result.interfaces[1].mac = listed::mac_text(port.mac);
    }
    // Only now: a bridge forwards nothing that comes from a port which is not up.
    if let Some(announcement) = announcement {
        announcement.send(&netns, &inside);
    }
    if let Some(dns) = own_dns {
        result.dns = dns;
    }
    Ok(result)
}

/// What all steps on the host's side of the attachment need.
struct HostSide<'a, 'r> {
    request: &'r AddRequest<'r>,
    owner: Owner<'r>,
    plan: &'a Plan,
    socket: &'a Socket,
    bridge: &'a Link,
}

impl<'r> HostSide<'_, 'r> {
    /// Makes the veth and the record of it, and sets the host's end up as a port of the bridge.
    fn create_port(
        &self,
        netns: &Netns,
        inside: &Socket,
        undo: &mut Undo<'r>,
    ) -> Result<Wire, Error> {
        let Self { plan, bridge, .. } = self;
        let end = PodEnd {
            name: self.request.if_name.as_str(),
            netns,
            mac: plan.mac,
        };
        let (mtu, master) = (plan.mtu, Some(bridge.index));
        let wire = create_wire(self.socket, self.owner, end, mtu, master, undo)?;
        record::create(self.request, netns, inside, wire.links(), undo);
        keep_mac(self.socket, bridge)?;
        port::configure(self.socket, bridge, &wire.host, plan)?;
        Ok(wire)
    }

    /// Gives the pod its addresses and routes, and the bridge the gateway's addresses. Returns the
    /// announcement of the pod's addresses, which the caller sends when the port is up.
    fn configure(
        &self,
        pod: PodLink<'_>,
        layer: &LayerThree,
        result: &mut AddResult,
        undo: &mut Undo<'r>,
    ) -> Result<Announcement, Error> {
        take_addresses(self.request, layer.gateway, result, undo)?;
        let addressing = Addressing {
            dad: if layer.dad { Dad::On } else { Dad::Off },
            subnet: Subnet::OnLink,
            announce: Announce::V4,
        };
        let announcement = pod::configure(pod, result, addressing)?;
        if let Some(gateway) = layer.gateway {
            self.serve_as_gateway(gateway, result)?;
        }
        Ok(announcement)
    }

    /// Gives the gateway's addresses to the bridge, or to its interface in the pods' VLAN, and lets the
    /// host forward.
    fn serve_as_gateway(&self, gateway: Gateway, result: &mut AddResult) -> Result<(), SetupError> {
        let (host, plan) = (self.socket, self.plan);
        let vlan_interface = match (plan.vlans.access, &plan.vlans.port) {
            (Some(_), Some(vlans)) => {
                // The gateway is in the pods' own VLAN only, not in the others of their trunks.
                let (name, vlans) = (plan.gateway_interface(), vlans.native_only());
                Some(ensure_vlan_interface(host, self.bridge, &name, &vlans)?)
            }
            _ => None,
        };
        if let Some(link) = &vlan_interface {
            let listed = listed::host_link(link, self.request.version());
            result.interfaces.push(listed);
        }
        let link = vlan_interface.as_ref().unwrap_or(self.bridge);
        let addresses = gateway::host_addresses(&result.ips);
        for address in &addresses {
            host_address::ensure_address(host, link, *address, gateway.force_address)?;
        }
        forwarding::ensure_forwarding(host, addresses.iter().map(IpNet::addr))
    }
}

/// The result's interfaces: bridge, host's end, container's. Chained plugins rely on the order.
fn interfaces(bridge: &Link, wire: &Wire, request: &AddRequest<'_>) -> AddResult {
    let version = request.version();
    let name = request.if_name.as_str();
    // Both ends of a veth are made with the same MTU.
    let container = listed::pod_link(
        name,
        Some(wire.pod_mac),
        wire.host.mtu,
        request.netns,
        version,
    );
    let mut result = AddResult::new();
    result.interfaces = vec![
        listed::host_link(bridge, version),
        listed::host_link(&wire.host, version),
        container,
    ];
    result
}

/// Completes the IPAM plugin's answer with gateways and default routes.
fn take_addresses<'r>(
    request: &'r AddRequest<'r>,
    as_gateway: Option<Gateway>,
    result: &mut AddResult,
    undo: &mut Undo<'r>,
) -> Result<(), Error> {
    ipam::take_addresses(request, CONTAINER, result, undo)?;
    if let Some(as_gateway) = as_gateway {
        gateway::fill(&mut result.ips).map_err(SetupError::from)?;
        if as_gateway.default_route {
            gateway::ensure_default_routes(result);
        }
    }
    Ok(())
}

/// Waits until the port is up, and returns it as it is then.
fn wait_until_up(host: &Socket, port: &Link) -> Result<Link, SetupError> {
    host.wait_link_up(port.index, Instant::now() + PORT_PATIENCE)
        .map_err(SetupError::kernel(format!(
            "bridge port in error state: {:?}",
            port.name
        )))
}
