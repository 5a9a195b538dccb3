//! What the daemon tells of itself: to people, to probes, to Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::files;

/// What it knows. As it is in the file, and in `netloom node status --json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Status {
    pub(crate) pid: u32,
    pub(crate) node: String,
    /// Pods can start.
    pub(crate) ready: bool,
    /// Why not.
    pub(crate) reason: String,
    pub(crate) store: StoreStatus,
    pub(crate) subnets: String,
    pub(crate) uplink: String,
    pub(crate) addresses: Vec<std::net::IpAddr>,
    pub(crate) mode: String,
    pub(crate) mtu: u32,
    pub(crate) peers: PeerStatus,
    /// How many addresses this node may give of each space.
    pub(crate) granted: BTreeMap<String, u64>,
    /// Why it can claim no more of them; empty if it can.
    pub(crate) grants_wait_for: String,
    /// What the kernel refused last.
    pub(crate) errors: Vec<String>,
    pub(crate) counters: Counters,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct StoreStatus {
    pub(crate) connected: bool,
    pub(crate) cluster: String,
    /// Why not, or why this node has no place in it.
    pub(crate) error: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PeerStatus {
    /// Records that are believed.
    pub(crate) believed: usize,
    /// Of them, those that the store does not have any more.
    pub(crate) remembered: usize,
    /// Their subnets that have a route.
    pub(crate) routes: usize,
    /// Records that are not believed, with the reason.
    pub(crate) refused: Vec<String>,
    /// How many for each reason.
    pub(crate) refused_by: BTreeMap<String, usize>,
    /// Peers that are believed, and cannot be reached.
    pub(crate) unreachable: Vec<String>,
}

/// What only grows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Counters {
    pub(crate) rounds: u64,
    pub(crate) kernel_changes: u64,
    pub(crate) kernel_errors: u64,
    pub(crate) store_events: u64,
    pub(crate) store_lists: u64,
    pub(crate) store_disconnects: u64,
}

/// The status that all parts of the daemon share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Status>>);

impl Shared {
    pub(crate) fn get(&self) -> MutexGuard<'_, Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the file is.
pub(crate) fn path(run_dir: &Path) -> PathBuf {
    run_dir.join("node.json")
}

impl Status {
    pub(crate) fn load(run_dir: &Path) -> Result<Option<Self>> {
        let bytes = files::read(&path(run_dir), 16 << 20)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    pub(crate) fn save(&self, run_dir: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        files::write(&path(run_dir), &(text + "\n"), 0o644).map(drop)
    }

    /// Prometheus' text format, 0.0.4.
    pub(crate) fn metrics(&self) -> String {
        let mut text = Metrics::default();
        let peers = &self.peers;
        for (name, help, value) in [
            ("ready", "Whether pods can start.", usize::from(self.ready)),
            (
                "store_connected",
                "Whether the store answers.",
                usize::from(self.store.connected),
            ),
            ("mtu_bytes", "The MTU of new pods.", self.mtu as usize),
            ("peers", "Other hosts that are believed.", peers.believed),
            (
                "peers_remembered",
                "Of them, those that the store does not have any more.",
                peers.remembered,
            ),
            (
                "peer_routes",
                "Subnets of peers that have a route.",
                peers.routes,
            ),
            (
                "peers_unreachable",
                "Peers that are believed and cannot be reached.",
                peers.unreachable.len(),
            ),
        ] {
            text.one(name, "gauge", help, value as u64);
        }
        let refused = peers
            .refused_by
            .iter()
            .map(|(why, count)| (why, *count as u64));
        let help = "Records of the store that are not believed, by reason.";
        text.labelled("records_refused", help, "reason", refused);
        let granted = self.granted.iter().map(|(space, count)| (space, *count));
        let help = "Addresses that this node may give, by space.";
        text.labelled("granted_addresses", help, "space", granted);
        self.count(&mut text);
        text.0
    }

    fn count(&self, text: &mut Metrics) {
        let c = &self.counters;
        for (name, help, value) in [
            ("rounds_total", "Comparisons with the kernel.", c.rounds),
            (
                "kernel_changes_total",
                "Changes made in the kernel.",
                c.kernel_changes,
            ),
            (
                "kernel_errors_total",
                "Changes that the kernel refused.",
                c.kernel_errors,
            ),
            (
                "store_events_total",
                "Changes heard from the store.",
                c.store_events,
            ),
            (
                "store_lists_total",
                "Whole lists read from the store.",
                c.store_lists,
            ),
            (
                "store_disconnects_total",
                "Connections to the store that ended.",
                c.store_disconnects,
            ),
        ] {
            text.one(name, "counter", help, value);
        }
    }
}

/// The text as it grows.
#[derive(Default)]
struct Metrics(String);

impl Metrics {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP netloom_node_{name} {help}");
        let _ = writeln!(self.0, "# TYPE netloom_node_{name} {kind}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.head(name, kind, help);
        let _ = writeln!(self.0, "netloom_node_{name} {value}");
    }

    fn labelled<'v>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'v String, u64)>,
    ) {
        self.head(name, "gauge", help);
        for (text, value) in values {
            let _ = writeln!(self.0, "netloom_node_{name}{{{label}={text:?}}} {value}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_its_help_and_type_and_a_number() {
        let mut status = Status {
            ready: true,
            ..Status::default()
        };
        status.peers.refused_by.insert("overlap".into(), 2);
        let text = status.metrics();
        assert!(text.contains("netloom_node_ready 1\n"), "{text}");
        assert!(
            text.contains("netloom_node_records_refused{reason=\"overlap\"} 2\n"),
            "{text}"
        );
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<u64>().is_ok(), "{line}");
            let bare = name.split('{').next().unwrap();
            assert!(text.contains(&format!("# TYPE {bare} ")), "{line}");
        }
    }
}
