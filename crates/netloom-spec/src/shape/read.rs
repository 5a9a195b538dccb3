//! Results read from the wire.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{IP_KEYS, RESULT_KEYS, is_one_of};
use crate::error::{Error, code};
use crate::result::{AddResult, Dns, Interface, IpConfig, Route};
use crate::version::{Shape, Version};
use crate::{decode, net};

/// Reads a result that should be in the shape of `expected`.
pub(crate) fn read(value: &Value, expected: Version) -> Result<AddResult, Error> {
    let cni_version = check_family(value, expected)?;
    let result = match expected.shape() {
        Shape::PerFamily => decode::from_value::<PerFamily>(value).map(|wire| wire.result()),
        Shape::VersionedIps | Shape::Current => {
            decode::from_value::<Flat>(value).map(|wire| wire.result(expected.shape()))
        }
    };
    result
        .map(|result| AddResult {
            cni_version,
            ..result
        })
        .map_err(|fault| fault.context("invalid result"))
}

/// The result's own version, which must have the shape of `expected`.
fn check_family(value: &Value, expected: Version) -> Result<Version, Error> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(default, rename = "cniVersion")]
        cni_version: String,
    }
    let head: Head = decode::from_value(value).map_err(|fault| fault.context("invalid result"))?;
    // The empty string parses as 0.1.0, so it belongs to the oldest family alone.
    match head.cni_version.parse::<Version>() {
        Ok(version) if version.shape() == expected.shape() => Ok(version),
        _ => {
            let family = Version::ALL
                .iter()
                .filter(|known| known.shape() == expected.shape());
            Err(Error::new(
                code::DECODING,
                format!(
                    "result type supports {} but unmarshalled CNIVersion is {:?}",
                    Version::list(family),
                    head.cni_version
                ),
            ))
        }
    }
}

/// 0.3.0 and later.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Flat {
    interfaces: Vec<Interface>,
    ips: Vec<IpConfig>,
    routes: Vec<Route>,
    dns: Dns,
    #[serde(rename = "*")]
    extra: Map<String, Value>,
}

impl Flat {
    fn result(mut self, shape: Shape) -> AddResult {
        for ip in &mut self.ips {
            without(&mut ip.extra, IP_KEYS);
        }
        if shape == Shape::VersionedIps {
            for interface in &mut self.interfaces {
                interface.mtu = 0;
                interface.socket_path.clear();
                interface.pci_id.clear();
            }
        }
        without(&mut self.extra, RESULT_KEYS);
        let Self {
            interfaces,
            ips,
            routes,
            dns,
            extra,
        } = self;
        AddResult {
            interfaces,
            ips,
            routes,
            dns,
            extra,
            ..AddResult::new()
        }
    }
}

/// 0.1.0 and 0.2.0.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct PerFamily {
    ip4: Option<FamilyConfig>,
    ip6: Option<FamilyConfig>,
    dns: Dns,
    #[serde(rename = "*")]
    extra: Map<String, Value>,
}

#[derive(Deserialize)]
struct FamilyConfig {
    #[serde(with = "net::cidr")]
    ip: IpNet,
    #[serde(default, with = "net::ip")]
    gateway: Option<IpAddr>,
    #[serde(default)]
    routes: Vec<Route>,
    #[serde(default, rename = "*")]
    extra: Map<String, Value>,
}

impl PerFamily {
    fn result(self) -> AddResult {
        let mut result = AddResult {
            dns: self.dns,
            extra: self.extra,
            ..AddResult::new()
        };
        without(&mut result.extra, RESULT_KEYS);
        for mut config in [self.ip4, self.ip6].into_iter().flatten() {
            without(&mut config.extra, IP_KEYS);
            let FamilyConfig {
                ip,
                gateway,
                routes,
                extra,
            } = config;
            result.ips.push(IpConfig {
                address: ip,
                gateway,
                interface: None,
                extra,
            });
            result.routes.extend(routes);
        }
        result
    }
}

fn without(extra: &mut Map<String, Value>, known: &[&str]) {
    extra.retain(|key, _| !is_one_of(key, known));
}
