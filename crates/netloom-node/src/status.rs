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
        let mut text = String::new();
        let mut metric = |name: &str, kind: &str, help: &str, values: &[(&str, u64)]| {
            let _ = writeln!(text, "# HELP netloom_node_{name} {help}");
            let _ = writeln!(text, "# TYPE netloom_node_{name} {kind}");
            for (labels, value) in values {
                let _ = writeln!(text, "netloom_node_{name}{labels} {value}");
            }
        };
        let one = |value: usize| [("", value as u64)];
        metric(
            "ready",
            "gauge",
            "Whether pods can start.",
            &one(self.ready.into()),
        );
        let connected = one(self.store.connected.into());
        metric(
            "store_connected",
            "gauge",
            "Whether the store answers.",
            &connected,
        );
        metric(
            "mtu_bytes",
            "gauge",
            "The MTU of new pods.",
            &one(self.mtu as usize),
        );
        let peers = &self.peers;
        metric(
            "peers",
            "gauge",
            "Other hosts that are believed.",
            &one(peers.believed),
        );
        let help = "Other hosts that the store does not have any more and that are believed still.";
        metric("peers_remembered", "gauge", help, &one(peers.remembered));
        metric(
            "peer_routes",
            "gauge",
            "Subnets of peers that have a route.",
            &one(peers.routes),
        );
        let help = "Peers that are believed and cannot be reached.";
        metric(
            "peers_unreachable",
            "gauge",
            help,
            &one(peers.unreachable.len()),
        );
        let labelled: Vec<(String, u64)> = peers
            .refused_by
            .iter()
            .map(|(reason, count)| (format!("{{reason={reason:?}}}"), *count as u64))
            .collect();
        let labelled: Vec<(&str, u64)> = labelled.iter().map(|(l, v)| (l.as_str(), *v)).collect();
        let help = "Records of the store that are not believed, by reason.";
        metric("records_refused", "gauge", help, &labelled);
        let granted = self.granted.iter();
        let granted: Vec<(String, u64)> = granted
            .map(|(space, count)| (format!("{{space={space:?}}}"), *count))
            .collect();
        let granted: Vec<(&str, u64)> = granted.iter().map(|(l, v)| (l.as_str(), *v)).collect();
        let help = "Addresses that this node may give, by space.";
        metric("granted_addresses", "gauge", help, &granted);
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
            metric(name, "counter", help, &[("", value)]);
        }
        text
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
