//! What ADD would make, for `netloom plan`: the parts that several plugins have in common.

use super::masquerade::{Backend, BackendChoice};
use super::master::Master;
use super::place::Place;
use super::{gateway, sandbox};
use netloom_kernel::rtnl::{Link, Socket};
use netloom_kernel::{nft, sysctl};
use netloom_plugin::forecast::{Effect, Forecast, Spot};
use netloom_spec::Error;
use std::net::IpAddr;

/// A link of the host that all pods share. Returns it, if it is there.
pub(crate) fn shared_link(forecast: &mut Forecast<'_>, name: &str) -> Result<Option<Link>, Error> {
    let found = Socket::open()
        .and_then(|host| host.find_link(name))
        .map_err(super::SetupError::kernel(format!("look up link {name:?}")))?;
    let effect = match found {
        Some(_) => Effect::IsThere,
        None => Effect::Makes,
    };
    forecast.tell(effect, Spot::Host, "link", name);
    Ok(found)
}

/// The host's end of a veth. ADD gives it a random name, so it is told as `veth*`.
pub(crate) fn cable(forecast: &mut Forecast<'_>) {
    forecast.makes("link", "veth*");
    forecast.host_ends.push("veth*".to_owned());
}

/// The master of the pod's link.
pub(crate) fn master(
    forecast: &mut Forecast<'_>,
    place: Place,
    name: Option<&str>,
) -> Result<(), Error> {
    let (socket, spot) = match place {
        Place::Host => (Socket::open(), Spot::Host),
        Place::Pod => {
            let netns = sandbox::open(forecast.netns)?;
            (Socket::open_in(&netns), Spot::Pod)
        }
    };
    let socket = socket.map_err(super::SetupError::kernel("open a netlink socket"))?;
    let master = Master::find(&socket, place, name)?;
    forecast.tell(Effect::Changes, spot, "link", master.link.name);
    Ok(())
}

/// A table of nf_tables with all that is in it: as iptables has it, or our own.
pub(crate) fn table(forecast: &mut Forecast<'_>, table: nft::Table<'_>) {
    let is_there = nft::Socket::open().and_then(|socket| socket.get_table(&table));
    let effect = match is_there {
        Ok(Some(_)) => Effect::Changes,
        _ => Effect::Makes,
    };
    let name = format!("{} {}", table.family().name(), table.name());
    forecast.tell(effect, Spot::Host, "nft", name);
}

/// The tables of iptables for the families of the pod's addresses. Where iptables is of the old
/// kind they are not seen in nf_tables.
pub(crate) fn iptables(forecast: &mut Forecast<'_>, name: &'static str) {
    for (v6, family) in [(false, nft::Family::Ip), (true, nft::Family::Ip6)] {
        let of_family = |ip: &netloom_spec::IpConfig| ip.address.addr().is_ipv6() == v6;
        if forecast.is_open || forecast.result.ips.iter().any(of_family) {
            table(forecast, nft::Table::new(family, name));
        }
    }
}

/// The masquerade of the pod's addresses.
pub(crate) fn masquerade(forecast: &mut Forecast<'_>, choice: BackendChoice) {
    match choice.for_add() {
        Backend::Iptables => iptables(forecast, "nat"),
        Backend::Nftables => table(forecast, super::masquerade::TABLE),
    }
}

/// Forwarding between links, for the families of the pod's addresses.
pub(crate) fn forwarding(forecast: &mut Forecast<'_>) {
    let has = |forecast: &Forecast<'_>, v6| {
        let mut ips = forecast.result.ips.iter();
        ips.any(|ip| ip.address.addr().is_ipv6() == v6)
    };
    for (v6, key) in [
        (false, "net/ipv4/ip_forward"),
        (true, "net/ipv6/conf/all/forwarding"),
    ] {
        if !has(forecast, v6) {
            continue;
        }
        let effect = match sysctl::get(key) {
            Ok(value) if value.trim() == "0" => Effect::Changes,
            _ => Effect::IsThere,
        };
        forecast.tell(effect, Spot::Host, "sysctl", key.replace('/', "."));
    }
}

/// Fills in the gateways that the IPAM plugin leaves out.
pub(crate) fn fill_gateways(forecast: &mut Forecast<'_>) {
    // An address without a possible gateway is an error of ADD, not of the plan.
    let _ = gateway::fill(&mut forecast.result.ips);
}

/// Whether a link of the host has an address.
pub(crate) fn has_address(link: Option<&Link>, address: IpAddr) -> bool {
    let Some(link) = link else { return false };
    let addresses = Socket::open().and_then(|host| host.list_addresses(link.index));
    addresses.is_ok_and(|all| all.iter().any(|it| it.address.addr() == address))
}
