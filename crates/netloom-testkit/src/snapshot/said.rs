//! What the kernel says of a namespace, as bytes that are equal where the listings are.

use super::netlink::{Dumps, Keep, attribute, attributes, kept};

/// Bytes that stand for one listing of one namespace.
#[derive(Clone, Default)]
pub(super) struct Said(Vec<u8>);

impl Said {
    fn add(&mut self, messages: Vec<Vec<u8>>) {
        self.0.extend(messages.len().to_ne_bytes());
        for message in messages {
            self.0.extend(message.len().to_ne_bytes());
            self.0.extend(message);
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What is said of links and all that belongs to them, for `ip` and for `tc`.
pub(super) struct OfLinks {
    pub(super) ip: Said,
    /// `None` where somebody asked for a discipline or for VLANs: those are always listed.
    pub(super) tc: Option<Said>,
    /// The number and name of each link, by which other listings name them.
    pub(super) names: Said,
    /// Whether a bridge does.
    pub(super) filters_vlans: bool,
}

const GET_LINK: u16 = 18;
const GET_ADDRESS: u16 = 22;
const GET_ROUTE: u16 = 26;
const GET_NEIGHBOUR: u16 = 30;
const GET_RULE: u16 = 34;
const GET_DISCIPLINE: u16 = 38;

/// Lengths of the headers of links, addresses, routes, neighbours and disciplines.
const LINK: usize = 16;
const ADDRESS: usize = 8;
const ROUTE: usize = 12;
const NEIGHBOUR: usize = 12;
const DISCIPLINE: usize = 20;

pub(super) fn of_links() -> OfLinks {
    let mut dumps = Dumps::of_routing();
    let mut links = dumps.all(GET_LINK, &[0; LINK]);
    let names = links.iter().map(|link| {
        let name = attribute(link, LINK, 3).unwrap_or_default();
        [link.get(4..8).unwrap_or_default(), name].concat()
    });
    let mut by_number = Said::default();
    by_number.add(names.collect());
    let filters_vlans = links.iter().any(|link| filters_vlans(link));
    links.iter_mut().for_each(steady_link);

    let mut ip = Said::default();
    ip.add(links);
    let addresses = dumps.all(GET_ADDRESS, &[0; ADDRESS]);
    ip.add(steady(addresses, steady_address));
    let routes = dumps.all(GET_ROUTE, &[0; ROUTE]);
    ip.add(steady(routes, steady_route));
    let neighbours = dumps.all(GET_NEIGHBOUR, &[0; NEIGHBOUR]);
    ip.add(steady(neighbours, steady_neighbour));
    ip.add(dumps.all(GET_RULE, &[0; ROUTE]));

    let disciplines = dumps.all(GET_DISCIPLINE, &[0; DISCIPLINE]);
    let asked_for = |one: &Vec<u8>| {
        let kind = attribute(one, DISCIPLINE, 1).unwrap_or_default();
        let kind = String::from_utf8_lossy(kind);
        !super::traffic_control::DEFAULTS.contains(&kind.trim_end_matches('\0'))
    };
    let tc = (!filters_vlans && !disciplines.iter().any(asked_for)).then(|| {
        let mut said = by_number.clone();
        said.add(steady(disciplines, steady_discipline));
        said
    });
    OfLinks {
        ip,
        tc,
        names: by_number,
        filters_vlans,
    }
}

/// Those that a listing shows, in an order of their own.
fn steady(messages: Vec<Vec<u8>>, mend: fn(&mut Vec<u8>) -> bool) -> Vec<Vec<u8>> {
    let mut shown: Vec<Vec<u8>> = messages
        .into_iter()
        .filter_map(|mut message| mend(&mut message).then_some(message))
        .collect();
    shown.sort();
    shown
}

/// `IFLA_LINKINFO` and, in it, the kind's own data, of which this is the bridge's VLAN filtering.
fn filters_vlans(link: &[u8]) -> bool {
    let info = attribute(link, LINK, 18).unwrap_or_default();
    let data = attribute(info, 0, 2).unwrap_or_default();
    is_bridge(info) && attribute(data, 0, 7).is_some_and(|on| on.first() == Some(&1))
}

fn steady_link(link: &mut Vec<u8>) {
    /// `IFF_RUNNING` and `IFF_LOWER_UP`, which follow the carrier.
    const PASSING: u32 = 0x40 | 0x1_0000;
    if let Some(flags) = link.get_mut(8..12) {
        let known = u32::from_ne_bytes([flags[0], flags[1], flags[2], flags[3]]);
        flags.copy_from_slice(&(known & !PASSING).to_ne_bytes());
    }
    attributes(link, LINK, |kind, payload| match kind {
        // Statistics, operational state, carrier and how often that changed.
        7 | 23 | 16 | 33 | 35 | 47 | 48 => Keep::Nothing,
        18 => Keep::Instead(link_info(payload)),
        26 => Keep::Instead(kept(payload, family)),
        _ => Keep::All,
    });
}

/// `IFLA_LINKINFO` without statistics and the timers of a bridge.
fn link_info(info: &[u8]) -> Vec<u8> {
    let is_bridge = is_bridge(info);
    kept(info, |kind, payload| match kind {
        2 if is_bridge => Keep::Instead(kept(payload, |kind, _| match kind {
            16..=19 => Keep::Nothing,
            _ => Keep::All,
        })),
        3 => Keep::Nothing,
        _ => Keep::All,
    })
}

fn is_bridge(info: &[u8]) -> bool {
    attribute(info, 0, 1).is_some_and(|kind| kind == b"bridge\0")
}

/// Of `IFLA_AF_SPEC` for IPv6: its token and how it makes addresses; counters, time stamps and flags of
/// autoconfiguration are left out.
fn family(kind: u16, payload: &[u8]) -> Keep {
    match kind {
        10 => Keep::Instead(kept(payload, |kind, _| match kind {
            2 | 7 | 8 => Keep::All,
            _ => Keep::Nothing,
        })),
        _ => Keep::All,
    }
}

fn steady_address(address: &mut Vec<u8>) -> bool {
    const INET6: u8 = 10;
    const SCOPE_LINK: u8 = 253;
    const TENTATIVE: u8 = 0x40;
    if address.first() == Some(&INET6) && address.get(3) == Some(&SCOPE_LINK) {
        return false;
    }
    if let Some(flags) = address.get_mut(2) {
        *flags &= !TENTATIVE;
    }
    attributes(address, ADDRESS, |kind, payload| match kind {
        6 => Keep::Instead(lifetimes(payload)),
        8 => Keep::Instead(
            [payload[0] & !TENTATIVE]
                .iter()
                .chain(&payload[1..])
                .copied()
                .collect(),
        ),
        _ => Keep::All,
    });
    true
}

/// Whether an address lives for ever, and is preferred for ever.
fn lifetimes(cache_info: &[u8]) -> Vec<u8> {
    let lives = cache_info.chunks(4).take(2);
    lives.map(|life| u8::from(life == [0xff; 4])).collect()
}

fn steady_route(route: &mut Vec<u8>) -> bool {
    const INET6: u8 = 10;
    const BY_KERNEL: u8 = 2;
    const LINK_DOWN: u8 = 16;
    const LOCAL: u8 = 255;
    let to = attribute(route, ROUTE, 1).unwrap_or_default();
    let length = route.get(1).copied().unwrap_or_default();
    let link_local = to.starts_with(&[0xfe, 0x80]) || (to.starts_with(&[0xff, 0]) && length == 8);
    // Those of the table local follow from the addresses, once these have been looked at for duplicates.
    let by_address = route.get(4) == Some(&LOCAL);
    let follows = link_local || by_address;
    if follows && route.first() == Some(&INET6) && route.get(5) == Some(&BY_KERNEL) {
        return false;
    }
    if let Some(flags) = route.get_mut(8) {
        *flags &= !LINK_DOWN;
    }
    attributes(route, ROUTE, |kind, payload| match kind {
        // Of the kernel's cache only the error is a property of the route.
        12 => Keep::Instead(payload.get(12..16).unwrap_or_default().to_vec()),
        _ => Keep::All,
    });
    true
}

/// Permanent ones only.
fn steady_neighbour(neighbour: &mut Vec<u8>) -> bool {
    const PERMANENT: u16 = 0x80;
    let state = neighbour
        .get(8..10)
        .map_or(0, |state| u16::from_ne_bytes([state[0], state[1]]));
    attributes(neighbour, NEIGHBOUR, |kind, _| match kind {
        3 | 4 => Keep::Nothing,
        _ => Keep::All,
    });
    state & PERMANENT != 0
}

fn steady_discipline(discipline: &mut Vec<u8>) -> bool {
    // How many refer to it, which stands in the header, and statistics.
    if let Some(references) = discipline.get_mut(16..20) {
        references.fill(0);
    }
    attributes(discipline, DISCIPLINE, |kind, _| match kind {
        3 | 4 | 7 => Keep::Nothing,
        _ => Keep::All,
    });
    true
}

const NFT: u16 = 10 << 8;
const GET_TABLE: u16 = NFT | 1;
const GET_CHAIN: u16 = NFT | 4;
const GET_RULE_OF_CHAIN: u16 = NFT | 7;
const GET_SET: u16 = NFT | 10;
const GET_ELEMENT: u16 = NFT | 13;
const GET_OBJECT: u16 = NFT | 19;
const GET_FLOWTABLE: u16 = NFT | 23;
/// A family and the number of the ruleset's generation.
const NFT_HEADER: usize = 4;

/// What is said of nf_tables, with the names of the links that rules may match by number.
pub(super) fn of_nf_tables(links: &Said) -> Said {
    let mut dumps = Dumps::of_netfilter();
    let mut said = links.clone();
    let tables = nf_tables(&mut dumps, GET_TABLE, &[0; NFT_HEADER]);
    let none = tables.is_empty();
    said.add(tables);
    if none {
        return said;
    }
    let sets = nf_tables(&mut dumps, GET_SET, &[0; NFT_HEADER]);
    for kind in [GET_CHAIN, GET_OBJECT, GET_FLOWTABLE] {
        said.add(nf_tables(&mut dumps, kind, &[0; NFT_HEADER]));
    }
    // The order of rules is what they mean.
    said.add(without_generation(
        dumps.all(GET_RULE_OF_CHAIN, &[0; NFT_HEADER]),
    ));
    for set in &sets {
        let mut of_set = vec![set.first().copied().unwrap_or_default(), 0, 0, 0];
        for kind in [1, 2] {
            let name = attribute(set, NFT_HEADER, kind).unwrap_or_default();
            push(&mut of_set, kind, name);
        }
        said.add(nf_tables(&mut dumps, GET_ELEMENT, &of_set));
    }
    said.add(sets);
    said
}

fn nf_tables(dumps: &mut Dumps, kind: u16, body: &[u8]) -> Vec<Vec<u8>> {
    let mut all = without_generation(dumps.all(kind, body));
    all.sort();
    all
}

fn without_generation(mut messages: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    for message in &mut messages {
        if let Some(generation) = message.get_mut(2..4) {
            generation.fill(0);
        }
    }
    messages
}

fn push(body: &mut Vec<u8>, kind: u16, payload: &[u8]) {
    let length = u16::try_from(4 + payload.len()).unwrap_or(u16::MAX);
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(payload);
    body.resize(body.len().next_multiple_of(4), 0);
}
