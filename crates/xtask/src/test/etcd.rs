//! The tier of the cluster's daemon. It is built here alone: its client of etcd needs protoc, and hardly
//! anybody works on it.

use std::process::Command;

use anyhow::Result;

use super::built::{self, DAEMON};
use super::cached::{APISERVER, Cached};
use super::report::{Outcome, Skip};
use super::tiers::{ETCD, Runner};
use crate::{dist, packages, process};

impl Runner {
    pub(super) fn etcd(&mut self, outcome: &mut Outcome) -> Result<()> {
        let missing = packages::missing(packages::FOR_CLUSTER);
        if !missing.is_empty() {
            outcome.skips.push(Skip {
                program: DAEMON.into(),
                test: ETCD.into(),
                reason: format!("needs {}", missing.join(" ")),
            });
            return Ok(());
        }
        let crates = ["--package", DAEMON];
        if self.filter.is_none() {
            self.lint_crates(outcome, &crates);
        }
        // The release's folder gets the daemon last: only this tier asks for it.
        if let Some(bin) = self.product.for_all() {
            let daemon = dist::daemon::build(&self.workspace, bin)?;
            daemon.iter().try_for_each(|daemon| dist::tell(daemon))?;
        }
        // Pods are attached by the plugins, and `netloom node` and the demo execute the daemon.
        let programs = [
            "--package",
            "netloom-plugins",
            "--package",
            "netloom",
            "--bins",
        ];
        process::run(self.workspace.cargo(&["build"]).args(programs))?;
        let all = built::build(&self.workspace, &crates)?;
        let tests = all.iter().filter(|built| built.is_test);
        // A test that wants it says without it why there is none.
        let apiserver = self.apiserver.take().map(Cached::wait);
        let server = match apiserver {
            Some(Ok(file)) => file.into_os_string(),
            Some(Err(why)) => format!("none: {why}").into(),
            None => "none".into(),
        };
        let commands: Vec<(String, Command, bool)> = tests
            .map(|built| {
                let mut command = built.command(&all);
                command.env(APISERVER.variable, &server);
                (built.title(), command, built.wants_all())
            })
            .collect();
        self.run_commands(outcome, commands)
    }
}
