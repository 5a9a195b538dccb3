//! The kinds of virtual links: one variant to create each, one to read it back.

use super::bridge::{BridgeOptions, put_bridge};
use super::ipvlan::IpvlanOptions;
use super::macvlan::MacvlanOptions;
use super::tun::TunOptions;
use super::veth::PeerSpec;
use super::vlan::VlanProtocol;
use super::vxlan::VxlanOptions;
use super::{IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_LINKINFO};
use crate::netlink::{Attributes, Buffer};

const IFLA_VRF_TABLE: u16 = 1;

/// The kind of a link to create, with the kind's own settings.
#[derive(Debug, Clone)]
pub enum KindSpec<'a> {
    /// One end of a virtual cable; the other end is made with it.
    Veth(PeerSpec<'a>),
    /// A bridge.
    ///
    /// A MAC address given at creation stays; an MTU given at creation follows the smallest of
    /// the ports as soon as one joins. One given by
    /// [`Socket::set_link`](super::super::Socket::set_link) stays.
    Bridge(BridgeOptions),
    /// A link of its own MAC address on a lower link.
    Macvlan(MacvlanOptions),
    /// A link that shares the MAC address of its lower link.
    Ipvlan(IpvlanOptions),
    /// An IEEE 802.1Q (or 802.1ad) VLAN of a lower link.
    Vlan {
        /// The VLAN id, 0–4094.
        id: u16,
        /// The tag's protocol.
        protocol: VlanProtocol,
    },
    /// A VXLAN tunnel end.
    Vxlan(VxlanOptions),
    /// A virtual routing and forwarding domain.
    Vrf {
        /// Its routing table.
        table: u32,
    },
    /// Drops what is sent.
    Dummy,
    /// An intermediate functional block, for shaping what comes in.
    Ifb,
}

impl KindSpec<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Veth(_) => "veth",
            Self::Bridge(_) => "bridge",
            Self::Macvlan(_) => "macvlan",
            Self::Ipvlan(_) => "ipvlan",
            Self::Vlan { .. } => "vlan",
            Self::Vxlan(_) => "vxlan",
            Self::Vrf { .. } => "vrf",
            Self::Dummy => "dummy",
            Self::Ifb => "ifb",
        }
    }

    /// Writes `IFLA_LINKINFO`.
    pub(super) fn put(&self, buffer: &mut Buffer) {
        buffer.nest(IFLA_LINKINFO, |b| {
            b.put_str(IFLA_INFO_KIND, self.name());
            b.nest(IFLA_INFO_DATA, |b| match self {
                Self::Veth(peer) => peer.put(b),
                Self::Bridge(options) => put_bridge(b, options),
                Self::Macvlan(options) => options.put(b),
                Self::Ipvlan(options) => options.put(b),
                Self::Vlan { id, protocol } => protocol.put(*id, b),
                Self::Vxlan(options) => options.put(b),
                Self::Vrf { table } => b.put_u32(IFLA_VRF_TABLE, *table),
                Self::Dummy | Self::Ifb => {}
            });
        });
    }
}

/// The kind of an existing link, with those of its settings that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkKind {
    /// One end of a virtual cable.
    Veth,
    /// A bridge.
    Bridge(BridgeOptions),
    /// A macvlan.
    Macvlan(MacvlanOptions),
    /// An ipvlan.
    Ipvlan(IpvlanOptions),
    /// A VLAN.
    Vlan {
        /// The VLAN id.
        id: u16,
        /// The tag's protocol.
        protocol: VlanProtocol,
    },
    /// A VXLAN tunnel end.
    Vxlan(VxlanOptions),
    /// A VRF.
    Vrf {
        /// Its routing table.
        table: u32,
    },
    /// A dummy.
    Dummy,
    /// An intermediate functional block.
    Ifb,
    /// A tun or tap device; `None` from kernels that tell nothing of it.
    Tun(Option<TunOptions>),
    /// Any other kind, by the kernel's name: `bond`, `wireguard`, …
    Other(String),
}

impl LinkKind {
    /// The kernel's name of the kind.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Veth => "veth",
            Self::Bridge(_) => "bridge",
            Self::Macvlan(_) => "macvlan",
            Self::Ipvlan(_) => "ipvlan",
            Self::Vlan { .. } => "vlan",
            Self::Vxlan(_) => "vxlan",
            Self::Vrf { .. } => "vrf",
            Self::Dummy => "dummy",
            Self::Ifb => "ifb",
            Self::Tun(_) => "tun",
            Self::Other(name) => name,
        }
    }

    /// Reads the inside of `IFLA_LINKINFO`.
    pub(super) fn parse(info: &[u8]) -> Option<Self> {
        let name = Attributes::find(info, IFLA_INFO_KIND)?.string();
        let data = Attributes::find(info, IFLA_INFO_DATA).map_or(&[][..], |a| a.value);
        Some(match name.as_str() {
            "veth" => Self::Veth,
            "bridge" => Self::Bridge(BridgeOptions::parse(data)),
            "macvlan" => Self::Macvlan(MacvlanOptions::parse(data)),
            "ipvlan" => Self::Ipvlan(IpvlanOptions::parse(data)),
            "vlan" => {
                let (id, protocol) = VlanProtocol::parse(data);
                Self::Vlan { id, protocol }
            }
            "vxlan" => Self::Vxlan(VxlanOptions::parse(data)),
            "vrf" => Self::Vrf {
                table: Attributes::find(data, IFLA_VRF_TABLE)
                    .and_then(|a| a.u32())
                    .unwrap_or(0),
            },
            "dummy" => Self::Dummy,
            "ifb" => Self::Ifb,
            "tun" => Self::Tun(TunOptions::parse(data)),
            _ => Self::Other(name),
        })
    }
}
