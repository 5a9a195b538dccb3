//! Listing and looking up routes.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    Family, RTA_DST, RTA_GATEWAY, RTA_METRICS, RTA_MULTIPATH, RTA_OIF, RTA_PREFSRC, RTA_PRIORITY,
    RTA_TABLE, RTA_VIA, RTAX_ADVMSS, RTAX_MTU, RTM_GETROUTE, RTM_NEWROUTE, RTNH_F_ONLINK,
    RouteKind, Scope, family_of, octets, table,
};
use crate::error::{Error, Result};
use crate::netlink::{Attribute, Attributes, NLM_F_DUMP, Request, align};
use crate::rtnl::Socket;

const RTM_F_CLONED: u32 = 0x200;
/// Without it IPv4 says "main" of every table. IPv6 always says which, and refuses to be asked.
const RTM_F_LOOKUP_TABLE: u32 = 0x1000;
const RTM_F_FIB_MATCH: u32 = 0x2000;
const RTNEXTHOP_LEN: usize = 8;

/// A route as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The destination; of prefix length 0 for a default route.
    pub dst: IpNet,
    /// The next hop.
    pub gateway: Option<IpAddr>,
    /// The index of the link it leaves by.
    pub device: Option<u32>,
    /// Its priority (metric), 0 if none.
    pub priority: u32,
    /// Its table.
    pub table: u32,
    /// How far it is valid.
    pub scope: Scope,
    /// The preferred source address.
    pub source: Option<IpAddr>,
    /// The MTU of the path in bytes, 0 if not set.
    pub mtu: u32,
    /// The TCP maximum segment size to advertise in bytes, 0 if not set.
    pub advmss: u32,
    /// Its next hop is on the link even if no address says so.
    pub onlink: bool,
    /// Who made it (`RTPROT_*`).
    pub protocol: u8,
    /// What it does with packets.
    pub kind: RouteKind,
    /// The next hops of a multipath route; empty for a route with one.
    pub next_hops: Vec<NextHop>,
}

/// One of the next hops of a multipath route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextHop {
    /// The index of the link.
    pub device: u32,
    /// The next hop.
    pub gateway: Option<IpAddr>,
    /// Its share, from 1.
    pub weight: u16,
}

impl Route {
    /// Whether it is a default route.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.dst.prefix_len() == 0
    }

    pub(in crate::rtnl) fn parse(payload: &[u8]) -> Option<Self> {
        let fixed = payload.first_chunk::<12>()?;
        let flags = u32::from_ne_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]);
        let family = Family::from_wire(fixed[0])?;
        let mut route = Self {
            dst: family.everything(),
            gateway: None,
            device: None,
            priority: 0,
            table: fixed[4].into(),
            scope: Scope::from_wire(fixed[6]),
            source: None,
            mtu: 0,
            advmss: 0,
            onlink: flags & RTNH_F_ONLINK != 0,
            protocol: fixed[5],
            kind: RouteKind::from_wire(fixed[7]),
            next_hops: Vec::new(),
        };
        for a in Attributes::after(payload, 12) {
            match a.kind {
                RTA_DST => route.dst = IpNet::new(a.ip()?, fixed[1]).ok()?,
                RTA_GATEWAY => route.gateway = a.ip(),
                RTA_VIA => route.gateway = via(a),
                RTA_OIF => route.device = a.u32(),
                RTA_PRIORITY => route.priority = a.u32().unwrap_or_default(),
                RTA_PREFSRC => route.source = a.ip(),
                RTA_TABLE => route.table = a.u32().unwrap_or_default(),
                RTA_METRICS => route.read_metrics(a),
                RTA_MULTIPATH => route.next_hops = next_hops(a.value),
                _ => {}
            }
        }
        Some(route)
    }

    fn read_metrics(&mut self, metrics: Attribute<'_>) {
        for a in metrics.nested() {
            match a.kind {
                RTAX_MTU => self.mtu = a.u32().unwrap_or_default(),
                RTAX_ADVMSS => self.advmss = a.u32().unwrap_or_default(),
                _ => {}
            }
        }
    }
}

fn via(a: Attribute<'_>) -> Option<IpAddr> {
    Attribute {
        kind: RTA_GATEWAY,
        value: a.value.get(2..)?,
    }
    .ip()
}

/// Reads a list of `struct rtnexthop`, each followed by its attributes.
fn next_hops(mut rest: &[u8]) -> Vec<NextHop> {
    let mut hops = Vec::new();
    while let Some(fixed) = rest.first_chunk::<RTNEXTHOP_LEN>() {
        let length = usize::from(u16::from_ne_bytes([fixed[0], fixed[1]]));
        let Some(inside) = rest.get(RTNEXTHOP_LEN..length) else {
            break;
        };
        let gateway = Attributes::new(inside).find_map(|a| match a.kind {
            RTA_GATEWAY => a.ip(),
            RTA_VIA => via(a),
            _ => None,
        });
        hops.push(NextHop {
            device: u32::from_ne_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            gateway,
            weight: u16::from(fixed[3]) + 1,
        });
        rest = rest.get(align(length)..).unwrap_or_default();
    }
    hops
}

