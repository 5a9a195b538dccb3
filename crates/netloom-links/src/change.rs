//! What can be changed of an end that is there: how it differs, and the requests that mend it.

use std::time::Duration;

use ipnet::IpNet;
use netloom_kernel::rtnl::tc::{Discipline, Handle, Netem, QdiscSpec, Tbf, ticks};
use netloom_kernel::rtnl::{AddressSpec, Batch, LinkChange, RouteSpec};
use netloom_spec::Mac;

use crate::seen::Present;
use crate::validate::WantedEnd;
use crate::{Error, Impairment, Place, Probability, Result, Route};

/// Who gave an address, or made a route: us. The kernel keeps the number with each of them.
pub(crate) const PROTOCOL: u8 = 0x6e;
/// The handle of a queueing discipline of ours.
const OURS: Handle = Handle::new(0x6e6c, 0);
/// How many packets wait in netem at most; the kernel's default of 1000 is 12 ms of a gigabit.
const NETEM_LIMIT: u32 = 100_000;
/// How long a packet waits at most where only the rate is limited.
const TBF_LATENCY_MS: u64 = 50;

/// The queueing discipline that an impairment needs.
pub(crate) fn discipline_of(impairment: &Impairment) -> Option<&'static str> {
    if impairment.is_none() {
        None
    } else if impairment.is_rate_only() {
        Some("tbf")
    } else {
        Some("netem")
    }
}

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
    let wanted = qdisc(&end.interface.impairment, link.index, link.mtu);
    let is_plain =
        ["", "noqueue", "noop", "pfifo_fast", "mq", "fq_codel"].contains(&link.qdisc.as_str());
    let found = if is_plain && wanted.is_none() {
        None
    } else {
        end.place.socket().find_qdisc(link.index, Handle::ROOT)?
    };
    let is_ours = |found: &QdiscSpec| found.handle == OURS;
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

/// The queueing discipline for an impairment.
fn qdisc(impairment: &Impairment, link: u32, mtu: u32) -> Option<QdiscSpec> {
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let rate = impairment.rate / 8;
    let discipline = match discipline_of(impairment)? {
        "tbf" => Discipline::Tbf(bucket(rate, mtu)),
        _ => Discipline::Netem(Netem {
            delay: nanoseconds(impairment.delay),
            jitter: nanoseconds(impairment.jitter),
            loss: impairment.loss.0,
            duplicate: impairment.duplicate.0,
            corrupt: impairment.corrupt.0,
            rate,
            limit: NETEM_LIMIT,
        }),
    };
    Some(QdiscSpec {
        link,
        parent: Handle::ROOT,
        handle: OURS,
        discipline,
    })
}

/// What an interface of a place does to what it sends, by a queueing discipline of ours.
///
/// # Errors
/// [`Error::Invalid`] if it has a queueing discipline that somebody else put there.
pub fn impairment_of(place: &Place, link: u32) -> Result<Impairment> {
    let found = place.socket().find_qdisc(link, Handle::ROOT)?;
    let nothing = Impairment::default();
    let Some(found) = found else {
        return Ok(nothing);
    };
    match found.discipline {
        Discipline::Tbf(tbf) if found.handle == OURS => Ok(Impairment {
            rate: tbf.rate * 8,
            ..nothing
        }),
        Discipline::Netem(netem) if found.handle == OURS => Ok(Impairment {
            delay: Duration::from_nanos(netem.delay),
            jitter: Duration::from_nanos(netem.jitter),
            loss: Probability(netem.loss),
            duplicate: Probability(netem.duplicate),
            corrupt: Probability(netem.corrupt),
            rate: netem.rate * 8,
        }),
        other => Err(Error::invalid(format!(
            "the interface has a queueing discipline ({}) that is not ours; remove it (tc qdisc del)",
            other.name()
        ))),
    }
}

/// Impairs what an interface of a place sends, and nothing else than this.
///
/// # Errors
/// As [`impairment_of`]; [`Error::Unsupported`] if the kernel lacks what it takes.
pub fn set_impairment(place: &Place, link: u32, impairment: &Impairment) -> Result<()> {
    if *impairment == impairment_of(place, link)? {
        return Ok(());
    }
    crate::validate::impairment(impairment).map_err(Error::Invalid)?;
    let socket = place.socket();
    if let Some(name) = discipline_of(impairment)
        && !socket.has_discipline(name)?
    {
        return Err(crate::validate::no_discipline(name, impairment));
    }
    let mtu = socket.get_link(link)?.mtu;
    match qdisc(impairment, link, mtu) {
        Some(spec) => socket.replace_qdisc(&spec)?,
        None => drop(socket.remove_qdisc(link, Handle::ROOT)?),
    }
    Ok(())
}

/// A bucket for 5 ms, and for three packets at least.
fn bucket(rate: u64, mtu: u32) -> Tbf {
    let packets = u64::from(mtu + 14) * 3;
    let burst = (rate / 200).max(packets);
    let limit = burst + rate * TBF_LATENCY_MS / 1000;
    Tbf {
        rate,
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
        buffer: ticks(burst.saturating_mul(1_000_000).div_ceil(rate.max(1))),
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
        match qdisc(&end.interface.impairment, link.index, mtu) {
            Some(spec) => batch.replace_qdisc(&spec),
            None => batch.remove_qdisc(link.index, Handle::ROOT),
        };
    }
    Ok(())
}
