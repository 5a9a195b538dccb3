//! Adding and removing routes.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    RTA_DST, RTA_GATEWAY, RTA_METRICS, RTA_OIF, RTA_PREFSRC, RTA_PRIORITY, RTA_TABLE, RTA_VIA,
    RTAX_ADVMSS, RTAX_MTU, RTM_DELROUTE, RTM_NEWROUTE, RTNH_F_ONLINK, Route, RouteKind, Scope,
    family_of, octets, table,
};
use crate::error::Result;
use crate::netlink::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, Request};
use crate::rtnl::{Batch, Socket};

/// Set by administrators (`ip route` and the Go plugins use it too).
const RTPROT_BOOT: u8 = 3;
const RT_SCOPE_NOWHERE: u8 = 255;

/// A route to add or remove. What is not named is the kernel's default when adding, and matches
/// anything when removing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSpec {
    dst: IpNet,
    gateway: Option<IpAddr>,
    device: Option<u32>,
    priority: Option<u32>,
    table: u32,
    scope: Option<Scope>,
    source: Option<IpAddr>,
    mtu: Option<u32>,
    advmss: Option<u32>,
    onlink: bool,
    protocol: Option<u8>,
    kind: RouteKind,
}

impl RouteSpec {
    /// A route to a network; host bits are cleared.
    #[must_use]
    pub fn to(dst: IpNet) -> Self {
        Self {
            dst: dst.trunc(),
            gateway: None,
            device: None,
            priority: None,
            table: table::MAIN,
            scope: None,
            source: None,
            mtu: None,
            advmss: None,
            onlink: false,
            protocol: None,
            kind: RouteKind::Unicast,
        }
    }

    /// A route as the kernel described it, to be put elsewhere, put back, or removed.
    ///
    /// What [`Route`] does not tell (flags of the kernel's own, an expiry, metrics other than MTU
    /// and MSS) is lost. Of a multipath route only what its next hops have in common is named.
    #[must_use]
    pub fn of(route: &Route) -> Self {
        Self {
            gateway: route.gateway,
            device: route.device,
            priority: (route.priority != 0).then_some(route.priority),
            table: route.table,
            scope: Some(route.scope),
            source: route.source,
            mtu: (route.mtu != 0).then_some(route.mtu),
            advmss: (route.advmss != 0).then_some(route.advmss),
            onlink: route.onlink,
            protocol: Some(route.protocol),
            kind: route.kind,
            ..Self::to(route.dst)
        }
    }

    /// The next hop.
    #[must_use]
    pub fn via(mut self, gateway: IpAddr) -> Self {
        self.gateway = Some(gateway);
        self
    }

    /// The index of the link it leaves by.
    #[must_use]
    pub fn device(mut self, link: u32) -> Self {
        self.device = Some(link);
        self
    }

    /// Its priority (metric): the lowest wins. IPv6 takes 0 as 1024.
    #[must_use]
    pub fn priority(mut self, priority: u32) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Its table; [`table::MAIN`] without it.
    #[must_use]
    pub fn table(mut self, table: u32) -> Self {
        self.table = table;
        self
    }

