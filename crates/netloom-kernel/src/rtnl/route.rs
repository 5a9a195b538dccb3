//! Routes.

mod read;
mod write;

use std::net::IpAddr;

use ipnet::IpNet;

pub use read::{NextHop, Route, RouteFilter};
pub use write::RouteSpec;

pub(super) const RTM_NEWROUTE: u16 = 24;
pub(super) const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RTAX_MTU: u16 = 2;
const RTAX_ADVMSS: u16 = 8;
const RTNH_F_ONLINK: u32 = 4;

/// Numbers of well-known routing tables.
pub mod table {
    /// Any table, in filters.
    pub const ANY: u32 = 0;
    /// The default table, which is empty.
    pub const DEFAULT: u32 = 253;
    /// Where routes go unless told otherwise.
    pub const MAIN: u32 = 254;
    /// The host's own addresses.
    pub const LOCAL: u32 = 255;
}

/// Numbers that tell who made a route.
pub mod protocol {
    /// Router advertisements, taken by the kernel.
    pub const ROUTERS: u8 = 9;
}

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    pub(crate) fn to_wire(self) -> u8 {
        match self {
            Self::V4 => libc::AF_INET as u8,
            Self::V6 => libc::AF_INET6 as u8,
        }
    }

    pub(super) fn from_wire(value: u8) -> Option<Self> {
        match i32::from(value) {
            libc::AF_INET => Some(Self::V4),
            libc::AF_INET6 => Some(Self::V6),
            _ => None,
        }
    }

    pub(super) fn everything(self) -> IpNet {
        match self {
            Self::V4 => IpNet::V4(ipnet::Ipv4Net::default()),
            Self::V6 => IpNet::V6(ipnet::Ipv6Net::default()),
        }
    }
}

/// How far an address or route is valid (`RT_SCOPE_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scope {
    /// Everywhere.
    #[default]
    Universe,
    /// Inside the site (IPv6).
    Site,
    /// On the link.
    Link,
    /// On this host.
    Host,
    /// Nowhere: the destination does not exist.
    Nowhere,
    /// A number of one's own.
    Other(u8),
}

impl Scope {
    /// The kernel's number.
    #[must_use]
    pub fn to_wire(self) -> u8 {
        match self {
            Self::Universe => 0,
            Self::Site => 200,
            Self::Link => 253,
            Self::Host => 254,
            Self::Nowhere => 255,
            Self::Other(value) => value,
        }
    }

    /// From the kernel's number.
    #[must_use]
    pub fn from_wire(value: u8) -> Self {
        match value {
            0 => Self::Universe,
            200 => Self::Site,
            253 => Self::Link,
            254 => Self::Host,
            255 => Self::Nowhere,
            other => Self::Other(other),
        }
    }
}

/// What a route does with a packet (`RTN_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RouteKind {
    /// Sends it on.
    #[default]
    Unicast,
    /// Delivers it here.
    Local,
    /// Broadcasts it.
    Broadcast,
    /// Drops it silently.
    Blackhole,
    /// Drops it and says that the destination is unreachable.
    Unreachable,
    /// Drops it and says that it is prohibited.
    Prohibit,
    /// Goes on with the next rule.
    Throw,
    /// Any other, by the kernel's number.
    Other(u8),
}

impl RouteKind {
    const NUMBERS: [(Self, u8); 7] = [
        (Self::Unicast, 1),
        (Self::Local, 2),
        (Self::Broadcast, 3),
        (Self::Blackhole, 6),
        (Self::Unreachable, 7),
        (Self::Prohibit, 8),
        (Self::Throw, 9),
    ];

    pub(super) fn to_wire(self) -> u8 {
        if let Self::Other(value) = self {
            return value;
        }
        Self::NUMBERS
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or(0, |(_, n)| *n)
    }

    pub(super) fn from_wire(value: u8) -> Self {
        Self::NUMBERS
            .iter()
            .find(|(_, n)| *n == value)
            .map_or(Self::Other(value), |(k, _)| *k)
    }
}

pub(super) fn family_of(ip: IpAddr) -> u8 {
    Family::of(ip).to_wire()
}

/// The octets of an address without an allocation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Octets([u8; 16], usize);

impl std::ops::Deref for Octets {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0[..self.1]
    }
}

pub(super) fn octets(ip: IpAddr) -> Octets {
    match ip {
        IpAddr::V4(ip) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&ip.octets());
            Octets(bytes, 4)
        }
        IpAddr::V6(ip) => Octets(ip.octets(), 16),
    }
}
