//! The sbr plugin's configuration, and the addresses that it is about.

use crate::wiring::setup_error::invalid;
use ipnet::IpNet;
use netloom_spec::{AddResult, Error, PluginConf, net};
use serde::Deserialize;
use std::net::IpAddr;

/// Upstream's keys, unvalidated.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    table: Option<i64>,
    gateways: Vec<String>,
    add_source_hints: bool,
}

/// A valid request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// Rules to a table that somebody else fills.
    Rules {
        /// That table.
        table: u32,
    },
    /// A table of its own for each address.
    Tables(Tables),
}

/// What goes into the tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tables {
    /// At most one of each family; they count more than those of the result.
    gateways: Vec<IpAddr>,
    /// The main table keeps the routes to the subnets, with the address to send from.
    pub(super) hints: bool,
}

impl Plan {
    /// Validates the configuration; nothing has been touched when this fails.
    pub(super) fn new(conf: &PluginConf) -> Result<Self, Error> {
        let config: Config = conf.decode()?;
        let tables = Tables {
            gateways: gateways(&config.gateways)?,
            hints: config.add_source_hints,
        };
        let Some(number) = config.table else {
            return Ok(Self::Tables(tables));
        };
        match u32::try_from(number) {
            Ok(table) if table != 0 => Ok(Self::Rules { table }),
            _ => Err(invalid(format!(
                "invalid table {number}: a routing table has a number from 1 to {}",
                u32::MAX
            ))),
        }
    }
}

fn gateways(texts: &[String]) -> Result<Vec<IpAddr>, Error> {
    if texts.len() > 2 {
        return Err(invalid(format!(
            "gateways list cannot contain more than 2 entries (one IPv4, one IPv6), it has {}",
            texts.len()
        )));
    }
    let mut gateways: Vec<IpAddr> = Vec::with_capacity(texts.len());
    for text in texts {
        let gateway = net::parse_ip(text).map_err(|fault| fault.context("gateways"))?;
        if let Some(other) = of_family(&gateways, gateway) {
            let family = if gateway.is_ipv4() { "IPv4" } else { "IPv6" };
            return Err(invalid(format!(
                "gateways list contains multiple {family} addresses: {other} and {gateway}"
            )));
        }
        gateways.push(gateway);
    }
    Ok(gateways)
}

fn of_family(gateways: &[IpAddr], family_of: IpAddr) -> Option<IpAddr> {
    let same = |gateway: &&IpAddr| gateway.is_ipv4() == family_of.is_ipv4();
    gateways.iter().find(same).copied()
}

/// An address of the interface, and the next hop of what is sent from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) address: IpNet,
    pub(super) gateway: Option<Gateway>,
}

/// The next hop of an address's default route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gateway {
    /// From the configuration. There is no other.
    Static(IpAddr),
    /// From the result. A default route of the interface counts more.
    Result(IpAddr),
}

impl Gateway {
    pub(super) fn ip(self) -> IpAddr {
        match self {
            Self::Static(ip) | Self::Result(ip) => ip,
        }
    }
}

impl Source {
    pub(super) fn ip(&self) -> IpAddr {
        self.address.addr()
    }

    /// The network that is reached without a next hop; `None` for an address that has none.
    pub(super) fn subnet(&self) -> Option<IpNet> {
        (self.address.prefix_len() < self.address.max_prefix_len()).then(|| self.address.trunc())
    }
}

/// The addresses in a result that belong to the interface. One that belongs to none, or to one
/// that is not listed, is taken for this one's.
pub(super) fn sources(result: &AddResult, if_name: &str, tables: &Tables) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::with_capacity(result.ips.len());
    for ip in &result.ips {
        let interface = ip.interface.and_then(|index| result.interfaces.get(index));
        let own = interface.is_none_or(|interface| interface.name == if_name);
        let address = ip.address;
        if !own || sources.iter().any(|source| source.ip() == address.addr()) {
            continue;
        }
        let fixed = of_family(&tables.gateways, address.addr()).map(Gateway::Static);
        sources.push(Source {
            address,
            gateway: fixed.or(ip.gateway.map(Gateway::Result)),
        });
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;
    use netloom_spec::Version;

    fn plan(keys: &str) -> Result<Plan, Error> {
        let text = format!(r#"{{"name": "n", "type": "sbr"{keys}}}"#);
        Plan::new(&PluginConf::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn a_table_is_a_number_from_1_on() {
        assert_eq!(
            plan(r#", "table": 4294967295"#),
            Ok(Plan::Rules { table: u32::MAX })
        );
        assert_eq!(plan(""), Ok(Plan::Tables(Tables::default())));
        for bad in ["0", "-1", "4294967296"] {
            let error = plan(&format!(r#", "table": {bad}"#)).unwrap_err();
            assert!(error.code == 7 && error.msg.contains(bad), "{error}");
        }
    }

    #[test]
    fn at_most_one_gateway_of_each_family() {
        let both = plan(r#", "gateways": ["fd00::1", "10.1.0.1"], "addsourcehints": true"#);
        let Ok(Plan::Tables(tables)) = both else {
            panic!("{both:?}")
        };
        assert!(tables.hints && tables.gateways.len() == 2);
        for (bad, named) in [
            (
                r#"["10.1.0.1", "10.1.0.2"]"#,
                "multiple IPv4 addresses: 10.1.0.1 and 10.1.0.2",
            ),
            (
                r#"["fd00::1", "fd00::2"]"#,
                "multiple IPv6 addresses: fd00::1 and fd00::2",
            ),
            (
                r#"["10.1.0.1", "fd00::1", "10.1.0.2"]"#,
                "cannot contain more than 2 entries",
            ),
            (
                r#"["10.1.0.1/24"]"#,
                "gateways: invalid IP address: \"10.1.0.1/24\"",
            ),
        ] {
            let error = plan(&format!(r#", "gateways": {bad}"#)).unwrap_err();
            assert!(error.code == 7 && error.msg.contains(named), "{error}");
        }
    }

    #[test]
    fn the_interface_s_own_addresses_and_those_of_nobody_count_once() {
        let result = br#"{
            "interfaces": [{"name": "eth0"}, {"name": "net1", "sandbox": "/n"}],
            "ips": [
                {"address": "10.0.0.2/24", "interface": 0},
                {"address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 1},
                {"address": "10.1.0.2/25", "interface": 1},
                {"address": "10.2.0.2/24", "interface": 7},
                {"address": "fd00::2/64", "gateway": "fd00::1"}
            ], "cniVersion": "1.1.0"}"#;
        let result = AddResult::parse(result, Version::LATEST).unwrap();
        let tables = Tables {
            gateways: vec!["fd00::9".parse().unwrap()],
            hints: false,
        };
        let found = sources(&result, "net1", &tables);
        let told: Vec<_> = found
            .iter()
            .map(|source| (source.ip().to_string(), source.gateway))
            .collect();
        let gateway = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(
            told,
            [
                (
                    "10.1.0.2".to_owned(),
                    Some(Gateway::Result(gateway("10.1.0.1")))
                ),
                ("10.2.0.2".to_owned(), None),
                (
                    "fd00::2".to_owned(),
                    Some(Gateway::Static(gateway("fd00::9")))
                ),
            ]
        );
    }
}
