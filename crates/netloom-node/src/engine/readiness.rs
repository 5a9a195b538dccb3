//! Whether pods can start here, and what runtimes are told of it.

use anyhow::Result;
use netloom_cluster::flannel::subnet_env;

use super::Engine;
use crate::{conflist, files};

impl Engine {
    /// Tells runtimes of the network, once pods can start in it. What was told is not taken back because
    /// something fails later: pods still can start.
    pub(super) fn offer(&mut self) {
        let outcome = self.try_offer();
        let reason = match outcome {
            Ok(reason) => reason,
            Err(error) => Some(format!("{error:#}")),
        };
        let mut status = self.status.get();
        let ready = reason.is_none();
        let reason = reason.unwrap_or_default();
        if status.ready != ready || status.reason != reason {
            match ready {
                true => note!("pods can start"),
                false => note!("pods cannot start: {reason}"),
            }
        }
        status.ready = ready;
        status.reason = reason;
    }

    /// `Some`: why not.
    fn try_offer(&self) -> Result<Option<String>> {
        let (Some(config), Some(subnets)) = (&self.config, &self.own) else {
            return Ok(Some(self.waits_for()));
        };
        let report = match &self.report {
            None => return Ok(Some("the kernel has not been asked yet".into())),
            Some(Err(why)) => return Ok(Some(why.clone())),
            Some(Ok(report)) => report,
        };
        let places = &self.args.places;
        let text = subnet_env(config, subnets, report.mtu, !self.args.no_masquerade);
        files::write(&places.subnet_file, &text, 0o644)?;
        let missing = conflist::missing_plugins(&places.bin_dir);
        if !missing.is_empty() {
            return Ok(Some(format!(
                "{} has no {}: netloom install --bin-dir {}",
                places.bin_dir.display(),
                missing.join(", "),
                places.bin_dir.display()
            )));
        }
        if conflist::drained(places).exists() {
            conflist::remove(places)?;
            return Ok(Some("the node is drained: netloom node drain --end".into()));
        }
        conflist::write(places)?;
        Ok(None)
    }

    /// What a node without a place in the network waits for.
    pub(super) fn waits_for(&self) -> String {
        let status = self.status.get();
        match status.store.error.as_str() {
            "" => "this node has no part of the network yet".to_owned(),
            error => error.to_owned(),
        }
    }
}
