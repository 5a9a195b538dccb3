//! What a server grants.

use super::super::clock::Moment;
use super::super::text;
use super::super::times::Times;
use super::message::Message;
use super::option;
use ipnet::{IpNet, Ipv4Net};
use netloom_kernel::MacAddress;
use netloom_spec::{AddResult, Dns, IpConfig, Route};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};

/// A server that names no time means this.
const DEFAULT_TIME: u32 = 60 * 60;

/// The scope of destinations on the link itself.
const SCOPE_LINK: u8 = 253;

/// Why an acknowledgement grants nothing usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum Unusable {
    #[error("DHCP option Subnet Mask not found in DHCPACK")]
    NoMask,
    #[error("the subnet mask {0} in DHCPACK is none: ones must come first, then zeros")]
    Mask(Ipv4Addr),
    #[error("the address {0} in DHCPACK is none that a host can have")]
    Address(Ipv4Addr),
    #[error("the server's identifier is missing in DHCPACK")]
    NoServer,
}

/// A route of a lease. Without a gateway the destination is on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct LeaseRoute {
    #[serde(with = "text")]
    pub(in super::super) dst: Ipv4Net,
    pub(in super::super) gw: Option<Ipv4Addr>,
}

/// A granted address with all that came with it, and its times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Lease {
    #[serde(with = "text")]
    pub(in super::super) address: Ipv4Net,
    pub(in super::super) server: Ipv4Addr,
    /// Where the server's messages come from on the link: the server, or the router before it.
    pub(in super::super) server_mac: MacAddress,
    pub(in super::super) gateway: Option<Ipv4Addr>,
    pub(in super::super) routes: Vec<LeaseRoute>,
    pub(in super::super) mtu: Option<u16>,
    pub(in super::super) dns: Dns,
    /// When it ends and when to ask for more; `None` for never.
    pub(in super::super) times: Option<Times>,
}

impl Lease {
    /// Reads an acknowledgement of a request sent at `asked`, which asked for these options. Routes
    /// that were not asked for are not taken.
    pub(in super::super) fn from_ack(
        ack: &Message,
        server_mac: MacAddress,
        asked: Moment,
        requested: &[u8],
    ) -> Result<Self, Unusable> {
        let options = &ack.options;
        let address = ack.yiaddr;
        if !can_be_a_hosts(address) {
            return Err(Unusable::Address(address));
        }
        let mask = options
            .address(option::SUBNET_MASK)
            .ok_or(Unusable::NoMask)?;
        let address = Ipv4Net::with_netmask(address, mask)
            .ok()
            .filter(|address| address.prefix_len() != 0)
            .ok_or(Unusable::Mask(mask))?;
        if is_of_the_subnet_itself(address) {
            return Err(Unusable::Address(address.addr()));
        }
        let routers = options.addresses(option::ROUTERS);
        let gateway = routers.into_iter().find(|router| can_be_a_hosts(*router));
        let mtu = options.get(option::MTU).and_then(|mtu| {
            // The least that a link must carry (RFC 791) is the least that makes sense.
            let mtu = u16::from_be_bytes(<[u8; 2]>::try_from(mtu).ok()?);
            (mtu >= 68).then_some(mtu)
        });
        let lease = options.seconds(option::LEASE_TIME).unwrap_or(DEFAULT_TIME);
        Ok(Self {
            address,
            server: ack.server_address().ok_or(Unusable::NoServer)?,
            server_mac,
            gateway,
            routes: routes(ack, gateway, requested),
            mtu,
            dns: dns(ack),
            times: Times::new(
                asked,
                lease,
                options.seconds(option::RENEWAL_TIME),
                options.seconds(option::REBINDING_TIME),
            ),
        })
    }

    /// The routes in an order in which they can be made. A router outside of the subnet is reached
    /// on the link: by a route of the server's, or else by one of ours (RFC 3442; many clouds lease
    /// a single address so).
    fn routes_in_order(&self) -> Vec<LeaseRoute> {
        let far = |gateway: &Ipv4Addr| !self.address.contains(gateway);
        let mut beyond: Vec<Ipv4Addr> = self.routes.iter().filter_map(|route| route.gw).collect();
        beyond.retain(far);
        if beyond.is_empty() {
            return self.routes.clone();
        }
        let (mut near, rest): (Vec<_>, Vec<_>) =
            (self.routes.iter().copied()).partition(|route| route.gw.is_none());
        for gateway in beyond {
            if !near.iter().any(|route| route.dst.contains(&gateway)) {
                let dst = Ipv4Net::from(gateway);
                near.push(LeaseRoute { dst, gw: None });
            }
        }
        near.extend(rest);
        near
    }

