//! Links (network interfaces): read, create, change, remove.

pub(super) mod bridge;
pub(super) mod change;
pub(super) mod ipvlan;
pub(super) mod kind;
pub(super) mod macvlan;
mod removal;
mod requests;
mod settings;
pub(super) mod spec;
mod support;
pub(super) mod tun;
pub(super) mod veth;
pub(super) mod vlan;
pub(super) mod vxlan;

pub use removal::Removal;
pub use settings::LinkSettings;

use std::fmt;

use super::LinkKind;
use super::bridge_port::BridgePort;
use crate::MacAddress;
use crate::netlink::{Attribute, Attributes, Buffer};

pub(super) const RTM_NEWLINK: u16 = 16;
pub(super) const RTM_DELLINK: u16 = 17;
pub(super) const RTM_GETLINK: u16 = 18;
const RTM_NEWLINKPROP: u16 = 108;
const RTM_DELLINKPROP: u16 = 109;

pub(super) const IFLA_ADDRESS: u16 = 1;
pub(super) const IFLA_IFNAME: u16 = 3;
pub(super) const IFLA_MTU: u16 = 4;
pub(super) const IFLA_LINK: u16 = 5;
const IFLA_QDISC: u16 = 6;
pub(super) const IFLA_MASTER: u16 = 10;
pub(super) const IFLA_TXQLEN: u16 = 13;
const IFLA_OPERSTATE: u16 = 16;
pub(super) const IFLA_LINKINFO: u16 = 18;
pub(super) const IFLA_IFALIAS: u16 = 20;
pub(super) const IFLA_GROUP: u16 = 27;
pub(super) const IFLA_NET_NS_FD: u16 = 28;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_PROMISCUITY: u16 = 30;
pub(super) const IFLA_NUM_TX_QUEUES: u16 = 31;
pub(super) const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_TARGET_NETNSID: u16 = 46;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
const IFLA_PERM_ADDRESS: u16 = 54;
const IFLA_PARENT_DEV_NAME: u16 = 56;
const IFLA_PARENT_DEV_BUS_NAME: u16 = 57;
pub(super) const IFLA_INFO_KIND: u16 = 1;
pub(super) const IFLA_INFO_DATA: u16 = 2;
pub(super) const IFLA_AF_SPEC: u16 = 26;
pub(super) const IFLA_INET_CONF: u16 = 1;
const IFLA_INET6_CONF: u16 = 2;
/// Where `accept_ra` is in the array of an IPv6 link's settings (`include/uapi/linux/ipv6.h`).
const DEVCONF_ACCEPT_RA: usize = 3;

/// The longest name of a link; longer ones are alternative names.
const IFNAME_MAX: usize = 15;

/// How a link is named in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkRef<'a> {
    /// By interface index.
    Index(u32),
    /// By name, or alternative name.
    Name(&'a str),
}

impl From<u32> for LinkRef<'_> {
    fn from(index: u32) -> Self {
        Self::Index(index)
    }
}

impl<'a> From<&'a str> for LinkRef<'a> {
    fn from(name: &'a str) -> Self {
        Self::Name(name)
    }
}

impl<'a> From<&'a String> for LinkRef<'a> {
    fn from(name: &'a String) -> Self {
        Self::Name(name)
    }
}

impl From<&Link> for LinkRef<'_> {
    fn from(link: &Link) -> Self {
        Self::Index(link.index)
    }
}

impl fmt::Display for LinkRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "with index {index}"),
            Self::Name(name) => write!(f, "\"{name}\""),
        }
    }
}

impl LinkRef<'_> {
    pub(super) fn index(&self) -> u32 {
        match self {
            Self::Index(index) => *index,
            Self::Name(_) => 0,
        }
    }

    pub(super) fn put_name(&self, buffer: &mut Buffer) {
        if let Self::Name(name) = self {
            let kind = if name.len() > IFNAME_MAX {
                IFLA_ALT_IFNAME
            } else {
                IFLA_IFNAME
            };
            buffer.put_str(kind, name);
        }
    }
}

/// The flags of a link (`IFF_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct LinkFlags(u32);

