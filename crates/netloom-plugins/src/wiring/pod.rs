//! Addresses and routes inside the pod, from the result of the IPAM plugin.

use super::announcement::Announcement;
use super::router_advertisements::{self, RouterAdvertisements};
use super::{SetupError, default_route, gateway, mtu, sysctls};
use netloom_kernel::MacAddress;
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{AddressSpec, Batch, LinkChange, RouteSpec, Scope, Socket};
use netloom_kernel::sysctl;
use netloom_spec::{AddResult, IpConfig, Route, Version};
use std::time::{Duration, Instant};

/// How long IPv6 duplicate address detection may take.
const DAD_PATIENCE: Duration = Duration::from_secs(5);
const NOT_ENTERED: &str = "failed to enter the container's network namespace";

/// The container's interface, seen from inside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PodLink<'a> {
    /// The pod's namespace.
    pub(crate) netns: &'a Netns,
    /// A socket of that namespace.
    pub(crate) socket: &'a Socket,
    /// `CNI_IFNAME`.
    pub(crate) name: &'a str,
    /// Its index in the pod.
    pub(crate) index: u32,
    /// Its MAC address, if it has one of Ethernet.
    pub(crate) mac: Option<MacAddress>,
    /// Its position in the result's `interfaces`.
    pub(crate) position: usize,
    /// The version of the result. Since 1.1.0 a result has the priorities of routes.
    pub(crate) version: Version,
    /// Its MTU.
    pub(crate) mtu: u32,
    /// Whether it takes router advertisements.
    pub(crate) ra: RouterAdvertisements,
    /// The alias that names its owner, see [`identity`](super::identity).
    pub(crate) mark: Option<&'a str>,
}

impl PodLink<'_> {
    /// Sets it up and marks it.
    fn up(&self) -> LinkChange<'_> {
        let up = LinkChange::new().up();
        match self.mark {
            Some(mark) => up.alias(mark),
            None => up,
        }
    }
}

/// Whether IPv6 addresses are tested for duplicates before they are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dad {
    On,
    Off,
    /// As the namespace's sysctls say: on, unless somebody turned it off.
    AsSet,
}

/// Who announces the link's addresses to its neighbours, by gratuitous ARP and by unsolicited neighbour
/// advertisements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Announce {
    /// Nobody, since there are no neighbours.
    Nobody,
    /// The plugin, once; and of IPv4 addresses the kernel too, by gratuitous ARP, whenever the link comes
    /// up later.
    V4,
    /// The same, with the kernel for both families.
    Both,
}

/// Fails if the pod has a link of that name. The usual reason is a second ADD, so this comes before
/// anything is made, even a bridge.
pub(crate) fn refuse_taken_name(
    inside: &Socket,
    if_name: &str,
    netns: &str,
) -> Result<(), SetupError> {
    let found = inside
        .find_link(if_name)
        .map_err(SetupError::kernel(format!(
            "look for {if_name:?} in the container"
        )))?;
    match found {
        None => Ok(()),
        Some(_) => Err(SetupError::NameTaken {
            name: if_name.to_owned(),
            netns: netns.to_owned(),
        }),
    }
}

/// Sets the link up without addresses.
pub(crate) fn set_up(pod: PodLink<'_>) -> Result<(), SetupError> {
    if pod.ra.refused(false) {
        (pod.netns.run(|| router_advertisements::refuse(pod.name)))
            .map_err(SetupError::kernel(NOT_ENTERED))??;
    }
    pod.socket
        .set_link(pod.index, &pod.up())
        .map_err(SetupError::kernel(format!(
            "failed to set {:?} up",
            pod.name
        )))
}

/// Where the rest of an address's subnet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subnet {
    /// On the link.
    OnLink,
    /// Behind the gateway, which alone is on the link.
    BehindGateway,
}

/// How addresses are put on a link.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addressing {
    pub(crate) dad: Dad,
    pub(crate) subnet: Subnet,
    pub(crate) announce: Announce,
}

/// Gives the link its addresses, sets it up and adds the routes, all in one batch.
///
/// It takes only those addresses of the result that name this link. If the pod has default routes
/// already, new ones without a metric get one, in the result too. Returns the announcement for the
/// neighbours: the caller sends it when the link does not change any more.
pub(crate) fn configure(
    pod: PodLink<'_>,
    result: &mut AddResult,
    addressing: Addressing,
) -> Result<Announcement, SetupError> {
    let untold = (pod.version < Version::V1_1_0).then(|| result.routes.clone());
    default_route::stand_behind(pod.socket, &mut result.routes)?;
    let own = |ip: &&IpConfig| ip.interface == Some(pod.position);
    let ips: Vec<_> = result.ips.iter().filter(own).collect();
    let v6 = ips.iter().find(|ip| ip.address.addr().is_ipv6());
    if let Some(ip) = v6 {
        mtu::refuse_without_ipv6(pod.name, pod.mtu, ip.address)?;
    }
    let v6 = v6.is_some();
    let told = ips.iter().map(|ip| ip.address).collect();
    let prepare = || {
        set_sysctls(&pod, v6, addressing)?;
        Ok::<_, SetupError>(match addressing.announce {
            Announce::Nobody => Announcement::to_nobody(pod.index),
            _ => Announcement::new(pod.index, pod.mac, told),
        })
    };
    let announcement = (pod.netns.run(prepare)).map_err(SetupError::kernel(NOT_ENTERED))??;

    let mut batch = pod.socket.batch();
    for ip in &ips {
        batch.add_address(pod.index, address_spec(ip, addressing));
    }
    // `arp_notify` is in the message that sets the link up, and counts only after that. If it counted
    // before, the kernel would announce the addresses now, and the plugin a second time.
    let set_up = match addressing.announce {
        Announce::V4 | Announce::Both => pod.up().arp_notify(true),
        _ => pod.up(),
    };
    batch.set_link(pod.index, &set_up);
    // A route cannot use a source address that is still tentative.
    if v6 && addressing.dad != Dad::Off {
        commit(batch, pod.name)?;
        wait_for_dad(pod.socket, pod.index, pod.name)?;
        batch = pod.socket.batch();
    }
    add_routes(&mut batch, &pod, result, &ips, addressing.subnet);
    if let Some(untold) = untold {
        result.routes = untold;
    }
    commit(batch, pod.name)?;
    Ok(announcement)
}