    /// How far it is valid; everywhere without it.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// The source address preferred for what is sent by it.
    #[must_use]
    pub fn source(mut self, source: IpAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// The MTU of the path in bytes.
    #[must_use]
    pub fn mtu(mut self, mtu: u32) -> Self {
        self.mtu = Some(mtu);
        self
    }

    /// The TCP maximum segment size to advertise, in bytes.
    #[must_use]
    pub fn advmss(mut self, advmss: u32) -> Self {
        self.advmss = Some(advmss);
        self
    }

    /// The next hop is on the link even if no address of the link says so.
    #[must_use]
    pub fn onlink(mut self) -> Self {
        self.onlink = true;
        self
    }

    /// Who made it (`RTPROT_*`); "boot" without it.
    #[must_use]
    pub fn protocol(mut self, protocol: u8) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// What it does with packets; sends them on without it.
    #[must_use]
    pub fn kind(mut self, kind: RouteKind) -> Self {
        self.kind = kind;
        self
    }

    fn object(&self) -> String {
        let mut object = self.dst.to_string();
        let mut add = |word: &str, value: String| {
            object.push(' ');
            object.push_str(word);
            object.push(' ');
            object.push_str(&value);
        };
        if let Some(gateway) = self.gateway {
            add("via", gateway.to_string());
        }
        if let Some(device) = self.device {
            add("on the link with index", device.to_string());
        }
        if self.table != table::MAIN {
            add("in table", self.table.to_string());
        }
        object
    }

    fn request(&self, operation: &'static str, kind: u16, flags: u16) -> Request {
        let removing = kind == RTM_DELROUTE;
        // 255 in a removal matches any scope; 0 any protocol and kind.
        let any_scope = if removing { RT_SCOPE_NOWHERE } else { 0 };
        let route_kind = if removing && self.kind == RouteKind::Unicast {
            0
        } else {
            self.kind.to_wire()
        };
        let header = [
            family_of(self.dst.addr()),
            self.dst.prefix_len(),
            0,
            0,
            u8::try_from(self.table).unwrap_or(0),
            self.protocol
                .unwrap_or(if removing { 0 } else { RTPROT_BOOT }),
            self.scope.map_or(any_scope, Scope::to_wire),
            route_kind,
        ];
        let mut fixed = [0; 12];
        fixed[..8].copy_from_slice(&header);
        let route_flags = if self.onlink { RTNH_F_ONLINK } else { 0 };
        fixed[8..].copy_from_slice(&route_flags.to_ne_bytes());
        let mut r = Request::new(operation, self.object(), kind, flags, &fixed);
        self.put(&mut r);
        r
    }

    fn put(&self, r: &mut Request) {
        let b = &mut r.buffer;
        if self.dst.prefix_len() != 0 {
            b.put(RTA_DST, &octets(self.dst.addr()));
        }
        match self.gateway {
            // An IPv4 route through an IPv6 next hop (RFC 5549) needs an attribute of its own.
            Some(gateway) if gateway.is_ipv6() && self.dst.addr().is_ipv4() => {
                let mut via = u16::from(family_of(gateway)).to_ne_bytes().to_vec();
                via.extend_from_slice(&octets(gateway));
                b.put(RTA_VIA, &via);
            }
            Some(gateway) => b.put(RTA_GATEWAY, &octets(gateway)),
            None => {}
        }
        if let Some(source) = self.source {
            b.put(RTA_PREFSRC, &octets(source));
        }
        b.put_u32(RTA_TABLE, self.table);
        for (kind, value) in [(RTA_OIF, self.device), (RTA_PRIORITY, self.priority)] {
            if let Some(value) = value {
                b.put_u32(kind, value);
            }
        }
        if self.mtu.is_some() || self.advmss.is_some() {
            b.nest(RTA_METRICS, |b| {
                for (kind, value) in [(RTAX_MTU, self.mtu), (RTAX_ADVMSS, self.advmss)] {
                    if let Some(value) = value {
                        b.put_u32(kind, value);
                    }
                }
            });
        }
    }
}

fn add(spec: &RouteSpec) -> Request {
    spec.request("add route", RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL)
}

fn add_beside(spec: &RouteSpec) -> Request {
    spec.request("add route", RTM_NEWROUTE, NLM_F_CREATE)
}

fn append(spec: &RouteSpec) -> Request {
    spec.request("append route", RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND)
}

fn replace(spec: &RouteSpec) -> Request {
    spec.request("replace route", RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE)
}

fn remove(spec: &RouteSpec) -> Request {
    spec.request("remove route", RTM_DELROUTE, 0)
        .absent_is_success()
}

impl Socket {
    /// Adds a route that must be the only one of its destination, table and priority.
    ///
    /// # Errors
    /// `is_exists()` if there is one already.
    pub fn add_route(&self, spec: &RouteSpec) -> Result<()> {
        self.execute(add(spec)).map(drop)
    }

    /// Adds a route beside others of the same destination and priority, before them if IPv4. This
    /// is what the Go plugins call an ECMP route.
    ///
    /// # Errors
    /// `is_exists()` if there is exactly this one already.
    pub fn add_route_beside(&self, spec: &RouteSpec) -> Result<()> {
        self.execute(add_beside(spec)).map(drop)
    }

    /// Adds a route after others of the same destination and priority.
    ///
    /// # Errors
    /// `is_exists()` if there is exactly this one already.
    pub fn append_route(&self, spec: &RouteSpec) -> Result<()> {
        self.execute(append(spec)).map(drop)
    }

    /// Adds a route in place of one with the same destination, table and priority.
    ///
    /// # Errors
    /// If the kernel refuses the route.
    pub fn replace_route(&self, spec: &RouteSpec) -> Result<()> {
        self.execute(replace(spec)).map(drop)
    }

    /// Removes the first route that matches. `false` if none did.
    ///
    /// # Errors
    /// Anything but absence.
    pub fn remove_route(&self, spec: &RouteSpec) -> Result<bool> {
        self.execute(remove(spec))
    }
}

impl Batch<'_> {
    /// See [`Socket::add_route`].
    pub fn add_route(&mut self, spec: &RouteSpec) -> &mut Self {
        self.push(add(spec))
    }

    /// See [`Socket::add_route_beside`].
    pub fn add_route_beside(&mut self, spec: &RouteSpec) -> &mut Self {
        self.push(add_beside(spec))
    }

    /// See [`Socket::append_route`].
    pub fn append_route(&mut self, spec: &RouteSpec) -> &mut Self {
        self.push(append(spec))
    }

    /// See [`Socket::replace_route`].
    pub fn replace_route(&mut self, spec: &RouteSpec) -> &mut Self {
        self.push(replace(spec))
    }

    /// See [`Socket::remove_route`].
    pub fn remove_route(&mut self, spec: &RouteSpec) -> &mut Self {
        self.push(remove(spec))
    }
}
