//! Announcing a pod's addresses: gratuitous ARP, and unsolicited neighbour advertisements of IPv6.
//! Neighbours and switches that knew the addresses at another place would go on sending there for
//! minutes.
//!
//! It is the last thing that ADD does to a link. The kernel's own announcement (`arp_notify`) is not
//! enough. It comes while a bridge's port does not forward yet, or before an address has been tested,
//! and it does not come when the next plugin of the chain changes something.

use ipnet::IpNet;
use netloom_kernel::MacAddress;
use netloom_kernel::announce::Announcer;
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{Link, Socket};
use netloom_spec::AddResult;
use std::time::Duration;

/// How long a child waits for a carrier: longer than links negotiate, and bridges learn.
const CARRIER_PATIENCE: Duration = Duration::from_secs(30);

/// What is to be announced, and the socket for it.
#[derive(Debug)]
#[must_use = "nothing is announced before it is sent"]
pub(crate) struct Announcement {
    /// `None` if there are no neighbours, or if no socket could be opened.
    announcer: Option<Announcer>,
    link: u32,
    mac: Option<MacAddress>,
}

impl Announcement {
    /// For these addresses of a link, with the prefixes that they have there. Runs in the link's
    /// namespace.
    pub(crate) fn new(link: u32, mac: Option<MacAddress>, ips: Vec<IpNet>) -> Self {
        let announcer = Announcer::open(ips).ok();
        Self {
            announcer,
            link,
            mac,
        }
    }

    /// For nothing: the link has no neighbours.
    pub(crate) fn to_nobody(link: u32) -> Self {
        Self {
            announcer: None,
            link,
            mac: None,
        }
    }

    /// For the addresses that a result of ADD has for this link. Runs in the link's namespace.
    pub(crate) fn of_result(result: &AddResult, link: &Link) -> Self {
        Self::new(link.index, link.mac, ips_of(result, &link.name))
    }

    /// Sends it as soon as the link has a carrier. For a network card that may be seconds after it was
    /// set up, so a child waits for it. `inside` is a socket of the link's namespace.
    ///
    /// IPv6 addresses are tested for duplicates then, and after that the kernel announces them
    /// (`ndisc_notify`).
    pub(crate) fn send_with_carrier(&self, netns: &Netns, inside: &Socket) {
        let Some(announcer) = &self.announcer else {
            return;
        };
        match inside.get_link(self.link) {
            Ok(link) if !link.flags.has_carrier() => {
                let _ = netns.run(|| announcer.when_carrier(inside, &link, CARRIER_PATIENCE));
            }
            _ => self.send(netns, inside),
        }
    }

    /// Sends it. Nothing depends on it, since neighbours also ask for an address that they do not find.
    /// So a failure is ignored: the link may have no neighbours, or may have lost its carrier. `inside`
    /// is a socket of the link's namespace, `netns`.
    pub(crate) fn send(&self, netns: &Netns, inside: &Socket) {
        let (Some(announcer), Some(mac)) = (&self.announcer, self.mac) else {
            return;
        };
        if announcer.announce(inside, self.link, mac).is_err() {
            let _ = netns.run(|| announcer.announce_by_frames(self.link, mac));
        }
    }
}

/// The addresses of the container's interface of that name. Old results do not say whose an address
/// is; then it counts as that interface's.
fn ips_of(result: &AddResult, name: &str) -> Vec<IpNet> {
    let is_own = |position: Option<usize>| match position.map(|at| result.interfaces.get(at)) {
        None => true,
        Some(listed) => listed.is_some_and(|it| it.name == name),
    };
    let own = result.ips.iter().filter(|ip| is_own(ip.interface));
    own.map(|ip| ip.address).collect()
}
