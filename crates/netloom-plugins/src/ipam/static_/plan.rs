//! The configuration: `ipam`, `runtimeConfig`, `args` and `CNI_ARGS` of a request.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;
use netloom_plugin::{Error, PluginConf, Version};
use netloom_spec::{CniArgs, Dns, IpConfig, Route, net};
use serde::Deserialize;

use super::error::StaticError;
use crate::wiring::nobody;

/// The configuration as it is in the JSON.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    ipam: Option<Ipam>,
    #[serde(rename = "runtimeConfig")]
    runtime_config: Ips,
    args: Args,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Ipam {
    addresses: Vec<AddressText>,
    routes: Vec<Route>,
    dns: Dns,
}

/// The address stays text, because one that is not used need not be valid.
#[derive(Default, Deserialize)]
#[serde(default)]
struct AddressText {
    address: String,
    #[serde(with = "net::ip")]
    gateway: Option<IpAddr>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Args {
    cni: Ips,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Ips {
    ips: Vec<String>,
}

/// What a request asks for, checked.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) ips: Vec<IpConfig>,
    pub(super) routes: Vec<Route>,
    pub(super) dns: Dns,
    /// Gateways in `CNI_ARGS` that no address in `CNI_ARGS` can use.
    pub(super) unused_gateways: Vec<IpAddr>,
}

impl Plan {
    /// Reads a configuration, and `CNI_ARGS`.
    ///
    /// The addresses are those of the first of these that names any: `runtimeConfig.ips`,
    /// `args.cni.ips`, and at last `ipam.addresses` together with `IP` in `CNI_ARGS`.
    pub(super) fn new(conf: &PluginConf, version: Version, args: &str) -> Result<Self, Error> {
        let document: Document = conf.decode()?;
        let ipam = document.ipam.ok_or(StaticError::NoIpam)?;
        let args = CniArgs::parse(args)?;
        let (from_args, unused_gateways) = from_cni_args(args.known(&["IP", "GATEWAY"])?)?;
        let ips = if !document.runtime_config.ips.is_empty() {
            from_ips("runtimeConfig.ips", &document.runtime_config.ips)?
        } else if !document.args.cni.ips.is_empty() {
            from_ips("args.cni.ips", &document.args.cni.ips)?
        } else {
            let mut ips = configured(&ipam.addresses)?;
            ips.extend(from_args);
            ips
        };
        require_room(&ips, version)?;
        require_usable(&ips)?;
        Ok(Self {
            ips,
            routes: ipam.routes,
            dns: ipam.dns,
            unused_gateways,
        })
    }
}

fn configured(addresses: &[AddressText]) -> Result<Vec<IpConfig>, StaticError> {
    let read = |(index, text): (usize, &AddressText)| {
        let address = cidr(&text.address).ok_or_else(|| StaticError::Address {
            index,
            value: text.address.clone(),
        })?;
        Ok(IpConfig {
            gateway: text.gateway,
            ..IpConfig::new(address)
        })
    };
    addresses.iter().enumerate().map(read).collect()
}

fn from_ips(field: &'static str, texts: &[String]) -> Result<Vec<IpConfig>, StaticError> {
    let read = |(index, text): (usize, &String)| {
        cidr(text)
            .map(IpConfig::new)
            .ok_or_else(|| StaticError::Ips {
                field,
                index,
                value: text.clone(),
            })
    };
    texts.iter().enumerate().map(read).collect()
}

/// The addresses of `IP`, each with the last gateway of `GATEWAY` that is in its subnet, and the
/// gateways that are in none.
fn from_cni_args(args: &CniArgs) -> Result<(Vec<IpConfig>, Vec<IpAddr>), StaticError> {
    let mut ips = Vec::new();
    for text in items(args.get("IP")) {
        let address = cidr(text).ok_or_else(|| StaticError::ArgsIp(text.to_owned()))?;
        ips.push(IpConfig::new(address));
    }
    let mut unused = Vec::new();
    for text in items(args.get("GATEWAY")) {
        let gateway = net::parse_ip(text).map_err(|_| StaticError::ArgsGateway(text.to_owned()))?;
        let mut users = ips
            .iter_mut()
            .filter(|ip| ip.address.contains(&gateway))
            .peekable();
        if users.peek().is_none() {
            unused.push(gateway);
        }
        users.for_each(|ip| ip.gateway = Some(gateway));
    }
    Ok((ips, unused))
}

/// The items of a list with commas. An empty value is the same as none.
fn items(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.filter(|list| !list.is_empty())
        .into_iter()
        .flat_map(|list| list.split(','))
        .map(str::trim)
}

fn cidr(text: &str) -> Option<IpNet> {
    net::parse_cidr(text).ok()
}

/// Refuses addresses that a pod cannot have, and one that comes twice.
fn require_usable(ips: &[IpConfig]) -> Result<(), StaticError> {
    let mut known = HashSet::new();
    for ip in ips {
        let address = ip.address.addr();
        if let Some(block) = nobody::block(address, address) {
            let address = ip.address;
            return Err(StaticError::OfNobody { address, block });
        }
        if !known.insert(address) {
            return Err(StaticError::Twice(address));
        }
    }
    Ok(())
}

/// Refuses more addresses than a result can hold: before 0.3.0 that is one of each family.
fn require_room(ips: &[IpConfig], version: Version) -> Result<(), StaticError> {
    if version >= Version::V0_3_0 {
        return Ok(());
    }
    for v4 in [true, false] {
        let addresses: Vec<IpNet> = ips
            .iter()
            .map(|ip| ip.address)
            .filter(|address| address.addr().is_ipv4() == v4)
            .collect();
        if addresses.len() > 1 {
            return Err(StaticError::TooMany { version, addresses });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn plan(args: &str, conf: &Value) -> Result<Plan, Error> {
        let conf = PluginConf::parse(conf.to_string().as_bytes())?;
        Plan::new(&conf, Version::V1_1_0, args)
    }

    fn texts(plan: &Plan) -> Vec<String> {
        let text = |ip: &IpConfig| match ip.gateway {
            Some(gateway) => format!("{} via {gateway}", ip.address),
            None => ip.address.to_string(),
        };
        plan.ips.iter().map(text).collect()
    }

    /// A configuration in which each source names an address.
    fn all_sources() -> Value {
        json!({
            "ipam": {"addresses": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1"}]},
            "args": {"cni": {"ips": ["10.2.0.5/24"]}},
            "runtimeConfig": {"ips": ["10.3.0.5/24", "fd00::5/64"]},
        })
    }

    #[test]
    fn a_source_of_higher_priority_replaces_all_below_it() {
        let mut conf = all_sources();
        let args = "IP=10.4.0.5/24;GATEWAY=10.4.0.1";
        assert_eq!(
            texts(&plan(args, &conf).unwrap()),
            ["10.3.0.5/24", "fd00::5/64"]
        );
        conf["runtimeConfig"]["ips"] = json!([]);
        assert_eq!(texts(&plan(args, &conf).unwrap()), ["10.2.0.5/24"]);
        conf["args"]["cni"]["ips"] = Value::Null;
        assert_eq!(
            texts(&plan(args, &conf).unwrap()),
            ["10.1.0.5/24 via 10.1.0.1", "10.4.0.5/24 via 10.4.0.1"]
        );
    }

    #[test]
    fn what_is_replaced_need_not_be_valid() {
        let mut conf = all_sources();
        conf["ipam"]["addresses"][0]["address"] = json!("later");
        assert_eq!(plan("", &conf).unwrap().ips.len(), 2);
    }

    #[test]
    fn a_gateway_in_cni_args_is_for_the_addresses_in_cni_args_whose_subnet_has_it() {
        let conf = json!({"ipam": {"addresses": [{"address": "10.1.0.5/24"}]}});
        let args =
            "IP=10.1.0.6/24, fd00::6/64 ,10.9.0.6/24;GATEWAY=10.1.0.2,10.1.0.1, fd00::1,192.0.2.1";
        let plan = plan(args, &conf).unwrap();
        assert_eq!(
            texts(&plan),
            [
                "10.1.0.5/24",
                "10.1.0.6/24 via 10.1.0.1",
                "fd00::6/64 via fd00::1",
                "10.9.0.6/24"
            ]
        );
        assert_eq!(
            plan.unused_gateways,
            ["192.0.2.1".parse::<IpAddr>().unwrap()]
        );
    }

    #[test]
    fn empty_texts_and_nulls_are_unset() {
        let conf = json!({
            "ipam": {"addresses": [{"address": "10.1.0.5/24", "gateway": ""}], "routes": null},
            "args": null, "runtimeConfig": null,
        });
        assert_eq!(
            texts(&plan("IP=;GATEWAY=", &conf).unwrap()),
            ["10.1.0.5/24"]
        );
    }

    #[test]
    fn a_mapped_address_is_what_it_maps_and_host_bits_stay() {
        let conf = json!({"ipam": {"addresses": [
            {"address": "::ffff:10.1.0.5/120", "gateway": "::ffff:10.1.0.1"},
        ]}});
        assert_eq!(
            texts(&plan("", &conf).unwrap()),
            ["10.1.0.5/24 via 10.1.0.1"]
        );
    }

    #[test]
    fn the_first_versions_hold_one_address_of_each_family() {
        let conf = |ips: &[&str]| {
            let conf = json!({"ipam": {}, "runtimeConfig": {"ips": ips}});
            PluginConf::parse(conf.to_string().as_bytes()).unwrap()
        };
        let both = conf(&["10.1.0.5/24", "fd00::5/64"]);
        let two = conf(&["10.1.0.5/24", "fd00::5/64", "fd00::6/64"]);
        for version in [Version::V0_1_0, Version::V0_2_0] {
            assert_eq!(Plan::new(&both, version, "").unwrap().ips.len(), 2);
            let error = Plan::new(&two, version, "").unwrap_err();
            let msg = format!(
                "CNI version {version} does not support more than 1 address per family, got \
                 fd00::5/64 and fd00::6/64"
            );
            assert_eq!((error.code, error.msg), (7, msg));
        }
        assert_eq!(Plan::new(&two, Version::V0_3_0, "").unwrap().ips.len(), 3);
    }
}
