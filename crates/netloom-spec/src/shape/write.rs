//! Results as they go on the wire. The order of fields is the order on the wire.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::{INTERFACE_KEYS, IP_KEYS, RESULT_KEYS, ROUTE_KEYS, is_one_of};
use crate::error::{Error, code};
use crate::net;
use crate::result::{AddResult, Dns, Interface, IpConfig, Route};
use crate::version::{Shape, Version};

/// Unknown keys, without those that would collide with known ones.
type Extra<'a> = BTreeMap<&'a str, &'a Value>;

fn extra<'a>(extra: &'a Map<String, Value>, known: &[&str]) -> Extra<'a> {
    let unknown = extra.iter().filter(|(key, _)| !is_one_of(key, known));
    unknown.map(|(key, value)| (key.as_str(), value)).collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// 1.0.0 and later.
#[derive(Serialize)]
pub(super) struct Current<'a> {
    #[serde(rename = "cniVersion")]
    cni_version: Version,
    #[serde(skip_serializing_if = "Dns::is_empty")]
    dns: &'a Dns,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    interfaces: &'a [Interface],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    ips: &'a [IpConfig],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    routes: &'a [Route],
    #[serde(flatten)]
    extra: Extra<'a>,
}

impl<'a> Current<'a> {
    pub(super) fn of(result: &'a AddResult, cni_version: Version) -> Self {
        let AddResult {
            cni_version: _,
            interfaces,
            ips,
            routes,
            dns,
            extra: unknown,
        } = result;
        let extra = extra(unknown, RESULT_KEYS);
        Self {
            cni_version,
            dns,
            interfaces,
            ips,
            routes,
            extra,
        }
    }
}

/// 0.3.0 to 0.4.0.
#[derive(Serialize)]
pub(super) struct VersionedIps<'a> {
    #[serde(rename = "cniVersion")]
    cni_version: Version,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    interfaces: Vec<InterfaceWire<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ips: Vec<IpWire<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    routes: &'a [Route],
    dns: &'a Dns,
    #[serde(flatten)]
    extra: Extra<'a>,
}

impl<'a> VersionedIps<'a> {
    pub(super) fn of(result: &'a AddResult, cni_version: Version) -> Self {
        Self {
            cni_version,
            interfaces: result
                .interfaces
                .iter()
                .map(InterfaceWire::before_1_0_0)
                .collect(),
            ips: result.ips.iter().map(IpWire::before_1_0_0).collect(),
            routes: &result.routes,
            dns: &result.dns,
            extra: extra(&result.extra, RESULT_KEYS),
        }
    }
}

/// 0.1.0 and 0.2.0.
#[derive(Serialize)]
pub(super) struct PerFamily<'a> {
    #[serde(rename = "cniVersion")]
    cni_version: Version,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip4: Option<FamilyWire<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip6: Option<FamilyWire<'a>>,
    dns: &'a Dns,
    #[serde(flatten)]
    extra: Extra<'a>,
}

impl<'a> PerFamily<'a> {
    pub(super) fn of(result: &'a AddResult, cni_version: Version) -> Result<Self, Error> {
        // A result that came in this shape goes out as it came, even without addresses.
        if result.ips.is_empty() && result.cni_version.shape() != Shape::PerFamily {
            return Err(Error::new(
                code::INVALID_CONFIG,
                format!(
                    "cannot convert: no valid IP addresses: a result of version {cni_version} \
                     needs one"
                ),
            ));
        }
        Ok(Self {
            cni_version,
            ip4: FamilyWire::of(result, is_v4),
            ip6: FamilyWire::of(result, |address| !is_v4(address)),
            dns: &result.dns,
            extra: extra(&result.extra, RESULT_KEYS),
        })
    }
}

fn is_v4(address: &IpNet) -> bool {
    address.addr().to_canonical().is_ipv4()
}

/// The first address of a family with all routes of that family.
#[derive(Serialize)]
struct FamilyWire<'a> {
    #[serde(with = "net::cidr")]
    ip: IpNet,
    #[serde(skip_serializing_if = "Option::is_none", with = "net::ip")]
    gateway: Option<IpAddr>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<RouteWire<'a>>,
    #[serde(flatten)]
    extra: Extra<'a>,
}

