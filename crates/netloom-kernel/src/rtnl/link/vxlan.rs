//! VXLAN tunnel ends.

use std::net::IpAddr;

use crate::netlink::{Attributes, Buffer};

const IFLA_VXLAN_ID: u16 = 1;
const IFLA_VXLAN_GROUP: u16 = 2;
const IFLA_VXLAN_LINK: u16 = 3;
const IFLA_VXLAN_LOCAL: u16 = 4;
const IFLA_VXLAN_LEARNING: u16 = 7;
const IFLA_VXLAN_PORT: u16 = 15;
const IFLA_VXLAN_GROUP6: u16 = 16;
const IFLA_VXLAN_LOCAL6: u16 = 17;

/// The settings of a VXLAN tunnel end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VxlanOptions {
    /// The network identifier, 24 bits.
    pub vni: u32,
    /// The address of this end.
    pub local: Option<IpAddr>,
    /// The other end, or the multicast group of the others.
    pub remote: Option<IpAddr>,
    /// The index of the link that carries it.
    pub device: Option<u32>,
    /// The UDP port; the kernel's default (8472) is not IANA's (4789).
    pub port: Option<u16>,
    /// Whether it learns MAC addresses from what it receives.
    pub learning: Option<bool>,
}

impl VxlanOptions {
    pub(super) fn put(&self, b: &mut Buffer) {
        b.put_u32(IFLA_VXLAN_ID, self.vni);
        match self.local {
            Some(IpAddr::V4(ip)) => b.put(IFLA_VXLAN_LOCAL, &ip.octets()),
            Some(IpAddr::V6(ip)) => b.put(IFLA_VXLAN_LOCAL6, &ip.octets()),
            None => {}
        }
        match self.remote {
            Some(IpAddr::V4(ip)) => b.put(IFLA_VXLAN_GROUP, &ip.octets()),
            Some(IpAddr::V6(ip)) => b.put(IFLA_VXLAN_GROUP6, &ip.octets()),
            None => {}
        }
        if let Some(device) = self.device {
            b.put_u32(IFLA_VXLAN_LINK, device);
        }
        if let Some(port) = self.port {
            b.put(IFLA_VXLAN_PORT, &port.to_be_bytes());
        }
        if let Some(learning) = self.learning {
            b.put_u8(IFLA_VXLAN_LEARNING, learning.into());
        }
    }

    pub(super) fn parse(data: &[u8]) -> Self {
        let mut options = Self::default();
        for a in Attributes::new(data) {
            match a.kind {
                IFLA_VXLAN_ID => options.vni = a.u32().unwrap_or_default(),
                IFLA_VXLAN_LOCAL | IFLA_VXLAN_LOCAL6 => options.local = a.ip(),
                IFLA_VXLAN_GROUP | IFLA_VXLAN_GROUP6 => options.remote = a.ip(),
                IFLA_VXLAN_LINK => options.device = a.u32().filter(|index| *index != 0),
                IFLA_VXLAN_LEARNING => options.learning = a.u8().map(|v| v != 0),
                IFLA_VXLAN_PORT => {
                    options.port = a.value.first_chunk().map(|b| u16::from_be_bytes(*b));
                }
                _ => {}
            }
        }
        options
    }
}