impl From<u32> for LinkFlags {
    /// Takes the bits as the kernel has them.
    fn from(bits: u32) -> Self {
        Self(bits)
    }
}

impl LinkFlags {
    /// The administrator set it up.
    #[must_use]
    pub fn is_up(self) -> bool {
        self.0 & libc::IFF_UP as u32 != 0
    }

    /// It is up and operational.
    #[must_use]
    pub fn is_running(self) -> bool {
        self.0 & libc::IFF_RUNNING as u32 != 0
    }

    /// It has a carrier: a cable is in, or the link it stands on has one.
    #[must_use]
    pub fn has_carrier(self) -> bool {
        self.0 & libc::IFF_LOWER_UP as u32 != 0
    }

    /// It is a loopback link.
    #[must_use]
    pub fn is_loopback(self) -> bool {
        self.0 & libc::IFF_LOOPBACK as u32 != 0
    }

    /// All-multicast was asked for by the administrator.
    #[must_use]
    pub fn is_all_multicast(self) -> bool {
        self.0 & libc::IFF_ALLMULTI as u32 != 0
    }

    /// Promiscuous mode was asked for by the administrator.
    #[must_use]
    pub fn is_promiscuous(self) -> bool {
        self.0 & libc::IFF_PROMISC as u32 != 0
    }

    /// The bits as the kernel has them.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }
}

/// Whether packets can pass (RFC 2863's ifOperStatus).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum OperationalState {
    /// The driver does not say; `lo` and tunnels.
    #[default]
    Unknown,
    /// Hardware is missing.
    NotPresent,
    /// Down.
    Down,
    /// The link it stands on is down.
    LowerLayerDown,
    /// In a test mode.
    Testing,
    /// Waiting for an event such as authentication.
    Dormant,
    /// Packets pass.
    Up,
}

impl OperationalState {
    fn from_wire(value: u8) -> Self {
        match value {
            1 => Self::NotPresent,
            2 => Self::Down,
            3 => Self::LowerLayerDown,
            4 => Self::Testing,
            5 => Self::Dormant,
            6 => Self::Up,
            _ => Self::Unknown,
        }
    }
}

/// The device that a link is a port of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Parent {
    /// The bus it is on: `pci`, `virtio`, `auxiliary`, `usb` …
    pub bus: String,
    /// Its name there: `0000:00:05.0`, `virtio0`.
    pub name: String,
}

/// A link as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Link {
    /// The interface index, unique in its network namespace.
    pub index: u32,
    /// The name.
    pub name: String,
    /// Alternative names.
    pub alternative_names: Vec<String>,
    /// The hardware type (`ARPHRD_*`): 1 is Ethernet, 772 loopback.
    pub hardware_type: u16,
    /// The hardware address; `None` if it has none of six bytes.
    pub mac: Option<MacAddress>,
    /// The hardware address as it is: six bytes for Ethernet, twenty for InfiniBand, none for CAN.
    pub address: Vec<u8>,
    /// The hardware address that the device was made with, whatever was set since; `None` for
    /// virtual links, which have none.
    pub permanent_mac: Option<MacAddress>,
    /// The device that the link is a port of; `None` for virtual links, and before Linux 5.14.
    pub parent: Option<Parent>,
    /// The MTU in bytes.
    pub mtu: u32,
    /// The flags.
    pub flags: LinkFlags,
    /// Whether packets can pass.
    pub operational: OperationalState,
    /// The index of the bridge, VRF or bond it belongs to.
    pub master: Option<u32>,
    /// The index of the link it stands on, or for a veth that of its peer. In the namespace
    /// `lower_netns` if that is set.
    pub lower: Option<u32>,
    /// The namespace id of `lower` if that lives in another network namespace.
    pub lower_netns: Option<i32>,
    /// The name of the queueing discipline it sends by: `noqueue`, `tbf`, …
    pub qdisc: String,
    /// The group it was put in; 0 unless somebody said so.
    pub group: u32,
    /// The length of the transmit queue in packets.
    pub tx_queue_len: u32,
    /// How many times promiscuous mode was asked for.
    pub promiscuity: u32,
    /// The alias.
    pub alias: Option<String>,
    /// What kind of link it is, and the kind's own settings; `None` for hardware and `lo`.
    pub kind: Option<LinkKind>,
    /// The settings as a port, if its master is a bridge.
    pub bridge_port: Option<BridgePort>,
    /// `net/ipv6/conf/LINK/accept_ra`: 0 never takes router advertisements, 1 unless it forwards, 2 always;
    /// `None` where the link has no IPv6.
    pub accept_ra: Option<i32>,
}

