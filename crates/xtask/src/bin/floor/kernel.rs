//! The kernel objects, each in as few messages as the kernel allows (rtnetlink(7), linux/netfilter/nf_tables.h).

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, RawFd};

use rustix::net::netlink;

use crate::netlink::{ACK, CREATE, ECHO, EXCL, REPLACE, Request, Socket, find, number};

const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
const NEWADDR: u16 = 20;
const NEWROUTE: u16 = 24;
const NEWNEIGH: u16 = 28;
const DELNEIGH: u16 = 29;
const UP: u32 = 1;
const INET: u8 = 2;
/// The size of `struct ifinfomsg`.
const LINK: usize = 16;

/// The prefix length of every address here.
const PREFIX: u8 = 16;

/// A routing socket of the namespace it was opened in.
pub(crate) struct Routing(Socket);

impl Routing {
    pub(crate) fn open() -> io::Result<Self> {
        Socket::open(None).map(Self)
    }

    pub(crate) fn index_of(&self, name: &str) -> io::Result<u32> {
        let mut request = Request::default();
        request.message(GETLINK, 0, &link(0, false), |message| {
            message.text(3, name); // IFLA_IFNAME
            message.attribute(29, &8_u32.to_ne_bytes()); // IFLA_EXT_MASK: skip statistics
        });
        Ok(number(&self.0.exchange(&request, None)?, 4))
    }

    /// Makes both ends where they will live; returns the index of the host's and that of the pod's, `eth0`.
    pub(crate) fn create_veth(
        &self,
        name: &str,
        bridge: Option<u32>,
        netns: &File,
    ) -> io::Result<(u32, u32)> {
        let netns: RawFd = netns.as_raw_fd();
        // More than one queue makes the kernel wait for all its readers (RCU).
        let common = |message: &mut Request, first: u8| {
            let number = std::process::id().to_ne_bytes();
            let mac = [&[first, 0][..], &number].concat();
            message.attribute(1, &mac); // IFLA_ADDRESS
            message.attribute(31, &1_u32.to_ne_bytes());
            message.attribute(32, &1_u32.to_ne_bytes());
        };
        let mut request = Request::default();
        request.message(NEWLINK, ECHO | CREATE | EXCL, &link(0, true), |message| {
            message.text(3, name);
            if let Some(bridge) = bridge {
                message.attribute(10, &bridge.to_ne_bytes()); // IFLA_MASTER
            }
            common(message, 2);
            message.nest(18, &[], |info| {
                info.text(1, "veth");
                info.nest(2, &[], |data| {
                    data.nest(1, &link(0, false), |peer| {
                        peer.text(3, "eth0");
                        peer.attribute(28, &netns.to_ne_bytes()); // IFLA_NET_NS_FD
                        common(peer, 6);
                    });
                });
            });
        });
        // Whose it is; the kernel takes no alias with the message that makes a link.
        request.message(NEWLINK, ACK, &link(0, true), |message| {
            message.text(3, name);
            message.attribute(20, &[b'x'; 110]); // IFLA_IFALIAS
        });
        let created = self.0.exchange(&request, Some(2))?;
        let peer = find(&created[LINK..], 5); // IFLA_LINK
        peer.map(|index| (number(&created, 4), number(index, 0)))
            .ok_or_else(|| io::Error::other("the kernel names no peer"))
    }

    /// Makes `eth0` in the pod.
    pub(crate) fn create_macvlan(&self, master: u32, netns: &File) -> io::Result<()> {
        let mut request = Request::default();
        request.message(NEWLINK, ACK | CREATE | EXCL, &link(0, false), |message| {
            message.text(3, "eth0");
            message.attribute(5, &master.to_ne_bytes()); // IFLA_LINK
            message.attribute(28, &netns.as_raw_fd().to_ne_bytes()); // IFLA_NET_NS_FD
            message.nest(18, &[], |info| {
                info.text(1, "macvlan");
                // IFLA_MACVLAN_MODE: bridge
                info.nest(2, &[], |data| data.attribute(1, &4_u32.to_ne_bytes()));
            });
        });
        self.0.exchange(&request, Some(1)).map(|_| ())
    }

    /// The host's side of a routed pod: the gateway's address, and the route.
    pub(crate) fn route_to_pod(
        &self,
        index: u32,
        address: Ipv4Addr,
        gateway: Ipv4Addr,
    ) -> io::Result<()> {
        let mut request = Request::default();
        let header = [&[INET, 32, 0, 0][..], &index.to_ne_bytes()].concat();
        request.message(NEWADDR, CREATE | EXCL, &header, |message| {
            message.attribute(1, &gateway.octets()); // IFA_ADDRESS
            message.attribute(2, &gateway.octets()); // IFA_LOCAL
        });
        // Main table (254), made at boot (3), scope link (253), unicast (1).
        let header = [INET, 32, 0, 0, 254, 3, 253, 1, 0, 0, 0, 0];
        request.message(NEWROUTE, ACK | CREATE | EXCL, &header, |message| {
            message.attribute(1, &address.octets()); // RTA_DST
            message.attribute(4, &index.to_ne_bytes()); // RTA_OIF
        });
        self.0.exchange(&request, Some(2)).map(|_| ())
    }