impl<'a> FamilyWire<'a> {
    fn of(result: &'a AddResult, is_family: impl Fn(&IpNet) -> bool) -> Option<Self> {
        let ip = result.ips.iter().find(|ip| is_family(&ip.address))?;
        let routes = result.routes.iter().filter(|route| is_family(&route.dst));
        Some(Self {
            ip: ip.address,
            gateway: ip.gateway,
            // Extras of a route are no part of this shape, but one read in it keeps its own.
            routes: match result.cni_version.shape() {
                Shape::PerFamily => routes.map(RouteWire::current).collect(),
                _ => routes.map(RouteWire::before_0_3_0).collect(),
            },
            extra: extra(&ip.extra, IP_KEYS),
        })
    }
}

#[derive(Serialize)]
struct InterfaceWire<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    mac: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    mtu: u32,
    #[serde(skip_serializing_if = "str::is_empty")]
    sandbox: &'a str,
    #[serde(rename = "socketPath", skip_serializing_if = "str::is_empty")]
    socket_path: &'a str,
    #[serde(rename = "pciID", skip_serializing_if = "str::is_empty")]
    pci_id: &'a str,
    #[serde(flatten)]
    extra: Extra<'a>,
}

impl<'a> InterfaceWire<'a> {
    fn current(interface: &'a Interface) -> Self {
        Self {
            name: &interface.name,
            mac: &interface.mac,
            mtu: interface.mtu,
            sandbox: &interface.sandbox,
            socket_path: &interface.socket_path,
            pci_id: &interface.pci_id,
            extra: extra(&interface.extra, INTERFACE_KEYS),
        }
    }

    fn before_1_0_0(interface: &'a Interface) -> Self {
        Self {
            mtu: 0,
            socket_path: "",
            pci_id: "",
            ..Self::current(interface)
        }
    }
}

#[derive(Serialize)]
struct IpWire<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<usize>,
    #[serde(with = "net::cidr")]
    address: IpNet,
    #[serde(skip_serializing_if = "Option::is_none", with = "net::ip")]
    gateway: Option<IpAddr>,
    #[serde(flatten)]
    extra: Extra<'a>,
}

impl<'a> IpWire<'a> {
    fn current(ip: &'a IpConfig) -> Self {
        Self {
            version: None,
            interface: ip.interface,
            address: ip.address,
            gateway: ip.gateway,
            extra: extra(&ip.extra, IP_KEYS),
        }
    }

    fn before_1_0_0(ip: &'a IpConfig) -> Self {
        let version = if is_v4(&ip.address) { "4" } else { "6" };
        Self {
            version: Some(version),
            ..Self::current(ip)
        }
    }
}

#[derive(Serialize)]
struct RouteWire<'a> {
    #[serde(with = "net::cidr")]
    dst: IpNet,
    #[serde(skip_serializing_if = "Option::is_none", with = "net::ip")]
    gw: Option<IpAddr>,
    #[serde(skip_serializing_if = "is_zero")]
    mtu: u32,
    #[serde(skip_serializing_if = "is_zero")]
    advmss: u32,
    #[serde(skip_serializing_if = "is_zero")]
    priority: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<u8>,
    #[serde(flatten)]
    extra: Extra<'a>,
}

impl<'a> RouteWire<'a> {
    fn current(route: &'a Route) -> Self {
        Self {
            dst: route.dst,
            gw: route.gw,
            mtu: route.mtu,
            advmss: route.advmss,
            priority: route.priority,
            table: route.table,
            scope: route.scope,
            extra: extra(&route.extra, ROUTE_KEYS),
        }
    }

    /// Destination and next hop only.
    fn before_0_3_0(route: &'a Route) -> Self {
        let plain = Self {
            extra: extra(&route.extra, ROUTE_KEYS),
            ..Self::current(route)
        };
        Self {
            mtu: 0,
            advmss: 0,
            priority: 0,
            table: None,
            scope: None,
            ..plain
        }
    }
}

impl Serialize for Interface {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        InterfaceWire::current(self).serialize(serializer)
    }
}

impl Serialize for IpConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        IpWire::current(self).serialize(serializer)
    }
}

impl Serialize for Route {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RouteWire::current(self).serialize(serializer)
    }
}
