//! Addresses that no host can have.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The first block of them that the addresses from `start` to `end` touch: "this network", loopback,
/// multicast and limited broadcast (RFC 6890), and of IPv6 the unspecified address, loopback and
/// multicast.
pub(crate) fn block(start: IpAddr, end: IpAddr) -> Option<IpNet> {
    let v4 = |first, length| Ipv4Net::new(Ipv4Addr::new(first, 0, 0, 0), length).map(IpNet::V4);
    let v6 = |first, length| {
        Ipv6Net::new(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0), length).map(IpNet::V6)
    };
    let blocks = [
        v4(0, 8),
        v4(127, 8),
        v4(224, 4),
        v4(255, 8),
        v6(0, 127),
        v6(0xff00, 8),
    ];
    (blocks.into_iter().flatten())
        .filter(|block| block.addr().is_ipv4() == start.is_ipv4())
        .find(|block| start <= block.broadcast() && block.network() <= end)
}