    /// Adds what this lease grants to the result of an ADD.
    pub(in super::super) fn describe(&self, priority: u32, result: &mut AddResult) {
        let mut ip = IpConfig::new(IpNet::V4(self.address));
        ip.gateway = self.gateway.map(IpAddr::V4);
        result.ips.push(ip);
        for route in self.routes_in_order() {
            let mut described = Route::new(IpNet::V4(route.dst));
            match route.gw {
                Some(gateway) => described.gw = Some(IpAddr::V4(gateway)),
                None => {
                    described.gw = Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
                    described.scope = Some(SCOPE_LINK);
                }
            }
            described.mtu = self.mtu.map_or(0, u32::from);
            described.priority = priority;
            result.routes.push(described);
        }
        let dns = &mut result.dns;
        dns.nameservers.extend(self.dns.nameservers.iter().cloned());
        dns.search.extend(self.dns.search.iter().cloned());
        if dns.domain.is_empty() {
            dns.domain.clone_from(&self.dns.domain);
        }
    }
}

/// Whether a host can have the address, whatever its network: it is none of this network, of
/// loopback, of a group, reserved, or everybody's (RFC 6890).
pub(super) fn can_be_a_hosts(address: Ipv4Addr) -> bool {
    !matches!(address.octets()[0], 0 | 127 | 224..)
}

/// Whether the address means the subnet, or everybody in it.
fn is_of_the_subnet_itself(address: Ipv4Net) -> bool {
    let whole = [address.network(), address.broadcast()];
    address.prefix_len() < 31 && whole.contains(&address.addr())
}

/// Classless routes stand for all others (RFC 3442); else those of the old form and the default
/// route, which an IPAM plugin must name.
fn routes(ack: &Message, gateway: Option<Ipv4Addr>, requested: &[u8]) -> Vec<LeaseRoute> {
    let given = |code: u8| {
        let wanted = requested.contains(&code);
        ack.options.get(code).filter(|_| wanted)
    };
    let mut forms = [option::CLASSLESS_ROUTES, option::CLASSLESS_ROUTES_MICROSOFT]
        .into_iter()
        .filter_map(|code| given(code).map(classless));
    if let Some(routes) = forms.find(|routes| !routes.is_empty()) {
        return routes;
    }
    let static_routes = given(option::STATIC_ROUTES).unwrap_or_default();
    let (pairs, _) = static_routes.as_chunks::<8>();
    let old = pairs.iter().filter_map(|pair| {
        let [a, b, c, d, gw @ ..] = *pair;
        let dst = classful(Ipv4Addr::new(a, b, c, d))?;
        let gw = Some(Ipv4Addr::from(gw)).filter(|gw| can_be_a_hosts(*gw))?;
        Some(LeaseRoute { dst, gw: Some(gw) })
    });
    let gateway = gateway.filter(|_| requested.contains(&option::ROUTERS));
    let default = gateway.map(|gateway| LeaseRoute {
        dst: Ipv4Net::default(),
        gw: Some(gateway),
    });
    old.chain(default).collect()
}

/// RFC 3442: the length of the prefix, as many octets of it as are significant, and the router.
/// What comes after something impossible cannot be read.
fn classless(mut rest: &[u8]) -> Vec<LeaseRoute> {
    let mut routes = Vec::new();
    while let [length, after @ ..] = rest {
        let significant = usize::from(*length).div_ceil(8);
        let mut network = [0; 4];
        let (Some(head), Some((prefix, after))) = (
            network.get_mut(..significant),
            after.split_at_checked(significant),
        ) else {
            break;
        };
        head.copy_from_slice(prefix);
        let Some((gw, after)) = after.split_first_chunk::<4>() else {
            break;
        };
        let (Ok(dst), gw) = (Ipv4Net::new(network.into(), *length), Ipv4Addr::from(*gw)) else {
            break;
        };
        let gw = Some(gw).filter(|gw| !gw.is_unspecified());
        if gw.is_none_or(can_be_a_hosts) {
            let dst = dst.trunc();
            routes.push(LeaseRoute { dst, gw });
        }
        rest = after;
    }
    routes
}

/// The network of an address as it was before prefixes had lengths. Option 33 cannot name the
/// default route (RFC 2132, section 5.8).
fn classful(address: Ipv4Addr) -> Option<Ipv4Net> {
    let length = match address.octets()[0] {
        0 if address.is_unspecified() => return None,
        0..128 => 8,
        128..192 => 16,
        192..224 => 24,
        _ => return None,
    };
    Some(Ipv4Net::new(address, length).ok()?.trunc())
}

fn dns(ack: &Message) -> Dns {
    let options = &ack.options;
    let servers = options.addresses(option::NAME_SERVERS);
    Dns {
        nameservers: servers.iter().map(ToString::to_string).collect(),
        domain: options
            .text(option::DOMAIN)
            .filter(|domain| is_domain(domain))
            .unwrap_or_default(),
        search: options
            .get(option::SEARCH)
            .map(super::super::domains::compressed)
            .unwrap_or_default(),
        options: Vec::new(),
    }
}

/// It becomes a line of a resolv.conf: what is no name must not get there.
fn is_domain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(super::super::domains::is_name_byte)
}
