//! Telling the wire where the pod's addresses are now: neighbours and switches that knew them at
//! another place believe in that for minutes otherwise.
//!
//! The last thing that ADD does to a link: what the kernel says by itself (`arp_notify`) comes while a
//! bridge's port does not forward yet, or before an address has been tested, and never of a change
//! by the next plugin of the chain.

use ipnet::IpNet;
use netloom_kernel::MacAddress;
use netloom_kernel::announce::Announcer;
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{Link, Socket};
use netloom_spec::AddResult;
use std::time::Duration;

/// How long a child waits for a carrier: longer than links negotiate, and bridges learn.
const CARRIER_PATIENCE: Duration = Duration::from_secs(30);

/// What is to be told, and by whom.
#[derive(Debug)]
#[must_use = "nobody is told before it is sent"]
pub(crate) struct Announcement {
    /// `None` where nobody is there to be told, or nobody may speak.
    announcer: Option<Announcer>,
    link: u32,
    mac: Option<MacAddress>,
}

impl Announcement {
    /// Of these addresses on a link, with the prefixes that they have there. Runs in the link's
    /// namespace.
    pub(crate) fn new(link: u32, mac: Option<MacAddress>, ips: Vec<IpNet>) -> Self {
        let announcer = Announcer::open(ips).ok();
        Self {
            announcer,
            link,
            mac,
        }
    }

    /// Of nothing, where nobody is there to be told.
    pub(crate) fn to_nobody(link: u32) -> Self {
        Self {
            announcer: None,
            link,
            mac: None,
        }
    }

    /// Of what a result of ADD says of a link that is there already. Runs in the link's namespace.
    pub(crate) fn of_result(result: &AddResult, link: &Link) -> Self {
        Self::new(link.index, link.mac, ips_of(result, &link.name))
    }

    /// Tells it as soon as the link has a carrier, which for a network card may be seconds after it
    /// was set up: nobody waits for that but a child. `inside` is a socket of the link's namespace.
    ///
    /// IPv6 addresses have to be tested for duplicates then, and the kernel tells them after that
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

    /// Tells it. Nothing depends on it: what cannot be said is found out by asking, as ever. So it
    /// is no failure of ADD, on a link that knows no neighbours as on one that lost its carrier.
    /// `inside` is a socket of the link's namespace, `netns`.
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
