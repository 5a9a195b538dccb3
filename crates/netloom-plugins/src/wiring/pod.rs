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
    /// The version of the result, which tells a route's priority since 1.1.0.
    pub(crate) version: Version,
    /// Its MTU.
    pub(crate) mtu: u32,
    /// What it takes from routers.
    pub(crate) ra: RouterAdvertisements,
    /// The alias that says whose it is; see [`identity`](super::identity).
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
    /// As the namespace is set; that is with it, unless somebody turned it off.
    AsSet,
}

/// Who is told of the link's addresses, and by whom beside the plugin itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Announce {
    /// Nobody: there are no neighbours.
    Nobody,
    /// The neighbours. The kernel tells them of IPv4 addresses too, by gratuitous ARP, whenever the link
    /// comes up.
    V4,
    /// And of IPv6 addresses.
    Both,
}

/// The commonest mistake is a second ADD: it must not leave as much as a bridge behind.
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
/// Addresses that belong to no interface or to another one are none of this link's. Default routes
/// that name no metric get theirs in the result, where the pod has others already. What is to be told
/// to the neighbours is returned, for when nothing of the link changes any more.
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
    // The kernel sets the link up before the rest of a message: with `arp_notify` before, it would tell of the
    // addresses now, and all ports of a bridge would get the same frame twice.
    let set_up = match addressing.announce {
        Announce::V4 | Announce::Both => pod.up().arp_notify(true),
        _ => pod.up(),
    };
    batch.set_link(pod.index, &set_up);
    // A route by way of a tentative source address would not serve yet.
    if v6 && addressing.dad != Dad::Off {
        commit(batch, pod.name)?;
        settle(pod.socket, pod.index, pod.name)?;
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

/// Takes the place of the subnet's own route: the gateway is on the link, the subnet behind it.
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

/// Waits for duplicate address detection. It does not even begin without a carrier.
pub(crate) fn settle(socket: &Socket, index: u32, name: &str) -> Result<(), SetupError> {
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
    // Without these the link works, only less well; a kernel without IPv6 lacks them.
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

/// Whether the next hop is in a subnet of the link, but not its gateway: where that alone is on the
/// link, the kernel must be told that the next hop is there as well, as the reference has it.
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