    /// Link up, address and default route in one batch.
    pub(crate) fn configure(
        &self,
        index: u32,
        address: Ipv4Addr,
        gateway: Ipv4Addr,
    ) -> io::Result<()> {
        let mut request = Request::default();
        request.message(NEWLINK, 0, &link(index, false), arp_notify);
        request.message(NEWLINK, 0, &link(index, true), |_| {});
        let header = [&[INET, PREFIX, 0, 0][..], &index.to_ne_bytes()].concat();
        request.message(NEWADDR, CREATE | EXCL, &header, |message| {
            message.attribute(1, &address.octets()); // IFA_ADDRESS
            message.attribute(2, &address.octets()); // IFA_LOCAL
        });
        // To 0.0.0.0/0 in the main table (254), made at boot (3) by an administrator's hand, unicast (1).
        let header = [INET, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
        request.message(NEWROUTE, ACK | CREATE | EXCL, &header, |message| {
            message.attribute(5, &gateway.octets()); // RTA_GATEWAY
            message.attribute(4, &index.to_ne_bytes()); // RTA_OIF
        });
        self.0.exchange(&request, Some(4)).map(|_| ())
    }

    /// Has the kernel ask for the pod's own address, which tells all neighbours of it, and forget the question.
    pub(crate) fn announce(&self, index: u32, address: Ipv4Addr) -> io::Result<()> {
        let of = |flags: u8| {
            [
                &[INET, 0, 0, 0][..],
                &index.to_ne_bytes(),
                &[0, 0, flags, 0],
            ]
            .concat()
        };
        let mut request = Request::default();
        // NTF_USE: as if a packet were to be sent there.
        request.message(NEWNEIGH, CREATE | REPLACE, &of(1), |message| {
            message.attribute(1, &address.octets()); // NDA_DST
        });
        request.message(DELNEIGH, ACK, &of(0), |message| {
            message.attribute(1, &address.octets());
        });
        self.0.exchange(&request, Some(2)).map(|_| ())
    }

    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        let mut request = Request::default();
        request.message(DELLINK, ACK, &link(0, false), |message| {
            message.text(3, name)
        });
        self.0.exchange(&request, Some(1)).map(|_| ())
    }
}

/// `net.ipv4.conf.LINK.arp_notify` by IFLA_AF_SPEC, AF_INET, IFLA_INET_CONF.
fn arp_notify(message: &mut Request) {
    message.nest(26, &[], |families| {
        families.nest(u16::from(INET), &[], |inet| {
            inet.nest(1, &[], |settings| {
                settings.attribute(22, &1_u32.to_ne_bytes());
            });
        });
    });
}

/// A setting of a link, which the kernel takes by a file alone.
pub(crate) fn set_of_link(name: &str, key: &str, value: &str) -> io::Result<()> {
    std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/{key}"), value)
}

/// `struct ifinfomsg`
pub(crate) fn link(index: u32, up: bool) -> [u8; LINK] {
    let mut bytes = [0; LINK];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    let flags = if up { UP } else { 0 };
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&flags.to_ne_bytes());
    bytes
}

/// Masquerades an address by adding it to the set that a standing rule looks into.
pub(crate) fn add_to_set(table: &str, set: &str, address: Ipv4Addr) -> io::Result<()> {
    change_set(12, CREATE, table, set, address) // NFT_MSG_NEWSETELEM
}

pub(crate) fn remove_from_set(table: &str, set: &str, address: Ipv4Addr) -> io::Result<()> {
    change_set(14, 0, table, set, address) // NFT_MSG_DELSETELEM
}

fn change_set(kind: u16, flags: u16, table: &str, set: &str, address: Ipv4Addr) -> io::Result<()> {
    const NFTABLES: u8 = 10;
    let nf_tables = [0, 0, 0, NFTABLES];
    let mut request = Request::default();
    request.message(0x10, 0, &nf_tables, |_| {}); // NFNL_MSG_BATCH_BEGIN
    request.message(
        u16::from(NFTABLES) << 8 | kind,
        flags | ACK,
        &[1, 0, 0, 0],
        |message| {
            message.text(1, table);
            message.text(2, set);
            message.nest(3, &[], |elements| {
                elements.nest(1, &[], |element| {
                    element.nest(1, &[], |key| key.attribute(1, &address.octets()));
                });
            });
        },
    );
    request.message(0x11, 0, &nf_tables, |_| {}); // NFNL_MSG_BATCH_END
    Socket::open(Some(netlink::NETFILTER))?
        .exchange(&request, Some(2))
        .map(|_| ())
}
