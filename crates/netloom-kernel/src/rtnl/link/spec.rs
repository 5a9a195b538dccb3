//! What a new link is to be.

use super::super::{KindSpec, PeerSpec};
use super::{
    IFLA_ADDRESS, IFLA_GROUP, IFLA_IFALIAS, IFLA_IFNAME, IFLA_LINK, IFLA_MASTER, IFLA_MTU,
    IFLA_NUM_RX_QUEUES, IFLA_NUM_TX_QUEUES, IFLA_TXQLEN,
};
use crate::MacAddress;
use crate::netlink::Buffer;

/// A link to create: everything in one message, so that it never exists half made.
///
/// ```no_run
/// # use netloom_kernel::{netns::Netns, rtnl::{LinkSpec, PeerSpec, Socket}};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pod = Netns::open("/var/run/netns/pod")?;
/// let host = Socket::open()?;
/// let bridge = host.get_link("cni0")?;
/// let peer = PeerSpec::new("eth0").in_netns(&pod).mtu(1450);
/// let veth = host.create_link(&LinkSpec::veth("veth01234567", peer).master(bridge.index).up())?;
/// println!("index {}, peer's index {:?}", veth.index, veth.lower);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct LinkSpec<'a> {
    pub(super) name: &'a str,
    pub(super) up: bool,
    pub(super) index: Option<u32>,
    mac: Option<MacAddress>,
    mtu: Option<u32>,
    master: Option<u32>,
    lower: Option<u32>,
    group: Option<u32>,
    alias: Option<&'a str>,
    tx_queue_len: Option<u32>,
    kind: KindSpec<'a>,
}

impl<'a> LinkSpec<'a> {
    /// A link of any kind.
    #[must_use]
    pub fn new(name: &'a str, kind: KindSpec<'a>) -> Self {
        Self {
            name,
            up: false,
            index: None,
            mac: None,
            mtu: None,
            master: None,
            lower: None,
            group: None,
            alias: None,
            tx_queue_len: None,
            kind,
        }
    }

    /// A veth and its peer. Both ends have one queue each way: more make their creation wait for
    /// an RCU grace period and serve nothing between namespaces.
    #[must_use]
    pub fn veth(name: &'a str, peer: PeerSpec<'a>) -> Self {
        Self::new(name, KindSpec::Veth(peer))
    }

    /// Sets it up at once. A veth's peer starts down whatever is asked.
    #[must_use]
    pub fn up(mut self) -> Self {
        self.up = true;
        self
    }

    /// Its interface index; without it the next free one of its namespace.
    #[must_use]
    pub fn index(mut self, index: u32) -> Self {
        self.index = Some(index);
        self
    }

    /// Its hardware address; random without it.
    #[must_use]
    pub fn mac(mut self, mac: MacAddress) -> Self {
        self.mac = Some(mac);
        self
    }

    /// Its MTU in bytes; 0 leaves the kernel's default.
    #[must_use]
    pub fn mtu(mut self, mtu: u32) -> Self {
        self.mtu = (mtu != 0).then_some(mtu);
        self
    }

    /// The index of the bridge, VRF or bond it joins.
    #[must_use]
    pub fn master(mut self, index: u32) -> Self {
        self.master = Some(index);
        self
    }

    /// The index of the link it stands on (macvlan, ipvlan, vlan, vxlan).
    #[must_use]
    pub fn lower(mut self, index: u32) -> Self {
        self.lower = Some(index);
        self
    }

    /// The group it is in, by which links can be removed together; 0 is that of all others. A
    /// veth's peer is told its own by [`PeerSpec::group`].
    #[must_use]
    pub fn group(mut self, group: u32) -> Self {
        self.group = Some(group);
        self
    }

    /// Its alias, up to 255 bytes.
    #[must_use]
    pub fn alias(mut self, alias: &'a str) -> Self {
        self.alias = Some(alias);
        self
    }

    /// The length of its transmit queue in packets.
    #[must_use]
    pub fn tx_queue_len(mut self, packets: u32) -> Self {
        self.tx_queue_len = Some(packets);
        self
    }

    pub(super) fn put(&self, buffer: &mut Buffer) {
        buffer.put_str(IFLA_IFNAME, self.name);
        if let Some(mac) = &self.mac {
            buffer.put(IFLA_ADDRESS, mac);
        }
        let numbers = [
            (IFLA_MTU, self.mtu),
            (IFLA_MASTER, self.master),
            (IFLA_LINK, self.lower),
            (IFLA_GROUP, self.group),
            (IFLA_TXQLEN, self.tx_queue_len),
        ];
        for (kind, value) in numbers {
            if let Some(value) = value {
                buffer.put_u32(kind, value);
            }
        }
        if let Some(alias) = self.alias {
            buffer.put(IFLA_IFALIAS, alias.as_bytes());
        }
        if matches!(self.kind, KindSpec::Veth(_)) {
            buffer.put_u32(IFLA_NUM_TX_QUEUES, 1);
            buffer.put_u32(IFLA_NUM_RX_QUEUES, 1);
        }
        self.kind.put(buffer);
    }
}
