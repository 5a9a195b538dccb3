//! What a configuration asks for, whichever plugin's it is.

use super::error::ClusterError;
use crate::wiring::reservations::address::{from_number, number, same_family};
use crate::wiring::reservations::ranges::{Range, RangeSet};
use ipnet::IpNet;
use netloom_cluster::SpaceName;
use netloom_cluster::message::{Pod, WantedRange, WantedSet};
use netloom_cluster::record::Keep;
use netloom_spec::{CniArgs, Dns, Error, Route, net};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Addresses from the first to the last, both included.
pub(super) type Stretch = (IpAddr, IpAddr);

/// The space where the configuration names none.
pub(super) const DEFAULT_SPACE: &str = "default";
/// How long an ADD waits for the daemon unless the configuration says.
pub(super) const DEFAULT_WAIT: u64 = 5;
/// The longest wait: a runtime gives up on a plugin after minutes.
const LONGEST_WAIT: u64 = 600;

/// What a request asks for, checked.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) space: SpaceName,
    /// At least one; each gives one address.
    pub(super) sets: Vec<Set>,
    pub(super) keep: Keep,
    /// The size of a grant, where it is fixed.
    pub(super) grant: Option<u8>,
    pub(super) wait: Duration,
    pub(super) routes: Vec<Route>,
    pub(super) resolv_conf: Option<PathBuf>,
    pub(super) dns: Dns,
    /// The pod's namespace and name, and its UID, as far as the runtime tells.
    pub(super) pod: Option<Pod>,
}

/// One pool.
#[derive(Clone, Debug)]
pub(super) struct Set {
    pub(super) ranges: RangeSet,
    pub(super) exclude: Vec<Stretch>,
    /// The one address that it must be.
    pub(super) requested: Option<IpAddr>,
}

impl Set {
    /// Checks that something is left to give.
    pub(super) fn new(ranges: RangeSet, exclude: Vec<Stretch>) -> Result<Self, ClusterError> {
        let set = Self {
            ranges,
            exclude,
            requested: None,
        };
        if set.stretches().is_empty() {
            return Err(ClusterError::NothingLeft(set.ranges.to_string()));
        }
        Ok(set)
    }

    /// What may be given, in ascending order: the ranges without exclusions and gateways.
    pub(super) fn stretches(&self) -> Vec<Stretch> {
        let mut left = Vec::new();
        for range in self.ranges.ranges() {
            let mut parts = vec![(range.start(), range.end())];
            let gateway = range.gateway().map(|it| (it, it));
            for hole in self.exclude.iter().copied().chain(gateway) {
                parts = parts
                    .into_iter()
                    .flat_map(|part| without(part, hole))
                    .collect();
            }
            left.extend(parts);
        }
        left.sort();
        left
    }

    pub(super) fn wanted(&self) -> WantedSet {
        let range = |(start, end)| WantedRange { start, end };
        WantedSet {
            ranges: self.stretches().into_iter().map(range).collect(),
            address: self.requested,
        }
    }
}

/// A stretch without another one.
fn without((start, end): Stretch, (from, to): Stretch) -> Vec<Stretch> {
    if !same_family(start, from) || to < start || end < from {
        return vec![(start, end)];
    }
    let mut parts = Vec::new();
    if start < from {
        parts.push((start, from_number(number(from) - 1, from)));
    }
    if to < end {
        parts.push((from_number(number(to) + 1, to), end));
    }
    parts
}

/// An exclusion as it is written: a CIDR or one address.
pub(super) fn exclusion(text: &str) -> Result<Stretch, Error> {
    if text.contains('/') {
        let net = net::parse_cidr(text)?.trunc();
        return Ok((net.network(), net.broadcast()));
    }
    net::parse_ip(text).map(|address| (address, address))
}

/// Gives each set the first of the wanted addresses that lies in it.
pub(super) fn assign(sets: &mut [Set], mut wanted: Vec<IpAddr>) -> Result<(), ClusterError> {
    wanted.sort();
    wanted.dedup();
    for set in sets.iter_mut() {
        let may_give = |it: &IpAddr| {
            let stretches = set.stretches();
            stretches
                .iter()
                .any(|(from, to)| same_family(*from, *it) && from <= it && it <= to)
        };
        if let Some(at) = wanted.iter().position(may_give) {
            set.requested = Some(wanted.remove(at));
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let sets = sets.iter().map(|set| set.ranges.to_string()).collect();
    Err(ClusterError::Unfulfilled {
        addresses: wanted,
        sets,
    })
}

/// Two sets must not share an address.
pub(super) fn refuse_overlap(sets: &[Set]) -> Result<(), ClusterError> {
    for (at, set) in sets.iter().enumerate() {
        let earlier = sets[..at]
            .iter()
            .position(|other| set.ranges.overlaps(&other.ranges));
        if let Some(other) = earlier {
            return Err(ClusterError::SetsOverlap(other, at));
        }
    }
    Ok(())
}

/// The pod of `CNI_ARGS`, as Kubernetes' runtimes tell it.
pub(super) fn pod_of(args: &CniArgs) -> Option<Pod> {
    let get = |key| args.get(key).filter(|it| !it.is_empty());
    let name = get("K8S_POD_NAME")?;
    let namespace = get("K8S_POD_NAMESPACE").unwrap_or("default");
    Some(Pod {
        name: format!("{namespace}/{name}"),
        uid: get("K8S_POD_UID").unwrap_or_default().to_owned(),
    })
}

/// `no`, `always` or a time such as `30m`.
pub(super) fn keep(text: &str) -> Result<Keep, ClusterError> {
    match text {
        "" | "no" => return Ok(Keep::No),
        "always" => return Ok(Keep::Always),
        _ => {}
    }
    let unit = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(unit);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => 0,
    };
    match digits
        .parse::<u64>()
        .ok()
        .and_then(|it| it.checked_mul(seconds))
    {
        Some(seconds) if seconds > 0 => Ok(Keep::Seconds(seconds)),
        _ => Err(ClusterError::Keep(text.to_owned())),
    }
}

/// In seconds.
pub(super) fn wait(seconds: Option<u64>) -> Result<Duration, ClusterError> {
    match seconds.unwrap_or(DEFAULT_WAIT) {
        seconds if seconds <= LONGEST_WAIT => Ok(Duration::from_secs(seconds)),
        seconds => Err(ClusterError::Wait(seconds, LONGEST_WAIT)),
    }
}

/// The name of a space, or the default one.
pub(super) fn space(name: &str) -> Result<SpaceName, ClusterError> {
    let name = if name.is_empty() { DEFAULT_SPACE } else { name };
    SpaceName::new(name).map_err(|error| ClusterError::Space(error.to_string()))
}

/// What a pod in the range is told.
pub(super) fn ip_config(address: IpAddr, range: &Range) -> netloom_spec::IpConfig {
    netloom_spec::IpConfig {
        gateway: range.gateway(),
        ..netloom_spec::IpConfig::new(IpNet::new_assert(address, range.prefix_len()))
    }
}
