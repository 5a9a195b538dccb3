//! Which changes by others are worth a round.
//!
//! Pods come and go, and neighbours are learned, all the time; none of that concerns the daemon.

use ipnet::IpNet;
use netloom_kernel::rtnl::Changed;

use super::PROTOCOL;

/// What a round has looked at.
#[derive(Debug, Clone, Default)]
pub(super) struct Relevant {
    /// The uplink.
    pub(super) uplink: u32,
    /// The tunnel ends' names and indices, those that should be there included.
    pub(super) tunnels: Vec<(String, u32)>,
    /// The pod networks.
    pub(super) networks: Vec<IpNet>,
    /// The links that routes to peers leave by.
    pub(super) devices: Vec<u32>,
}

impl Relevant {
    pub(super) fn concerns(&self, object: &Changed) -> bool {
        match object {
            Changed::Link(link) => {
                let is_tunnel =
                    |(name, index): &(String, u32)| *name == link.name || *index == link.index;
                self.is_device(link.index) || self.tunnels.iter().any(is_tunnel)
            }
            Changed::Address(address) => {
                self.is_device(address.link) || self.is_tunnel(address.link)
            }
            Changed::Neighbour(neighbour) => self.is_tunnel(neighbour.link),
            Changed::Route(route) => {
                let touches = |net: &IpNet| net.contains(&route.dst) || route.dst.contains(net);
                route.protocol == PROTOCOL
                    || route.dst.prefix_len() == 0
                    || route.device.is_some_and(|device| self.is_tunnel(device))
                    || self.networks.iter().any(touches)
            }
            Changed::Rule(_) | Changed::TrafficControl(_) => false,
        }
    }

    fn is_tunnel(&self, link: u32) -> bool {
        self.tunnels.iter().any(|(_, index)| *index == link)
    }

    fn is_device(&self, link: u32) -> bool {
        self.uplink == link || self.devices.contains(&link)
    }
}
