//! The configuration of `cluster`: host-local's keys and some more.

use super::error::ClusterError;
use super::plan::{self, Plan, Set};
use crate::wiring::reservations::ranges::{RangeSet, RangeText};
use ipnet::IpNet;
use netloom_cluster::SpaceName;
use netloom_spec::{CniArgs, Dns, Error, PluginConf, Route, Version, decode, net};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::net::IpAddr;
use std::path::PathBuf;

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
    ranges: Vec<Vec<Range>>,
    space: String,
    keep: String,
    grant: Option<u8>,
    wait: Option<u64>,
    routes: Vec<Route>,
    #[serde(rename = "resolvConf")]
    resolv_conf: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Range {
    #[serde(with = "net::optional_cidr")]
    subnet: Option<IpNet>,
    #[serde(rename = "rangeStart", with = "net::ip")]
    start: Option<IpAddr>,
    #[serde(rename = "rangeEnd", with = "net::ip")]
    end: Option<IpAddr>,
    #[serde(with = "net::ip")]
    gateway: Option<IpAddr>,
    exclude: Vec<Exclusion>,
}

struct Exclusion(plan::Stretch);

impl<'de> Deserialize<'de> for Exclusion {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        plan::exclusion(&text).map(Self).map_err(D::Error::custom)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RuntimeConfig {
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

/// An address, with a prefix length that does not count or without.
pub(super) struct Requested(pub(super) IpAddr);

impl<'de> Deserialize<'de> for Requested {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        requested(&String::deserialize(from)?)
            .map(Self)
            .map_err(D::Error::custom)
    }
}

/// An address that is asked for.
pub(super) fn requested(text: &str) -> Result<IpAddr, Error> {
    if text.contains('/') {
        net::parse_cidr(text).map(|net| net.addr().to_canonical())
    } else {
        net::parse_ip(text)
    }
}

/// The addresses that `IP` of `CNI_ARGS` asks for; empty is none.
pub(super) fn of_args(args: &CniArgs) -> Result<Vec<IpAddr>, Error> {
    let read = |text: &str| -> Result<Vec<IpAddr>, Error> {
        text.split(',')
            .filter(|it| !it.is_empty())
            .map(requested)
            .collect()
    };
    Ok(args.get_parsed("IP", read)?.unwrap_or_default())
}

/// What the runtime of Kubernetes passes to every plugin.
pub(super) const KNOWN_ARGS: [&str; 6] = [
    "IP",
    "GATEWAY",
    "K8S_POD_NAMESPACE",
    "K8S_POD_NAME",
    "K8S_POD_INFRA_CONTAINER_ID",
    "K8S_POD_UID",
];

/// Reads a configuration, and `CNI_ARGS`.
pub(super) fn read(conf: &PluginConf, _version: Version, args: &str) -> Result<Plan, Error> {
    let document: Document = conf.decode()?;
    let args = CniArgs::parse(args)?;
    let mut wanted = of_args(args.known(&KNOWN_ARGS)?)?;
    wanted.extend(document.args.cni.ips.into_iter().map(|ip| ip.0));
    wanted.extend(document.runtime_config.ips.into_iter().map(|ip| ip.0));
    let ipam = document.ipam.ok_or(ClusterError::NoIpam)?;
    let mut sets = Vec::new();
    for (index, ranges) in ipam.ranges.into_iter().enumerate() {
        let origin = format!("ipam.ranges[{index}]");
        sets.push(set(ranges, &origin)?);
    }
    if sets.is_empty() {
        return Err(ClusterError::NoRanges("ipam.ranges").into());
    }
    plan::refuse_overlap(&sets)?;
    plan::assign(&mut sets, wanted)?;
    if let Some(size) = ipam.grant.filter(|it| !it.is_power_of_two() || *it > 64) {
        return Err(ClusterError::Grant(size).into());
    }
    Ok(Plan {
        space: plan::space(&ipam.space)?,
        sets,
        keep: plan::keep(&ipam.keep)?,
        grant: ipam.grant,
        wait: plan::wait(ipam.wait)?,
        routes: ipam.routes,
        resolv_conf: (!ipam.resolv_conf.is_empty()).then(|| PathBuf::from(ipam.resolv_conf)),
        dns: Dns::default(),
        pod: plan::pod_of(&args),
    })
}

fn set(ranges: Vec<Range>, origin: &str) -> Result<Set, ClusterError> {
    let mut exclude = Vec::new();
    let mut texts = Vec::new();
    for range in ranges {
        exclude.extend(range.exclude.into_iter().map(|it| it.0));
        texts.push(RangeText {
            subnet: range.subnet,
            start: range.start,
            end: range.end,
            gateway: range.gateway,
        });
    }
    let ranges = RangeSet::new(&texts).map_err(|cause| ClusterError::InvalidSet {
        origin: origin.to_owned(),
        cause: Box::new(cause),
    })?;
    Set::new(ranges, exclude)
}

/// The space, whatever else is wrong: DEL and GC must find what an earlier configuration made.
pub(super) fn space(conf: &PluginConf) -> SpaceName {
    let ipam = conf.get("ipam").and_then(|ipam| ipam.as_object());
    let name = ipam.and_then(|ipam| decode::get(ipam, "space")?.as_str());
    or_default(name.unwrap_or_default())
}

/// The space of that name, or the default one.
pub(super) fn or_default(name: &str) -> SpaceName {
    plan::space(name)
        .or_else(|_| plan::space(""))
        .unwrap_or_else(|_| {
            // "default" is a name.
            unreachable!("the default space has a name")
        })
}