fn address_spec(ip: &IpConfig, addressing: Addressing) -> AddressSpec<'static> {
    let mut spec = AddressSpec::new(ip.address);
    if addressing.dad == Dad::Off {
        spec = spec.no_dad();
    }
    if addressing.subnet == Subnet::BehindGateway {
        spec = spec.no_prefix_route();
    }
    spec
}

fn add_routes(
    batch: &mut Batch<'_>,
    pod: &PodLink<'_>,
    result: &AddResult,
    ips: &[&IpConfig],
    subnet: Subnet,
) {
    let is_behind = subnet == Subnet::BehindGateway;
    if is_behind {
        for ip in ips {
            route_by_gateway(batch, pod.index, ip);
        }
    }
    for route in &result.routes {
        let mut spec = route_spec(route, pod.index, result);
        if is_behind && leads_into_subnet(route, ips) {
            spec = spec.onlink();
        }
        batch.add_route_beside(&spec);
    }
}

/// Adds routes in place of the one that the kernel would make for the subnet: the gateway is on the
/// link, and the subnet behind the gateway.
fn route_by_gateway(batch: &mut Batch<'_>, link: u32, ip: &IpConfig) {
    let Some(gateway) = ip.gateway else { return };
    let source = ip.address.addr();
    let to_gateway = RouteSpec::to(gateway.into()).scope(Scope::Link);
    let to_subnet = RouteSpec::to(ip.address.trunc()).via(gateway);
    for route in [to_gateway, to_subnet] {
        // Another interface of the pod may have the same subnet, and keeps its routes.
        batch.add_route_beside(&route.device(link).source(source));
    }
}

fn commit(batch: Batch<'_>, name: &str) -> Result<(), SetupError> {
    batch
        .commit()
        .map(drop)
        .map_err(SetupError::kernel(format!("failed to configure {name:?}")))
}

/// Waits for the end of duplicate address detection. Without a carrier it does not begin.
pub(crate) fn wait_for_dad(socket: &Socket, index: u32, name: &str) -> Result<(), SetupError> {
    let link = socket
        .get_link(index)
        .map_err(SetupError::kernel(format!("look up {name:?}")))?;
    if !link.flags.has_carrier() {
        return Ok(());
    }
    socket
        .wait_addresses_settled(index, Instant::now() + DAD_PATIENCE)
        .map_err(SetupError::kernel(format!(
            "an address of {name:?} cannot be used"
        )))
}

/// The settings that must be right before the first address. Runs in the pod.
fn set_sysctls(pod: &PodLink<'_>, v6: bool, addressing: Addressing) -> Result<(), SetupError> {
    let name = pod.name;
    // A failure is no error: the link works without them, and a kernel without IPv6 does not have them.
    match addressing.dad {
        Dad::AsSet => {}
        Dad::On => {
            let _ = sysctl::set(&format!("net/ipv6/conf/{name}/enhanced_dad"), "1");
            let _ = sysctl::set(&format!("net/ipv6/conf/{name}/accept_dad"), "1");
        }
        Dad::Off => {
            let _ = sysctl::set(&format!("net/ipv6/conf/{name}/accept_dad"), "0");
        }
    }
    if addressing.announce == Announce::Both {
        let _ = sysctl::set(&format!("net/ipv6/conf/{name}/ndisc_notify"), "1");
    }
    if pod.ra.refused(v6) {
        router_advertisements::refuse(name)?;
    }
    if !v6 {
        return Ok(());
    }
    for link in ["lo", name] {
        sysctls::enable_ipv6(link)?;
    }
    sysctl::set(&format!("net/ipv6/conf/{name}/keep_addr_on_down"), "1").map_err(
        SetupError::kernel(format!("failed to keep the IPv6 addresses of {name:?}")),
    )
}

/// Whether the next hop is in a subnet of the link, but is not the gateway. If only the gateway is on
/// the link, the kernel must be told that this next hop is there too. The reference does the same.
fn leads_into_subnet(route: &Route, ips: &[&IpConfig]) -> bool {
    route.gw.is_some_and(|hop| {
        let beside = |ip: &&IpConfig| ip.address.contains(&hop) && ip.gateway != Some(hop);
        ips.iter().any(beside)
    })
}

fn route_spec(route: &Route, link: u32, result: &AddResult) -> RouteSpec {
    let mut spec = RouteSpec::to(route.dst.trunc())
        .device(link)
        .priority(route.priority)
        .mtu(route.mtu)
        .advmss(route.advmss);
    let on_link = route.gw.is_some_and(|gateway| gateway.is_unspecified());
    let explicit_scope = (route.scope.map(Scope::from_wire)).or(on_link.then_some(Scope::Link));
    let hop = gateway::hop_of(route, &result.ips);
    // A route of scope link or host reaches its destination without a next hop.
    let direct = route.gw.is_none() && explicit_scope.is_some_and(|s| s != Scope::Universe);
    if let Some(hop) = hop.filter(|_| !direct) {
        spec = spec.via(hop);
    }
    if let Some(scope) = explicit_scope {
        spec = spec.scope(scope);
    }
    match route.table {
        Some(table) => spec.table(table),
        None => spec,
    }
}
