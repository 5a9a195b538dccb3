//! By which link, and at which addresses, the others reach this host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, bail};
use netloom_kernel::rtnl::{Address, Family, Link, RouteFilter, Scope, Socket};

use crate::cli::UplinkArgs;

/// Addresses that nobody has a route of its own to: benchmarks (RFC 2544) and documentation (RFC 3849).
const ANYWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0xffff, 0, 0, 0, 1)),
];

/// The link, and this host's addresses for the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Uplink {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) mtu: u32,
    /// On the link.
    pub(crate) v4: Option<Ipv4Addr>,
    /// On the link.
    pub(crate) v6: Option<Ipv6Addr>,
    /// What the others use.
    pub(crate) public_v4: Option<Ipv4Addr>,
    /// What the others use.
    pub(crate) public_v6: Option<Ipv6Addr>,
}

impl Uplink {
    /// All of this host's addresses that the others might see.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        let v4 = [self.public_v4, self.v4].into_iter().flatten();
        let v6 = [self.public_v6, self.v6].into_iter().flatten();
        let mut all: Vec<IpAddr> = v4.map(IpAddr::V4).chain(v6.map(IpAddr::V6)).collect();
        all.dedup();
        all
    }

    /// The link's own address of the family of another.
    pub(crate) fn local(&self, v4: bool) -> Option<IpAddr> {
        match v4 {
            true => self.v4.map(IpAddr::V4),
            false => self.v6.map(IpAddr::V6),
        }
    }
}

/// Finds it.
pub(crate) fn find(socket: &Socket, args: &UplinkArgs) -> Result<Uplink> {
    let link = link(socket, args)?;
    let addresses = socket.list_addresses(link.index)?;
    let usable = |address: &&Address| {
        let unfit = address.flags.is_tentative() || address.flags.is_duplicate();
        address.scope == Scope::Universe && !unfit
    };
    // Of several on the link that which the user named, else the first.
    let named: Option<IpAddr> = args.iface.as_deref().and_then(|text| text.parse().ok());
    let mut all: Vec<IpAddr> = addresses
        .iter()
        .filter(usable)
        .map(|a| a.address.addr())
        .collect();
    all.sort_by_key(|ip| Some(*ip) != named);
    let v4 = all.iter().find_map(|ip| match ip {
        IpAddr::V4(ip) => Some(*ip),
        IpAddr::V6(_) => None,
    });
    let v6 = all.iter().find_map(|ip| match ip {
        IpAddr::V6(ip) => Some(*ip),
        IpAddr::V4(_) => None,
    });
    Ok(Uplink {
        index: link.index,
        mtu: link.mtu,
        public_v4: args.public_ip.or(v4),
        public_v6: args.public_ipv6.or(v6),
        name: link.name,
        v4,
        v6,
    })
}

fn link(socket: &Socket, args: &UplinkArgs) -> Result<Link> {
    if let Some(ip) = args.iface_can_reach {
        let route = socket
            .lookup_route(ip)
            .with_context(|| format!("--iface-can-reach {ip}"))?;
        let device = route
            .device
            .with_context(|| format!("--iface-can-reach {ip}: no link"))?;
        return Ok(socket.get_link(device)?);
    }
    if let Some(text) = &args.iface {
        return by_name(socket, text);
    }
    if let Some(text) = &args.iface_regex {
        return by_pattern(socket, text);
    }
    // A single look-up, where the table may be long.
    for ip in ANYWHERE {
        let route = socket.match_route(ip).ok();
        let default = route.filter(|route| route.dst.prefix_len() == 0);
        if let Some(device) = default.and_then(|route| route.device) {
            return Ok(socket.get_link(device)?);
        }
    }
    for family in [Family::V4, Family::V6] {
        let filter = RouteFilter::main(family);
        let defaults = socket.list_routes_where(&filter, |route| route.dst.prefix_len() == 0)?;
        let best = defaults.into_iter().min_by_key(|route| route.priority);
        if let Some(device) = best.and_then(|route| route.device) {
            return Ok(socket.get_link(device)?);
        }
    }
    bail!("this host has no default route: --iface names the link by which the others reach it")
}

fn by_name(socket: &Socket, text: &str) -> Result<Link> {
    let Ok(ip) = text.parse::<IpAddr>() else {
        return socket
            .get_link(text)
            .with_context(|| format!("--iface {text}"));
    };
    let all = socket.list_all_addresses()?;
    let found = all.iter().find(|address| address.address.addr() == ip);
    let found =
        found.with_context(|| format!("--iface {ip}: no link of this host has that address"))?;
    Ok(socket.get_link(found.link)?)
}

fn by_pattern(socket: &Socket, text: &str) -> Result<Link> {
    let pattern = regex_lite::Regex::new(text).with_context(|| format!("--iface-regex {text}"))?;
    let addresses = socket.list_all_addresses()?;
    let matches = |link: &Link| {
        let mut own = addresses
            .iter()
            .filter(|address| address.link == link.index);
        pattern.is_match(&link.name)
            || own.any(|address| pattern.is_match(&address.address.addr().to_string()))
    };
    let found = socket.list_links()?.into_iter().find(matches);
    found.with_context(|| format!("--iface-regex {text}: no link of this host matches"))
}
