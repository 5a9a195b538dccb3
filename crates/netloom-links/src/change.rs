//! What can be changed of an end that is there: how it differs, and the requests that mend it.

use ipnet::IpNet;
use netloom_kernel::rtnl::tc::{Handle, QdiscSpec};
use netloom_kernel::rtnl::{AddressSpec, Batch, LinkChange, RouteSpec};
use netloom_spec::Mac;

use crate::present::Present;
use crate::queue;
use crate::wanted::WantedEnd;
use crate::{Error, Result, Route};

/// Who gave an address, or made a route: us. The kernel keeps the number with each of them.
pub(crate) const PROTOCOL: u8 = 0x6e;

/// What of an end is not as wanted, in words.
pub(crate) fn differences(end: &WantedEnd<'_, '_>, present: &Present) -> Result<Vec<String>> {
    let link = &present.interface;
    let mut words = Vec::new();
    let mut differ = |what: String| words.push(format!("{} in {}: {what}", end.name, end.place));
    if !link.alternative_names.contains(&end.mark) {
        differ("it is not marked".into());
    }
    if end.interface.has_long_name() && !link.alternative_names.contains(&end.interface.name) {
        differ(format!("it lacks the name {}", end.interface.name));
    }
    if let Some(mac) = end.mac.filter(|mac| link.mac != Some(*mac)) {
        let is = link
            .mac
            .map_or_else(|| "none".into(), |mac| Mac(mac).to_string());
        differ(format!("mac is {is}, not {}", Mac(mac)));
    }
    if let Some(mtu) = end.mtu.filter(|mtu| link.mtu != *mtu) {
        differ(format!("mtu is {}, not {mtu}", link.mtu));
    }
    if link.master != end.master {
        let bridge = end.interface.bridge.as_deref().unwrap_or("none");
        differ(format!("it is not a port of the bridge wanted, {bridge}"));
    }
    if !link.flags.is_up() {
        differ("it is not up".into());
    }
    for address in missing_addresses(end, present) {
        differ(format!("address {address} is missing"));
    }
    for address in extra_addresses(end, present) {
        differ(format!("address {address} is no more wanted"));
    }
    for route in missing_routes(end, present) {
        differ(format!("route {} is missing", route.destination));
    }
    for route in extra_routes(end, present) {
        differ(format!("route {} is no more wanted", route.dst));
    }
    if let Some(other) = other_discipline(end, present)? {
        differ(other);
    }
    Ok(words)
}

fn missing_addresses<'e>(end: &'e WantedEnd<'_, '_>, present: &Present) -> Vec<&'e IpNet> {
    let has = |wanted: &IpNet| present.addresses.iter().any(|is| is.address == *wanted);
    let wanted = end.interface.addresses.iter();
    wanted.filter(|address| !has(address)).collect()
}

/// Addresses that we gave, and would not any more.
fn extra_addresses(end: &WantedEnd<'_, '_>, present: &Present) -> Vec<IpNet> {
    let ours = present
        .addresses
        .iter()
        .filter(|is| is.protocol == PROTOCOL);
    let addresses = ours.map(|is| is.address);
    addresses
        .filter(|is| !end.interface.addresses.contains(is))
        .collect()
}

fn is_route(wanted: &Route, is: &netloom_kernel::rtnl::Route) -> bool {
    is.dst == wanted.destination.trunc() && is.gateway == wanted.gateway
}

fn missing_routes<'e>(end: &'e WantedEnd<'_, '_>, present: &Present) -> Vec<&'e Route> {
    let has = |wanted: &Route| present.routes.iter().any(|is| is_route(wanted, is));
    end.interface
        .routes
        .iter()
        .filter(|route| !has(route))
        .collect()
}

