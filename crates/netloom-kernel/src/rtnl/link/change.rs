//! What is to change on an existing link.

use super::super::bridge_port::{BridgePortChange, put_port};
use super::bridge::{BridgeOptions, put_bridge};
use super::vxlan::VxlanOptions;
use super::{
    IFLA_ADDRESS, IFLA_AF_SPEC, IFLA_IFALIAS, IFLA_INET_CONF, IFLA_INFO_DATA, IFLA_INFO_KIND,
    IFLA_LINKINFO, IFLA_MASTER, IFLA_MTU, IFLA_TXQLEN,
};
use crate::MacAddress;
use crate::netlink::Buffer;

const IPV4_DEVCONF_ARP_NOTIFY: u16 = 22;

/// Changes to a link, made in one message. What is not named stays.
#[derive(Debug, Clone, Default)]
pub struct LinkChange<'a> {
    up: Option<bool>,
    promiscuous: Option<bool>,
    all_multicast: Option<bool>,
    mac: Option<MacAddress>,
    mtu: Option<u32>,
    master: Option<u32>,
    tx_queue_len: Option<u32>,
    alias: Option<&'a str>,
    arp_notify: Option<bool>,
    bridge: Option<BridgeOptions>,
    vxlan: Option<VxlanOptions>,
    port: Option<BridgePortChange>,
}

impl<'a> LinkChange<'a> {
    /// No change yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets it up.
    #[must_use]
    pub fn up(mut self) -> Self {
        self.up = Some(true);
        self
    }

    /// Sets it down.
    #[must_use]
    pub fn down(mut self) -> Self {
        self.up = Some(false);
        self
    }

    /// Turns promiscuous mode on or off.
    #[must_use]
    pub fn promiscuous(mut self, on: bool) -> Self {
        self.promiscuous = Some(on);
        self
    }

    /// Turns all-multicast mode on or off.
    #[must_use]
    pub fn all_multicast(mut self, on: bool) -> Self {
        self.all_multicast = Some(on);
        self
    }

    /// Its hardware address. A bridge that was given one keeps it when ports come and go.
    #[must_use]
    pub fn mac(mut self, mac: MacAddress) -> Self {
        self.mac = Some(mac);
        self
    }

    /// Its MTU in bytes.
    #[must_use]
    pub fn mtu(mut self, mtu: u32) -> Self {
        self.mtu = Some(mtu);
        self
    }

    /// The index of the bridge, VRF or bond it joins.
    #[must_use]
    pub fn master(mut self, index: u32) -> Self {
        self.master = Some(index);
        self
    }

    /// Leaves its bridge, VRF or bond.
    #[must_use]
    pub fn no_master(mut self) -> Self {
        self.master = Some(0);
        self
    }

    /// The length of its transmit queue in packets.
    #[must_use]
    pub fn tx_queue_len(mut self, packets: u32) -> Self {
        self.tx_queue_len = Some(packets);
        self
    }

    /// Its alias; an empty one removes it.
    #[must_use]
    pub fn alias(mut self, alias: &'a str) -> Self {
        self.alias = Some(alias);
        self
    }

    /// Whether it tells its IPv4 addresses to everybody when it is set up, which takes another
    /// message: `net.ipv4.conf.LINK.arp_notify`, without a walk through `/proc/sys`. That one gets
    /// longer with each namespace that has a link of the same name.
    #[must_use]
    pub fn arp_notify(mut self, on: bool) -> Self {
        self.arp_notify = Some(on);
        self
    }

    /// Settings of a bridge.
    #[must_use]
    pub fn bridge(mut self, options: BridgeOptions) -> Self {
        self.bridge = Some(options);
        self
    }

    /// Settings of a vxlan. Its remote address can change; the kernel refuses another VNI or port.
    #[must_use]
    pub fn vxlan(mut self, options: VxlanOptions) -> Self {
        self.vxlan = Some(options);
        self
    }

    /// Settings of a bridge's port. The link must be a port already: joining and this cannot be
    /// one message, but they can be one [`Batch`](super::super::Batch).
    #[must_use]
    pub fn bridge_port(mut self, change: BridgePortChange) -> Self {
        self.port = Some(change);
        self
    }

    /// The flags and the mask of those that change.
    pub(super) fn flags(&self) -> (u32, u32) {
        let (mut flags, mut mask) = (0, 0);
        let wanted = [
            (self.up, libc::IFF_UP),
            (self.promiscuous, libc::IFF_PROMISC),
            (self.all_multicast, libc::IFF_ALLMULTI),
        ];
        for (on, bit) in wanted {
            if let Some(on) = on {
                mask |= bit.cast_unsigned();
                flags |= if on { bit.cast_unsigned() } else { 0 };
            }
        }
        (flags, mask)
    }

    pub(super) fn put(&self, buffer: &mut Buffer) {
        if let Some(mac) = &self.mac {
            buffer.put(IFLA_ADDRESS, mac);
        }
        let numbers = [
            (IFLA_MTU, self.mtu),
            (IFLA_MASTER, self.master),
            (IFLA_TXQLEN, self.tx_queue_len),
        ];
        for (kind, value) in numbers {
            if let Some(value) = value {
                buffer.put_u32(kind, value);
            }
        }
        if let Some(alias) = self.alias {
            // No NUL: the kernel would count it, and an empty alias is how one is removed.
            buffer.put(IFLA_IFALIAS, alias.as_bytes());
        }
        if let Some(on) = self.arp_notify {
            buffer.nest(IFLA_AF_SPEC, |b| {
                b.nest(libc::AF_INET as u16, |b| {
                    b.nest(IFLA_INET_CONF, |b| {
                        b.put_u32(IPV4_DEVCONF_ARP_NOTIFY, on.into());
                    });
                });
            });
        }
        if self.bridge.is_some() || self.vxlan.is_some() || self.port.is_some() {
            buffer.nest(IFLA_LINKINFO, |b| {
                if let Some(options) = &self.bridge {
                    b.put_str(IFLA_INFO_KIND, "bridge");
                    b.nest(IFLA_INFO_DATA, |b| put_bridge(b, options));
                }
                if let Some(options) = &self.vxlan {
                    b.put_str(IFLA_INFO_KIND, "vxlan");
                    b.nest(IFLA_INFO_DATA, |b| options.put(b));
                }
                if let Some(change) = &self.port {
                    put_port(b, change);
                }
            });
        }
    }
}
