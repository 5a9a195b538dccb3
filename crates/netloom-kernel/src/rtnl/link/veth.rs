//! The other end of a veth.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::{
    IFLA_ADDRESS, IFLA_GROUP, IFLA_IFNAME, IFLA_MTU, IFLA_NET_NS_FD, IFLA_NUM_RX_QUEUES,
    IFLA_NUM_TX_QUEUES, header,
};
use crate::MacAddress;
use crate::netlink::Buffer;
use crate::netns::Netns;

const VETH_INFO_PEER: u16 = 1;

/// The peer of a new veth, made in place in the namespace where it will live.
///
/// It starts down: the kernel refuses to set it up before the veth itself exists.
#[derive(Debug, Clone)]
pub struct PeerSpec<'a> {
    name: &'a str,
    netns: Option<BorrowedFd<'a>>,
    mac: Option<MacAddress>,
    mtu: Option<u32>,
    group: Option<u32>,
}

impl<'a> PeerSpec<'a> {
    /// A peer in the same namespace as the veth.
    #[must_use]
    pub fn new(name: &'a str) -> Self {
        Self {
            name,
            netns: None,
            mac: None,
            mtu: None,
            group: None,
        }
    }

    /// The namespace it is made in.
    #[must_use]
    pub fn in_netns(mut self, netns: &'a Netns) -> Self {
        self.netns = Some(netns.as_fd());
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

    /// The group it is in; 0 is that of all others.
    #[must_use]
    pub fn group(mut self, group: u32) -> Self {
        self.group = Some(group);
        self
    }

    pub(super) fn put(&self, buffer: &mut Buffer) {
        buffer.nest(VETH_INFO_PEER, |b| {
            b.raw(&header(0, 0, 0));
            b.put_str(IFLA_IFNAME, self.name);
            if let Some(mac) = &self.mac {
                b.put(IFLA_ADDRESS, mac);
            }
            if let Some(mtu) = self.mtu {
                b.put_u32(IFLA_MTU, mtu);
            }
            if let Some(group) = self.group {
                b.put_u32(IFLA_GROUP, group);
            }
            b.put_u32(IFLA_NUM_TX_QUEUES, 1);
            b.put_u32(IFLA_NUM_RX_QUEUES, 1);
            if let Some(netns) = self.netns {
                b.put_u32(IFLA_NET_NS_FD, netns.as_raw_fd().cast_unsigned());
            }
        });
    }
}
