//! Connection tracking: what is listed by a filter is what `/proc/net/nf_conntrack` tells, and a
//! removal takes one entry alone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod host;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use netloom_kernel::conntrack::{Flows, Socket, list_few};
use netloom_kernel::rtnl::Family;

const UDP: u8 = 17;
const ADDRESSES: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// A host that tracks connections; packets to these ports of the loopback.
fn tracked(ports: &[u16]) -> Option<Socket> {
    if !host::enter() {
        return None;
    }
    host::run(
        "nft",
        &[
            "add table inet t; add chain inet t c { type filter hook output priority 0; }; add rule inet t c ct state new accept",
        ],
    );
    let socket = Socket::open().unwrap();
    if let Err(error) = socket.list(Family::V4, UDP, None) {
        host::skip(&format!("no connection tracking over netlink: {error}"));
        return None;
    }
    for address in ADDRESSES {
        for port in ports {
            let client = UdpSocket::bind((address, 0)).unwrap();
            client
                .send_to(b"x", SocketAddr::new(address, *port))
                .unwrap();
        }
    }
    Some(socket)
}

#[test]
fn connections_are_found_by_protocol_and_port() {
    let Some(socket) = tracked(&[5353, 5454, 5454]) else {
        return;
    };
    for (family, address) in [Family::V4, Family::V6].into_iter().zip(ADDRESSES) {
        let found = socket.list(family, UDP, Some(5454)).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        for entry in &found {
            assert_eq!(entry.original.destination, address);
            assert_eq!(entry.original.destination_port, 5454);
            assert_eq!(entry.reply.source_port, 5454);
            assert_eq!(entry.reply.destination_port, entry.original.source_port);
        }
        assert_eq!(socket.list(family, UDP, None).unwrap().len(), 3);
        assert_eq!(socket.list(family, UDP, Some(1)).unwrap(), []);
        assert_eq!(socket.list(family, 6, None).unwrap(), []);
    }
}

#[test]
fn all_connections_are_counted() {
    let Some(socket) = tracked(&[]) else { return };
    assert_eq!(socket.count().unwrap(), 0);
    let Some(socket) = tracked(&[5353, 5454]) else {
        return;
    };
    assert_eq!(socket.count().unwrap(), 4);
}

#[test]
fn what_is_removed_is_gone_and_nothing_else() {
    let Some(socket) = tracked(&[5353, 5454, 5454]) else {
        return;
    };
    for family in [Family::V4, Family::V6] {
        let found = socket.list(family, UDP, Some(5454)).unwrap();
        socket.remove(&found[..1]).unwrap();
        assert_eq!(socket.list(family, UDP, Some(5454)).unwrap(), &found[1..]);
        assert_eq!(socket.list(family, UDP, None).unwrap().len(), 2);
        // What is gone already is no failure, and does not keep the rest from going.
        socket.remove(&found).unwrap();
        assert_eq!(socket.list(family, UDP, Some(5454)).unwrap(), []);
        assert_eq!(socket.list(family, UDP, None).unwrap().len(), 1);
        socket.remove(&[]).unwrap();
        assert_eq!(socket.list(family, UDP, None).unwrap().len(), 1);
    }
}

/// The kernel's filter, on kernels that have one for removals (Linux 6.12).
#[test]
fn what_a_filter_names_is_removed_and_nothing_else() {
    let Some(socket) = tracked(&[5353, 5454, 5454]) else {
        return;
    };
    let localhost = Ipv4Addr::LOCALHOST;
    let flows = Flows {
        protocol: UDP,
        to_port: 5454,
        to: Some(localhost),
        answered_by: Some((localhost, 5454)),
    };
    let left = || {
        let count = |family| socket.list(family, UDP, None).unwrap().len();
        [count(Family::V4), count(Family::V6)]
    };
    let others = [
        Flows {
            to: Some(Ipv4Addr::new(127, 0, 0, 2)),
            ..flows
        },
        Flows {
            answered_by: Some((localhost, 5353)),
            ..flows
        },
        Flows {
            answered_by: Some((Ipv4Addr::new(127, 0, 0, 2), 5454)),
            ..flows
        },
        Flows {
            protocol: 6,
            ..flows
        },
    ];
    if let Err(error) = socket.remove_all(&others) {
        // Refused as a whole, or not at all.
        assert_eq!(error.errno(), libc::EINVAL, "{error}");
        assert_eq!(left(), [3, 3]);
        return;
    }
    assert_eq!(left(), [3, 3]);
    socket.remove_all(&[flows]).unwrap();
    assert_eq!(left(), [1, 3], "IPv6 flows are nobody's here");
}

#[test]
fn the_text_of_few_connections_tells_the_same_as_the_list_and_is_removed_by() {
    let Some(socket) = tracked(&[5353, 5454]) else {
        return;
    };
    let Some(few) = list_few(UDP).unwrap() else {
        return host::skip("no /proc/net/nf_conntrack");
    };
    let mut listed = socket.list(Family::V4, UDP, None).unwrap();
    listed.extend(socket.list(Family::V6, UDP, None).unwrap());
    let tuples = |entries: &[netloom_kernel::conntrack::Entry]| {
        let pairs = entries
            .iter()
            .map(|entry| format!("{:?}", (entry.original, entry.reply)));
        pairs.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(few.len(), 4);
    assert_eq!(tuples(&few), tuples(&listed));
    socket.remove(&few[1..]).unwrap();
    assert_eq!(tuples(&list_few(UDP).unwrap().unwrap()), tuples(&few[..1]));
}
