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
    #[error("the subnet mask {0} in DHCPACK is not contiguous")]
    Mask(Ipv4Addr),
    #[error("the address {0} in DHCPACK cannot be used")]
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
    /// Reads an acknowledgement of a request sent at `asked`.
    pub(in super::super) fn from_ack(
        ack: &Message,
        server_mac: MacAddress,
        asked: Moment,
    ) -> Result<Self, Unusable> {
        let options = &ack.options;
        let address = ack.yiaddr;
        if address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
            return Err(Unusable::Address(address));
        }
        let mask = options
            .address(option::SUBNET_MASK)
            .ok_or(Unusable::NoMask)?;
        let address = Ipv4Net::with_netmask(address, mask).map_err(|_| Unusable::Mask(mask))?;
        let gateway = options.addresses(option::ROUTERS).first().copied();
        let mtu = options.get(option::MTU).and_then(|mtu| {
            // The least that a link must carry (RFC 791) is the least that makes sense.
            let mtu = u16::from_be_bytes(<[u8; 2]>::try_from(mtu).ok()?);
            (mtu >= 68).then_some(mtu)
        });
        let lease = options.seconds(option::LEASE_TIME).unwrap_or(DEFAULT_TIME);
        Ok(Self {
            address,
            server: ack.server().ok_or(Unusable::NoServer)?,
            server_mac,
            gateway,
            routes: routes(ack, gateway),
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

    /// Adds what this lease grants to the result of an ADD.
    pub(in super::super) fn describe(&self, priority: u32, result: &mut AddResult) {
        let mut ip = IpConfig::new(IpNet::V4(self.address));
        ip.gateway = self.gateway.map(IpAddr::V4);
        result.ips.push(ip);
        for route in &self.routes {
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

/// Classless routes stand for all others (RFC 3442); else those of the old form and the default
/// route, which an IPAM plugin must name.
fn routes(ack: &Message, gateway: Option<Ipv4Addr>) -> Vec<LeaseRoute> {
    let classless = ack.options.get(option::CLASSLESS_ROUTES).map(classless);
    if let Some(routes) = classless.filter(|routes| !routes.is_empty()) {
        return routes;
    }
    let (pairs, _) = ack
        .options
        .get(option::STATIC_ROUTES)
        .unwrap_or_default()
        .as_chunks::<8>();
    let old = pairs.iter().filter_map(|pair| {
        let [a, b, c, d, gw @ ..] = *pair;
        let dst = classful(Ipv4Addr::new(a, b, c, d))?;
        Some(LeaseRoute {
            dst,
            gw: Some(gw.into()),
        })
    });
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
        routes.push(LeaseRoute {
            dst: dst.trunc(),
            gw: Some(gw).filter(|gw| !gw.is_unspecified()),
        });
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
