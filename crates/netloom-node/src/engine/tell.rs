//! What the daemon tells of itself.

use netloom_cluster::flannel::Mode;

use super::Engine;
use crate::kernel::Report;

impl Engine {
    /// Counts what a round of the kernel's thread has done.
    pub(super) fn account(&self, report: &Result<Report, String>) {
        let mut status = self.status.get();
        status.counters.rounds += 1;
        let errors = match report {
            Ok(report) => {
                status.counters.kernel_changes += report.changes as u64;
                status.peers.routes = report.routes;
                status.peers.unreachable = report.unreachable.clone();
                status.mtu = report.mtu;
                report.errors.clone()
            }
            Err(why) => vec![why.clone()],
        };
        status.counters.kernel_errors += errors.len() as u64;
        if errors != status.errors {
            for error in &errors {
                note!("{error}");
            }
        }
        status.errors = errors;
    }

    /// Brings the status up to date, on the disk too.
    pub(super) fn tell(&mut self) {
        if self.own.is_none() {
            self.offer();
        }
        let mut status = self.status.get();
        status.pid = std::process::id();
        status.node = self.identity.name.to_string();
        status.subnets = self.own.map(|own| own.to_string()).unwrap_or_default();
        status.uplink = self.uplink.name.clone();
        status.addresses = self.uplink.addresses();
        let mode = self.config.map(|config| match config.backend.mode {
            Mode::HostGw => "host-gw",
            Mode::Vxlan => "vxlan",
            Mode::Auto => "auto",
        });
        status.granted = self.grants.spaces().into_iter().collect();
        status.grants_wait_for = self.grants.hindrance().unwrap_or_default();
        status.mode = mode.unwrap_or_default().to_owned();
        if let Err(error) = status.save(&self.args.places.run_dir) {
            note!("{error:#}");
        }
    }
}
