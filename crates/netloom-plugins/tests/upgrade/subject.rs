//! What a row of the matrix is about.

use std::net::{IpAddr, SocketAddr};

use netloom_testkit::{Host, Pod, Uplink};
use serde_json::Value;

use crate::background::Background;
use crate::side::{Attached, Side};
use crate::stream::{Place, Stream};

/// A plugin, in the chain that it is tried in.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    /// The kind of link that the kernel must have.
    pub(crate) needs: Option<&'static str>,
    /// The configurations, in their order, of the pod with this number.
    pub(crate) chain: fn(u8) -> Vec<Value>,
    pub(crate) if_name: &'static str,
    /// Prepares the host and the outside world; what it gives back lives as long as they.
    pub(crate) prepare: fn(&Host, &Uplink, &Side) -> Background,
    pub(crate) traffic: Traffic,
    /// A pod dies: its namespace goes, and what the kernel saves from it comes to the host.
    pub(crate) dies: fn(&Host, &Pod),
    pub(crate) exceptions: &'static [Exception],
}

/// Between whom the neighbour's bytes go.
#[derive(Clone, Copy)]
pub(crate) enum Traffic {
    /// From the pod to a server behind the router.
    ToServer,
    /// From the pod to its gateway, which is this in the outside world.
    ToRouter(fn(u8) -> IpAddr),
    /// From the pod to the host's address.
    ToHost(IpAddr),
    /// From the outside world to the pod's own address.
    FromOutside,
    /// From the host to the pod's own address.
    FromHost,
    /// From the outside world to a port of the host.
    MappedPort(fn(u8) -> u16),
    /// From the pod to itself.
    Within,
}

/// The columns of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    OurCheck,
    OurDel,
    OurGcOfTheDead,
    OurGcOfTheLiving,
    GoCheck,
    GoDel,
}

/// What becomes of an exception.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cure {
    /// netloom's DEL takes what is left.
    OurDel,
    /// netloom's GC takes what is left.
    OurGc,
    /// It ends by itself.
    Time,
    /// Go does the same to what Go added: it is nothing of netloom's.
    GoAlone,
}

/// A cell that is not a plain yes.
pub(crate) struct Exception {
    pub(crate) column: Column,
    /// What a failure's every line must have one of.
    pub(crate) because: &'static [&'static str],
    /// What sets it right.
    pub(crate) cure: Cure,
    /// The note under the table.
    pub(crate) note: &'static str,
}

pub(crate) const PORT: u16 = 7000;

impl Traffic {
    pub(crate) fn open<'a>(
        self,
        uplink: &'a Uplink,
        inside: &'a Pod,
        number: u8,
        attached: &Attached,
    ) -> Stream<'a> {
        let (outside, pod, host) = (Place::Pod(&uplink.outside), Place::Pod(inside), Place::Host);
        let (server, client, to) = match self {
            Traffic::ToServer => (outside, pod, (Uplink::SERVER[0], PORT)),
            Traffic::ToRouter(address) => (outside, pod, (address(number), PORT)),
            Traffic::ToHost(address) => (host, pod, (address, PORT)),
            Traffic::FromOutside => (pod, outside, (own_address(attached), PORT)),
            Traffic::FromHost => {
                // A server that is bound to no VRF serves those of all.
                let all = "/proc/sys/net/ipv4/tcp_l3mdev_accept";
                inside.sh(&format!("[ ! -e {all} ] || echo 1 > {all}"));
                (pod, host, (own_address(attached), PORT))
            }
            Traffic::MappedPort(port) => (pod, outside, (Uplink::HOST[0], port(number))),
            Traffic::Within => (pod, pod, ([127, 0, 0, 1].into(), PORT)),
        };
        Stream::open(server, PORT, client, SocketAddr::from(to))
    }
}

fn own_address(attached: &Attached) -> IpAddr {
    let address = attached.result["ips"][0]["address"].as_str().unwrap();
    let (address, _) = address.split_once('/').unwrap();
    address.parse().unwrap()
}