/// Which routes to list; the kernel filters by family, table, device and protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteFilter {
    family: Family,
    table: u32,
    device: Option<u32>,
    dst: Option<IpNet>,
    protocol: Option<u8>,
}

impl RouteFilter {
    /// The main table of a family.
    #[must_use]
    pub fn main(family: Family) -> Self {
        Self {
            family,
            table: table::MAIN,
            device: None,
            dst: None,
            protocol: None,
        }
    }

    /// One table, or [`table::ANY`].
    #[must_use]
    pub fn table(mut self, table: u32) -> Self {
        self.table = table;
        self
    }

    /// Only routes by one link.
    #[must_use]
    pub fn device(mut self, link: u32) -> Self {
        self.device = Some(link);
        self
    }

    /// Only routes to exactly this network.
    #[must_use]
    pub fn dst(mut self, dst: IpNet) -> Self {
        self.dst = Some(dst.trunc());
        self
    }

    /// Only routes made by this (`RTPROT_*`), such as that of routers.
    #[must_use]
    pub fn protocol(mut self, protocol: u8) -> Self {
        self.protocol = Some(protocol);
        self
    }

    fn accepts(&self, route: &Route) -> bool {
        let by_device = |device| {
            route.device == Some(device) || route.next_hops.iter().any(|hop| hop.device == device)
        };
        (self.table == table::ANY || route.table == self.table)
            && self.device.is_none_or(by_device)
            && self.dst.is_none_or(|dst| route.dst == dst)
            && self
                .protocol
                .is_none_or(|made_by| route.protocol == made_by)
    }
}

impl Socket {
    /// The routes that a filter accepts. A table that does not exist has none.
    ///
    /// # Errors
    /// If the kernel refuses the dump.
    pub fn list_routes(&self, filter: &RouteFilter) -> Result<Vec<Route>> {
        self.list_routes_where(filter, |_| true)
    }

    /// Those of the routes that a filter accepts which are asked for: memory is taken for no others,
    /// of which there may be very many.
    ///
    /// # Errors
    /// If the kernel refuses the dump.
    pub fn list_routes_where(
        &self,
        filter: &RouteFilter,
        mut wanted: impl FnMut(&Route) -> bool,
    ) -> Result<Vec<Route>> {
        let mut header = [0; 12];
        header[0] = filter.family.to_wire();
        header[5] = filter.protocol.unwrap_or(0);
        let object = format!("routes of table {}", filter.table);
        let mut r = Request::new("list", object, RTM_GETROUTE, NLM_F_DUMP, &header);
        if filter.table != table::ANY {
            r.buffer.put_u32(RTA_TABLE, filter.table);
        }
        if let Some(device) = filter.device {
            r.buffer.put_u32(RTA_OIF, device);
        }
        let found = self.dump(r, |header, payload| {
            // Cached entries for single destinations (IPv6) are not routes of the table.
            let flags = payload
                .get(8..12)?
                .first_chunk()
                .map(|b| u32::from_ne_bytes(*b))?;
            if header.kind != RTM_NEWROUTE || flags & RTM_F_CLONED != 0 {
                return None;
            }
            Route::parse(payload).filter(|route| filter.accepts(route) && wanted(route))
        });
        match found {
            // The kernel says so for a table or a device that is not there.
            Err(error) if error.is_absent() => Ok(Vec::new()),
            found => found,
        }
    }

    /// The route that a packet to an address would take: to that address alone, whatever entry of
    /// whatever table it comes from. Never a dump.
    ///
    /// # Errors
    /// ENETUNREACH or EHOSTUNREACH if there is none.
    pub fn lookup_route(&self, to: IpAddr) -> Result<Route> {
        self.look_up(to, 0)
    }

    /// The entry of a routing table by which a packet to an address would go. Never a dump. Needs
    /// Linux 4.13; an older kernel answers as [`Socket::lookup_route`] does.
    ///
    /// # Errors
    /// ENETUNREACH or EHOSTUNREACH if there is none.
    pub fn match_route(&self, to: IpAddr) -> Result<Route> {
        let which_table = if to.is_ipv4() { RTM_F_LOOKUP_TABLE } else { 0 };
        self.look_up(to, RTM_F_FIB_MATCH | which_table)
    }

    fn look_up(&self, to: IpAddr, flags: u32) -> Result<Route> {
        let mut header = [0; 12];
        header[0] = family_of(to);
        header[1] = if to.is_ipv4() { 32 } else { 128 };
        header[8..12].copy_from_slice(&flags.to_ne_bytes());
        let mut r = Request::new("look up route to", to.to_string(), RTM_GETROUTE, 0, &header);
        r.buffer.put(RTA_DST, &octets(to));
        self.ask(r, |_, payload| Route::parse(payload))?
            .ok_or_else(|| Error::new("look up route to", to, libc::EBADMSG))
    }
}
