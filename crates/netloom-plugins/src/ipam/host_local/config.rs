//! The configuration: `ipam`, `runtimeConfig` and `args` of a request.

use super::error::HostLocalError;
use crate::wiring::reservations::ranges::{RangeSet, RangeText};
use crate::wiring::reservations::store::Place;
use netloom_plugin::{Error, NetworkName, PluginConf, Version};
use netloom_spec::{CniArgs, Route, decode, net};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::net::IpAddr;
use std::path::PathBuf;

/// Where the state is unless `dataDir` says otherwise.
pub(super) const DATA_DIR: &str = "/var/lib/cni/networks";

/// The wire form.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    ipam: Option<Ipam>,
    #[serde(rename = "runtimeConfig")]
    runtime_config: RuntimeConfig,
    args: Args,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Ipam {
    /// A single range, as the first versions had it. It has the keys of a range.
    #[serde(with = "net::optional_cidr")]
    subnet: Option<ipnet::IpNet>,
    #[serde(rename = "rangeStart", with = "net::ip")]
    start: Option<IpAddr>,
    #[serde(rename = "rangeEnd", with = "net::ip")]
    end: Option<IpAddr>,
    #[serde(with = "net::ip")]
    gateway: Option<IpAddr>,
    ranges: Vec<Vec<RangeText>>,
    routes: Vec<Route>,
    #[serde(rename = "resolvConf")]
    resolv_conf: String,
    #[serde(rename = "reclaimAfterReboot")]
    reclaim_after_reboot: bool,
    /// Only read here so that a wrong type is an error; see [`place`].
    #[serde(rename = "dataDir")]
    _data_dir: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RuntimeConfig {
    #[serde(rename = "ipRanges")]
    ip_ranges: Vec<Vec<RangeText>>,
    ips: Vec<Requested>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Args {
    cni: CniObject,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CniObject {
    ips: Vec<Requested>,
}

/// An address somebody asks for, as `address` or `address/prefix length`. The prefix length is
/// ignored: the range set has one.
struct Requested(IpAddr);

impl<'de> Deserialize<'de> for Requested {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        requested(&String::deserialize(from)?)
            .map(Self)
            .map_err(D::Error::custom)
    }
}

/// What a request asks for, checked.
#[derive(Debug)]
pub(super) struct Plan {
    /// The pools, at least one; each gives one address.
    pub(super) sets: Vec<RangeSet>,
    /// For each pool the address that it must give.
    pub(super) requested: Vec<Option<IpAddr>>,
    pub(super) routes: Vec<Route>,
    pub(super) resolv_conf: Option<PathBuf>,
    /// Whether the first ADD after a reboot frees what was reserved before.
    pub(super) reclaim_after_reboot: bool,
}

impl Plan {
    /// Reads a configuration, and `CNI_ARGS`.
    ///
    /// An address may be asked for in three places: `IP` in `CNI_ARGS`, `args.cni.ips` and the
    /// capability `runtimeConfig.ips`. All of them are asked for, none replaces another.
    pub(super) fn new(conf: &PluginConf, version: Version, args: &str) -> Result<Self, Error> {
        let document: Document = conf.decode()?;
        let mut wanted = Vec::new();
        let args = CniArgs::parse(args)?;
        let ip = args.known(&["IP"])?.get_parsed("IP", optional)?;
        wanted.extend(ip.flatten());
        wanted.extend(document.args.cni.ips.into_iter().map(|ip| ip.0));
        wanted.extend(document.runtime_config.ips.into_iter().map(|ip| ip.0));

        let ipam = document.ipam.ok_or(HostLocalError::NoIpam)?;
        let sets = sets(document.runtime_config.ip_ranges, &ipam, version)?;
        let requested = assign(&sets, wanted)?;
        let resolv_conf = (!ipam.resolv_conf.is_empty()).then(|| PathBuf::from(ipam.resolv_conf));
        Ok(Self {
            sets,
            requested,
            routes: ipam.routes,
            resolv_conf,
            reclaim_after_reboot: ipam.reclaim_after_reboot,
        })
    }
}

impl Plan {
    /// Reads the configuration of a request without an attachment, and so without `runtimeConfig`;
    /// `None` if it leaves the ranges to that.
    pub(super) fn without_attachment(
        conf: &PluginConf,
        version: Version,
    ) -> Result<Option<Self>, Error> {
        let document: Document = conf.decode()?;
        let has_ranges = |ipam: &Ipam| ipam.subnet.is_some() || !ipam.ranges.is_empty();
        if document.ipam.is_some_and(|ipam| !has_ranges(&ipam)) {
            return Ok(None);
        }
        Self::new(conf, version, "").map(Some)
    }
}

/// Where the state of the network is. Needs no valid configuration, so that DEL and GC can remove
/// what an earlier configuration made.
pub(super) fn place(conf: &PluginConf, network: &NetworkName) -> Place {
    let ipam = conf.get("ipam").and_then(|ipam| ipam.as_object());
    let data_dir = ipam.and_then(|ipam| decode::get(ipam, "dataDir")?.as_str());
    let data_dir = data_dir.filter(|path| !path.is_empty()).unwrap_or(DATA_DIR);
    Place {
        data_dir: data_dir.into(),
        network: network.as_str().to_owned(),
    }
}

/// The range sets in the order of their numbers: the capability's, then the single range, then
/// `ranges`.
fn sets(
    capability: Vec<Vec<RangeText>>,
    ipam: &Ipam,
    version: Version,
) -> Result<Vec<RangeSet>, HostLocalError> {
    let single = ipam.subnet.map(|subnet| {
        vec![RangeText {
            subnet: Some(subnet),
            start: ipam.start,
            end: ipam.end,
            gateway: ipam.gateway,
        }]
    });
    let texts = (capability.iter().enumerate())
        .map(|(index, set)| (format!("runtimeConfig.ipRanges[{index}]"), set))
        .chain(single.iter().map(|set| ("ipam.subnet".to_owned(), set)))
        .chain(
            (ipam.ranges.iter().enumerate())
                .map(|(index, set)| (format!("ipam.ranges[{index}]"), set)),
        );
    let mut sets = Vec::new();
    for (index, (origin, texts)) in texts.enumerate() {
        let set = RangeSet::new(texts).map_err(|cause| HostLocalError::InvalidSet {
            index,
            origin,
            cause: Box::new(cause),
        })?;
        if let Some(other) = sets.iter().position(|other| set.overlaps(other)) {
            return Err(HostLocalError::SetsOverlap(other, index));
        }
        sets.push(set);
    }
    if sets.is_empty() {
        return Err(HostLocalError::NoRanges);
    }
    let ipv4 = sets.iter().filter(|set| set.is_ipv4()).count();
    if version < Version::V0_3_0 && ipv4.max(sets.len() - ipv4) > 1 {
        return Err(HostLocalError::TooManySets(version));
    }
    Ok(sets)
}

/// Gives each set the first of the wanted addresses that lies in it. An address asked for twice is
/// asked for once.
fn assign(
    sets: &[RangeSet],
    mut wanted: Vec<IpAddr>,
) -> Result<Vec<Option<IpAddr>>, HostLocalError> {
    let mut requested = Vec::new();
    for (index, set) in sets.iter().enumerate() {
        let found = wanted
            .iter()
            .copied()
            .find(|address| set.contains(*address));
        wanted.retain(|address| Some(*address) != found);
        if let Some(address) = found
            && set
                .range_of(address)
                .is_some_and(|range| range.gateway() == Some(address))
        {
            return Err(HostLocalError::RequestedGateway { index, address });
        }
        requested.push(found);
    }
    if wanted.is_empty() {
        return Ok(requested);
    }
    let sets = sets.iter().map(ToString::to_string).collect();
    Err(HostLocalError::Unfulfilled {
        addresses: wanted,
        sets,
    })
}

fn requested(text: &str) -> Result<IpAddr, Error> {
    if text.contains('/') {
        net::parse_cidr(text).map(|net| net.addr().to_canonical())
    } else {
        net::parse_ip(text)
    }
}

/// In `CNI_ARGS` an empty value is the same as none.
fn optional(text: &str) -> Result<Option<IpAddr>, Error> {
    if text.is_empty() {
        Ok(None)
    } else {
        requested(text).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn plan_of(version: Version, args: &str, conf: &Value) -> Result<Plan, Error> {
        Plan::new(
            &PluginConf::parse(conf.to_string().as_bytes())?,
            version,
            args,
        )
    }

    fn plan(args: &str, conf: &Value) -> Result<Plan, Error> {
        plan_of(Version::V1_1_0, args, conf)
    }

    fn text(plan: &Plan) -> Vec<String> {
        plan.sets.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn range_sets_are_numbered_from_the_capability_over_the_single_range_to_ranges() {
        let plan = plan(
            "",
            &json!({
                "name": "n",
                "IPAM": {
                    "Subnet": "10.1.0.0/24", "rangestart": "10.1.0.5", "rangeEnd": "10.1.0.9",
                    "ranges": [[{"subnet": "10.2.0.0/24"}], [{"subnet": "fd00::/64", "gateway": ""}]],
                },
                "runtimeConfig": {"ipRanges": [[{"subnet": "10.3.0.0/30"}, {"subnet": "10.3.1.0/30"}]]},
            }),
        );
        assert_eq!(
            text(&plan.unwrap()),
            [
                "10.3.0.1-10.3.0.2,10.3.1.1-10.3.1.2",
                "10.1.0.5-10.1.0.9",
                "10.2.0.1-10.2.0.254",
                "fd00::1-fd00::ffff:ffff:ffff:ffff"
            ]
        );
    }

    #[test]
    fn addresses_asked_for_in_all_three_places_are_all_asked_for() {
        let conf = json!({
            "name": "n",
            "ipam": {"ranges": [
                [{"subnet": "10.1.0.0/24"}], [{"subnet": "10.2.0.0/24"}],
                [{"subnet": "10.3.0.0/24"}], [{"subnet": "10.4.0.0/24"}],
            ]},
            "args": {"cni": {"ips": ["10.1.0.7/16", "10.1.0.7"]}},
            "runtimeConfig": {"ips": ["::ffff:10.4.0.9"]},
        });
        let plan = plan("IgnoreUnknown=1;IP=10.2.0.3/8;FOO=bar", &conf).unwrap();
        let expected = ["10.1.0.7", "10.2.0.3", "", "10.4.0.9"];
        assert_eq!(plan.requested, expected.map(|text| text.parse().ok()));
    }

    #[test]
    fn an_empty_ip_in_cni_args_asks_for_nothing() {
        let conf = json!({"name": "n", "ipam": {"subnet": "10.1.0.0/24"}});
        assert_eq!(plan("IP=", &conf).unwrap().requested, [None]);
    }

    #[test]
    fn every_bad_configuration_has_its_code_and_names_what_is_wrong() {
        let requests =
            |ips: Value| json!({"ipam": {"subnet": "10.1.0.0/24"}, "runtimeConfig": {"ips": ips}});
        let ranges = |ranges: Value| json!({"ipam": {"ranges": ranges}});
        for (mut conf, code, words) in [
            (json!({}), 7, &["IPAM config missing 'ipam' key"][..]),
            (
                json!({"ipam": null}),
                7,
                &["IPAM config missing 'ipam' key"],
            ),
            (json!({"ipam": {}}), 7, &["no IP ranges specified"]),
            (
                json!({"ipam": {"rangeStart": "10.1.0.1"}}),
                7,
                &["no IP ranges specified"],
            ),
            (json!({"ipam": "10.1.0.0/24"}), 6, &["ipam", "10.1.0.0/24"]),
            (json!({"ipam": {"subnet": 10}}), 6, &["ipam.subnet", "10"]),
            (
                json!({"ipam": {"subnet": ""}}),
                7,
                &["ipam.subnet", "invalid CIDR address"],
            ),
            (
                json!({"ipam": {"subnet": "10.1.0.0"}}),
                7,
                &["ipam.subnet", "10.1.0.0"],
            ),
            (
                json!({"ipam": {"subnet": "10.01.0.0/16"}}),
                7,
                &["ipam.subnet", "10.01.0.0/16"],
            ),
            (
                json!({"ipam": {"subnet": "10.1.0.0/33"}}),
                7,
                &["ipam.subnet", "10.1.0.0/33"],
            ),
            (
                json!({"ipam": {"subnet": "10.1.0.1/24"}}),
                7,
                &["invalid range set 0", "10.1.0.0"],
            ),
            (
                json!({"ipam": {"subnet": "10.1.0.0/24", "gateway": "fd00::1"}}),
                7,
                &[
                    "invalid range set 0",
                    "gateway fd00::1 is IPv6",
                    "ipam.subnet",
                ],
            ),
            (
                json!({"ipam": {"subnet": "10.1.0.0/24", "rangeStart": "10.2.0.1"}}),
                7,
                &["RangeStart 10.2.0.1 not in network 10.1.0.0/24"],
            ),
            (
                json!({"ipam": {"subnet": "10.1.0.0/24", "rangeEnd": "10.1.1.0"}}),
                7,
                &["RangeEnd 10.1.1.0 not in network 10.1.0.0/24"],
            ),
            (
                json!({"ipam": {"subnet": "10.1.0.0/24", "gateway": "10.1.0"}}),
                7,
                &["ipam.gateway", "10.1.0"],
            ),
            (
                json!({"ipam": {"subnet": "10.1.0.0/24", "dataDir": 1}}),
                6,
                &["ipam.dataDir", "1"],
            ),
            (
                json!({"ipam": {"subnet": "10.1.0.0/24", "routes": [{"dst": "default"}]}}),
                7,
                &["ipam.routes[0].dst", "default"],
            ),
            (
                ranges(json!([[]])),
                7,
                &["invalid range set 0", "empty range set", "ipam.ranges[0]"],
            ),
            (
                ranges(json!([[{}]])),
                7,
                &["invalid range set 0", "subnet is missing"],
            ),
            (
                ranges(json!([{"subnet": "10.1.0.0/24"}])),
                6,
                &["ipam.ranges[0]"],
            ),
            (
                ranges(json!([[{"subnet": "10.1.0.0/24"}, {"subnet": "fd00::/64"}]])),
                7,
                &["mixed address families"],
            ),
            (
                ranges(json!([[{"subnet": "10.1.0.0/24"}, {"subnet": "10.1.0.0/16"}]])),
                7,
                &["subnets 10.1.0.1-10.1.0.254 and 10.1.0.1-10.1.255.254 overlap"],
            ),
            (
                ranges(json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.1.0.0/16"}]])),
                7,
                &["range set 0 overlaps with 1"],
            ),
            (
                requests(json!(["10.2.0.1"])),
                7,
                &["failed to allocate all requested IPs: 10.2.0.1"],
            ),
            (
                requests(json!(["10.1.0.2", "10.1.0.3"])),
                7,
                &["requested IPs: 10.1.0.3"],
            ),
            (
                requests(json!(["10.1.0.1"])),
                7,
                &["requested ip 10.1.0.1 is subnet's gateway"],
            ),
            (requests(json!([""])), 7, &["runtimeConfig.ips[0]"]),
            (
                requests(json!(["10.1.0.300"])),
                7,
                &["runtimeConfig.ips[0]", "10.1.0.300"],
            ),
            (requests(json!("10.1.0.3")), 6, &["runtimeConfig.ips"]),
        ] {
            conf["name"] = json!("n");
            let error = plan("", &conf).unwrap_err();
            let text = error.to_string();
            assert_eq!(error.code, code, "{conf}: {text}");
            for word in words {
                assert!(text.contains(word), "{conf}: {text:?} lacks {word:?}");
            }
        }
    }

    #[test]
    fn bad_cni_args_are_an_error_of_the_environment() {
        let conf = json!({"name": "n", "ipam": {"subnet": "10.1.0.0/24"}});
        for (args, word) in [
            ("IP", "invalid pair \"IP\""),
            ("ip=10.1.0.3", "ip=10.1.0.3"),
            ("IP=10.1.0.3;", "invalid pair"),
            ("IP=ten", "IP=ten"),
            ("IgnoreUnknown=maybe", "maybe"),
        ] {
            let error = plan(args, &conf).unwrap_err();
            assert_eq!(error.code, 4, "{error}");
            assert!(error.to_string().contains(word), "{error} lacks {word:?}");
        }
    }

    #[test]
    fn old_versions_have_one_address_of_each_family() {
        let one = json!({"name": "n", "ipam": {"ranges": [
            [{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00::/64"}],
        ]}});
        let two = json!({"name": "n", "ipam": {"ranges": [
            [{"subnet": "10.1.0.0/24"}], [{"subnet": "10.2.0.0/24"}],
        ]}});
        plan_of(Version::V0_2_0, "", &one).unwrap();
        plan_of(Version::V0_3_0, "", &two).unwrap();
        let error = plan_of(Version::V0_2_0, "", &two).unwrap_err();
        let words = "CNI version 0.2.0 does not support more than 1 address per family";
        assert!(error.code == 7 && error.msg.contains(words), "{error}");
    }

    #[test]
    fn the_place_is_found_in_any_configuration() {
        let network = NetworkName::new("blue").unwrap();
        for (ipam, expected) in [
            (json!({"dataDir": "/run/x", "ranges": 7}), "/run/x"),
            (json!({"DATADIR": "/run/x"}), "/run/x"),
            (json!({"dataDir": ""}), DATA_DIR),
            (json!({"dataDir": 7}), DATA_DIR),
            (json!(null), DATA_DIR),
        ] {
            let conf = json!({"name": "blue", "ipam": ipam}).to_string();
            let place = place(&PluginConf::parse(conf.as_bytes()).unwrap(), &network);
            assert_eq!(
                (place.data_dir, place.network),
                (expected.into(), "blue".into())
            );
        }
    }
}
