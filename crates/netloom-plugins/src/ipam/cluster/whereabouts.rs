//! whereabouts' configuration.
//!
//! Keys that say how whereabouts reaches its store, elects a leader, writes its log or reconciles are
//! accepted and have no effect: netloom-node has the store, and nothing is to be reconciled.

use super::config::{KNOWN_ARGS, of_args, or_default, requested};
use super::error::ClusterError;
use super::plan::{self, Plan, Set, Stretch};
use crate::wiring::reservations::ranges::{Range, RangeSet, RangeText};
use crate::wiring::state_file;
use ipnet::IpNet;
use netloom_cluster::SpaceName;
use netloom_cluster::record::Keep;
use netloom_spec::{CniArgs, Dns, Error, PluginConf, Route, Version, decode, net};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::Path;

/// Where whereabouts looks for settings of the whole node, the first that is there.
const FLAT_FILES: [&str; 2] = [
    "/etc/kubernetes/cni/net.d/whereabouts.d/whereabouts.conf",
    "/etc/cni/net.d/whereabouts.d/whereabouts.conf",
];

#[derive(Default, Deserialize)]
#[serde(default)]
struct Ipam {
    #[serde(flatten)]
    single: Pool,
    #[serde(rename = "ipRanges")]
    pools: Vec<Pool>,
    gateway: String,
    routes: Vec<Route>,
    dns: Dns,
    addresses: Vec<Static>,
    network_name: String,
    node_slice_size: String,
    wait: Option<u64>,
    keep: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pool {
    range: String,
    #[serde(rename = "range_start")]
    start: String,
    #[serde(rename = "range_end")]
    end: String,
    exclude: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Static {
    address: String,
    gateway: String,
}

/// Reads a configuration, and `CNI_ARGS`.
pub(super) fn read(conf: &PluginConf, _version: Version, args: &str) -> Result<Plan, Error> {
    let args = CniArgs::parse(args)?;
    let mut wanted = of_args(args.known(&KNOWN_ARGS)?)?;
    let object = ipam(conf)?;
    let ipam: Ipam = decode::from_value_at(&Value::Object(object.clone().into_owned()), "ipam")?;
    let gateway = match args.get("GATEWAY").filter(|it| !it.is_empty()) {
        Some(text) => Some(requested(text)?),
        None if ipam.gateway.is_empty() => None,
        None => Some(requested(&ipam.gateway)?),
    };
    let pools = (!ipam.single.range.is_empty())
        .then_some(&ipam.single)
        .into_iter();
    let mut sets = Vec::new();
    for pool in pools.chain(&ipam.pools) {
        sets.push(set(pool, gateway)?);
    }
    for one in &ipam.addresses {
        let (set, address) = of_static(one)?;
        sets.push(set);
        wanted.push(address);
    }
    if sets.is_empty() {
        return Err(ClusterError::NoRanges("ipam.range").into());
    }
    plan::refuse_overlap(&sets)?;
    plan::assign(&mut sets, wanted)?;
    Ok(Plan {
        space: plan::space(&space_name(&object))?,
        grant: slice(&ipam.node_slice_size, sets[0].ranges.is_ipv4())?,
        sets,
        keep: match plan::keep(&ipam.keep)? {
            Keep::No => Keep::No,
            keep => keep,
        },
        wait: plan::wait(ipam.wait)?,
        routes: ipam.routes,
        resolv_conf: None,
        dns: ipam.dns,
        pod: plan::pod_of(&args),
    })
}

/// `ipam`, completed by what the flat file says and the configuration does not.
fn ipam(conf: &PluginConf) -> Result<Cow<'_, Map<String, Value>>, Error> {
    let ipam = conf.get("ipam").and_then(Value::as_object);
    let ipam = ipam.ok_or(ClusterError::NoIpam)?;
    let named = decode::get(ipam, "configuration_path").and_then(Value::as_str);
    let named = named.filter(|it| !it.is_empty());
    let candidates = named.map_or_else(|| FLAT_FILES.to_vec(), |path| vec![path]);
    for path in candidates {
        let bytes = match state_file::read_configuration(Path::new(path)) {
            Ok(bytes) => bytes,
            Err(cause) if cause.kind() == ErrorKind::NotFound => continue,
            Err(cause) => {
                let path = path.into();
                return Err(ClusterError::FlatFile { path, cause }.into());
            }
        };
        let flat = decode::parse_object(&bytes)
            .map_err(|error| Error::new(error.code, format!("{path}: {}", error.msg)))?;
        let mut whole = ipam.clone();
        for (key, value) in flat {
            if decode::get(&whole, &key).is_none() {
                whole.insert(key, value);
            }
        }
        return Ok(Cow::Owned(whole));
    }
    Ok(Cow::Borrowed(ipam))
}

fn set(pool: &Pool, gateway: Option<IpAddr>) -> Result<Set, Error> {
    let origin = || format!("range {:?}", pool.range);
    let optional = |text: &str| -> Result<Option<IpAddr>, Error> {
        (!text.is_empty()).then(|| requested(text)).transpose()
    };
    let (mut start, mut end) = (optional(&pool.start)?, optional(&pool.end)?);
    let subnet = match pool.range.split_once('-') {
        Some((first, rest)) => {
            let net = net::parse_cidr(rest)?;
            start = start.or(Some(net::parse_ip(first)?));
            end = end.or(Some(net.addr()));
            net.trunc()
        }
        None => net::parse_cidr(&pool.range)?.trunc(),
    };
    let text = RangeText {
        subnet: Some(subnet),
        start,
        end,
        gateway: None,
    };
    let invalid = |cause| ClusterError::InvalidSet {
        origin: origin(),
        cause: Box::new(cause),
    };
    // As there, no address is the gateway unless it is named.
    let range = Range::new(&text).map_err(invalid)?;
    let range = range.with_gateway(gateway.filter(|it| subnet.contains(it)));
    let exclude: Result<Vec<Stretch>, Error> =
        pool.exclude.iter().map(|it| plan::exclusion(it)).collect();
    let ranges = RangeSet::of(vec![range]).map_err(invalid)?;
    Ok(Set::new(ranges, exclude?)?)
}

/// One of `addresses`: a pool of one address.
fn of_static(one: &Static) -> Result<(Set, IpAddr), Error> {
    let net: IpNet = net::parse_cidr(&one.address)?;
    let address = net.addr().to_canonical();
    let text = RangeText {
        subnet: Some(net.trunc()),
        start: Some(address),
        end: Some(address),
        gateway: None,
    };
    let invalid = |cause| ClusterError::InvalidSet {
        origin: format!("addresses {:?}", one.address),
        cause: Box::new(cause),
    };
    let gateway = (!one.gateway.is_empty())
        .then(|| requested(&one.gateway))
        .transpose()?;
    let range = Range::new(&text).map_err(invalid)?.with_gateway(gateway);
    let ranges = RangeSet::of(vec![range]).map_err(invalid)?;
    Ok((Set::new(ranges, Vec::new())?, address))
}

/// A prefix length such as `/28`, as the size of a grant.
fn slice(text: &str, is_ipv4: bool) -> Result<Option<u8>, ClusterError> {
    let Some(digits) = Some(text.trim_start_matches('/')).filter(|it| !it.is_empty()) else {
        return Ok(None);
    };
    let bits = if is_ipv4 { 32 } else { 128 };
    match digits.parse::<u8>() {
        Ok(length) if length <= bits => Ok(Some(1 << (bits - length).min(6))),
        _ => Err(ClusterError::Slice(text.to_owned())),
    }
}

/// Networks share a space, as whereabouts keeps their ranges from overlapping; one that it does not
/// keep so has a space for its range.
fn space_name(ipam: &Map<String, Value>) -> String {
    let text = |key| {
        decode::get(ipam, key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let name = text("network_name");
    let overlaps = decode::get(ipam, "enable_overlapping_ranges").and_then(Value::as_bool);
    if !name.is_empty() || overlaps != Some(false) {
        return name.to_owned();
    }
    let first = decode::get(ipam, "ipRanges").and_then(|it| it.get(0)?.get("range")?.as_str());
    let range = Some(text("range"))
        .filter(|it| !it.is_empty())
        .or(first)
        .unwrap_or_default();
    format!("range-{}", range.replace(['/', ':'], "-"))
}

/// The space, whatever else is wrong.
pub(super) fn space(conf: &PluginConf) -> SpaceName {
    let whole = ipam(conf).ok();
    or_default(&whole.map(|it| space_name(&it)).unwrap_or_default())
}