impl Link {
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let fixed = payload.first_chunk::<16>()?;
        let mut link = Self {
            hardware_type: u16::from_ne_bytes([fixed[2], fixed[3]]),
            index: u32::from_ne_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            flags: LinkFlags(u32::from_ne_bytes([
                fixed[8], fixed[9], fixed[10], fixed[11],
            ])),
            ..Self::default()
        };
        for a in Attributes::after(payload, 16) {
            match a.kind {
                IFLA_ADDRESS => {
                    link.mac = a.mac();
                    link.address = a.value.to_vec();
                }
                IFLA_PERM_ADDRESS => link.permanent_mac = a.mac(),
                IFLA_PARENT_DEV_NAME => link.parent_mut().name = a.string(),
                IFLA_PARENT_DEV_BUS_NAME => link.parent_mut().bus = a.string(),
                IFLA_IFNAME => link.name = a.string(),
                IFLA_MTU => link.mtu = a.u32().unwrap_or_default(),
                IFLA_LINK => link.lower = a.u32().filter(|index| *index != 0),
                IFLA_MASTER => link.master = a.u32(),
                IFLA_QDISC => link.qdisc = a.string(),
                IFLA_GROUP => link.group = a.u32().unwrap_or_default(),
                IFLA_TXQLEN => link.tx_queue_len = a.u32().unwrap_or_default(),
                IFLA_OPERSTATE => {
                    link.operational = OperationalState::from_wire(a.u8().unwrap_or_default());
                }
                IFLA_LINKINFO => {
                    link.kind = LinkKind::parse(a.value);
                    link.bridge_port = BridgePort::parse(a.value);
                }
                IFLA_IFALIAS => link.alias = Some(a.string()),
                IFLA_AF_SPEC => link.accept_ra = accept_ra(a),
                IFLA_PROMISCUITY => link.promiscuity = a.u32().unwrap_or_default(),
                IFLA_LINK_NETNSID => link.lower_netns = a.i32(),
                IFLA_PROP_LIST => {
                    link.alternative_names = a
                        .nested()
                        .filter(|p| p.kind == IFLA_ALT_IFNAME)
                        .map(|p| p.string())
                        .collect();
                }
                _ => {}
            }
        }
        Some(link)
    }

    fn parent_mut(&mut self) -> &mut Parent {
        self.parent.get_or_insert_default()
    }

    /// Whether packets can pass: it is set up and the driver reports it up, or reports nothing
    /// but has a carrier.
    #[must_use]
    pub fn is_operational(&self) -> bool {
        match self.operational {
            OperationalState::Up => self.flags.is_up(),
            OperationalState::Unknown => self.flags.is_up() && self.flags.is_running(),
            _ => false,
        }
    }

    /// Whether it is a bridge.
    #[must_use]
    pub fn is_bridge(&self) -> bool {
        matches!(self.kind, Some(LinkKind::Bridge(_)))
    }

    /// Whether it is a veth.
    #[must_use]
    pub fn is_veth(&self) -> bool {
        matches!(self.kind, Some(LinkKind::Veth))
    }
}

/// The one setting of IPv6 that is read, out of all.
fn accept_ra(families: Attribute<'_>) -> Option<i32> {
    let (words, _) = settings::ipv6(families)?.as_chunks::<4>();
    let word = words.get(DEVCONF_ACCEPT_RA)?;
    Some(i32::from_ne_bytes(*word))
}

/// The kernel's `struct ifinfomsg`.
pub(super) fn header(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&change.to_ne_bytes());
    header
}