fn extra_routes(end: &WantedEnd<'_, '_>, present: &Present) -> Vec<netloom_kernel::rtnl::Route> {
    let wanted = &end.interface.routes;
    let is_extra =
        |is: &&netloom_kernel::rtnl::Route| !wanted.iter().any(|route| is_route(route, is));
    present.routes.iter().filter(is_extra).cloned().collect()
}

/// How the queueing discipline differs.
fn other_discipline(end: &WantedEnd<'_, '_>, present: &Present) -> Result<Option<String>> {
    let link = &present.interface;
    let wanted = queue::discipline(&end.interface.impairment, link.index, link.mtu);
    let is_plain =
        ["", "noqueue", "noop", "pfifo_fast", "mq", "fq_codel"].contains(&link.qdisc.as_str());
    let found = if is_plain && wanted.is_none() {
        None
    } else {
        end.place.socket().find_qdisc(link.index, Handle::ROOT)?
    };
    let is_ours = |found: &QdiscSpec| found.handle == queue::OURS;
    match (found, wanted) {
        (None, None) => Ok(None),
        (Some(found), Some(_)) if !is_ours(&found) => Err(Error::invalid(format!(
            "{} in {} has a queueing discipline ({}) that is not ours; remove it \
             (tc qdisc del dev {} root) or leave the impairment out",
            link.name,
            end.place,
            found.discipline.name(),
            link.name
        ))),
        (Some(found), None) => Ok(is_ours(&found).then(|| "it is still impaired".into())),
        (found, Some(wanted)) if found.as_ref() == Some(&wanted) => Ok(None),
        (_, Some(_)) => Ok(Some(format!(
            "impairment is not {}",
            end.interface.impairment
        ))),
    }
}

/// What makes an end as wanted, but for its routes and its impairment, which it must be up for.
pub(crate) fn configure(end: &WantedEnd<'_, '_>, present: &Present, batch: &mut Batch<'_>) {
    let link = &present.interface;
    let index = link.index;
    let has = |name: &String| link.alternative_names.contains(name);
    if !has(&end.mark) {
        batch.add_alternative_name(index, &end.mark);
    }
    if end.interface.has_long_name() && !has(&end.interface.name) {
        batch.add_alternative_name(index, &end.interface.name);
    }
    let mut change = LinkChange::new().up().alias(&end.alias);
    if let Some(mac) = end.mac.filter(|mac| link.mac != Some(*mac)) {
        change = change.mac(mac);
    }
    if let Some(mtu) = end.mtu.filter(|mtu| link.mtu != *mtu) {
        change = change.mtu(mtu);
    }
    match (end.master, link.master) {
        (Some(master), is) if is != Some(master) => change = change.master(master),
        (None, Some(_)) => change = change.no_master(),
        _ => {}
    }
    batch.set_link(index, &change);
    for address in extra_addresses(end, present) {
        batch.remove_address(index, address);
    }
    for address in missing_addresses(end, present) {
        let spec = AddressSpec::new(*address).no_dad().protocol(PROTOCOL);
        batch.replace_address(index, spec);
    }
}

/// The rest of what makes an end as wanted.
pub(crate) fn finish(
    end: &WantedEnd<'_, '_>,
    present: &Present,
    batch: &mut Batch<'_>,
) -> Result<()> {
    let link = &present.interface;
    for route in extra_routes(end, present) {
        batch.remove_route(&RouteSpec::of(&route));
    }
    for route in missing_routes(end, present) {
        let mut spec = RouteSpec::to(route.destination.trunc())
            .device(link.index)
            .protocol(PROTOCOL);
        if let Some(gateway) = route.gateway {
            spec = spec.via(gateway);
        }
        batch.add_route(&spec);
    }
    let mtu = end.mtu.unwrap_or(link.mtu);
    if other_discipline(end, present)?.is_some() {
        match queue::discipline(&end.interface.impairment, link.index, mtu) {
            Some(spec) => batch.replace_qdisc(&spec),
            None => batch.remove_qdisc(link.index, Handle::ROOT),
        };
    }
    Ok(())
}
