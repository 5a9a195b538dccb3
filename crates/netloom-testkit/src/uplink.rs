//! The fake outside world of a host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::host::Host;
use crate::pod::Pod;

/// A second namespace, `outside`, that the host reaches through the link `uplink0` and has its
/// default routes to. Outside knows no route to any pod: only masqueraded traffic is answered.
pub struct Uplink {
    /// The outside world.
    pub outside: Pod,
}

impl Host {
    /// Gives the host a way to a fake outside world. See [`Uplink`].
    #[must_use]
    pub fn uplink(&self) -> Uplink {
        Uplink::create(self)
    }
}

impl Uplink {
    /// The host's own addresses on its uplink.
    pub const HOST: [IpAddr; 2] = [
        IpAddr::V4(Ipv4Addr::new(198, 51, 100, 2)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, 2)),
    ];
    /// The router's addresses: the far end of the uplink.
    pub const ROUTER: [IpAddr; 2] = [
        IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, 1)),
    ];
    /// The addresses of a server far away, behind the router.
    pub const SERVER: [IpAddr; 2] = [
        IpAddr::V4(Ipv4Addr::new(203, 0, 113, 80)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x113, 0, 0, 0, 0, 0x80)),
    ];

    pub(crate) fn create(host: &Host) -> Self {
        let outside = host.pod("outside");
        let [host4, host6] = Self::HOST;
        let [router4, router6] = Self::ROUTER;
        let [server4, server6] = Self::SERVER;
        host.sh("ip link add uplink0 type veth peer name eth0 netns outside");
        outside.sh(&format!(
            "ip link set lo up
             ip addr add {router4}/24 dev eth0
             ip addr add {router6}/64 dev eth0 nodad
             ip link set eth0 up
             ip addr add {server4}/32 dev lo
             ip addr add {server6}/128 dev lo nodad"
        ));
        host.sh(&format!(
            "ip addr add {host4}/24 dev uplink0
             ip addr add {host6}/64 dev uplink0 nodad
             ip link set uplink0 up
             ip route add default via {router4}
             ip -6 route add default via {router6} dev uplink0"
        ));
        Self { outside }
    }
}
