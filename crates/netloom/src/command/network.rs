//! `add`, `check`, `del` and `status`: one attachment to one network.

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, Result};
use netloom_runtime::{Cni, DelMode, RuntimeConf, undeclared_capabilities};
use netloom_spec::{NetworkConfigList, Version, terminal};

use super::target::{self, Attachment};
use crate::cli::{Del, Network, Target};
use crate::configured::{cni, find};
use crate::options::Options;

pub(super) fn add(options: &Options, target: &Target) -> Result<()> {
    let network = find(options, &target.network)?;
    let cni = cni(options);
    let runtime = target::new(options, target)?;
    for name in undeclared_capabilities(&network, &runtime) {
        note!(
            "netloom: CAP_ARGS has {name:?}, which no plugin of network {:?} gets: none has \
             \"capabilities\": {{{name:?}: true}} in its configuration",
            network.name
        );
    }
    let before = target::before_add(&cni, &network.name, &runtime);
    let result = match cni.try_add(&network, &runtime) {
        Ok(result) => result,
        Err(failed) => {
            if !failed.added.is_empty() {
                undo(&cni, &network, &runtime, &failed.added, before);
            }
            return Err((*failed.error).into());
        }
    };
    // cnitool prints the result in the configuration's version; a newer one than we know was
    // refused by the plugins.
    let version = network.cni_version.parse().unwrap_or(Version::LATEST);
    let text = result.to_json(version)?;
    let mut stdout = io::stdout();
    // To programs it is cnitool's to the byte, which ends no line; a prompt needs a line of its own.
    let end = if stdout.is_terminal() { "\n" } else { "" };
    write!(stdout, "{}{end}", terminal::json(&text))
        .and_then(|()| stdout.flush())
        .context("print the result")
}

/// Deletes what the first plugins of a failed ADD have added, as the specification has runtimes do;
/// but not what was there `before`, which would go as well.
fn undo(
    cni: &Cni,
    network: &NetworkConfigList,
    runtime: &RuntimeConf,
    added: &[String],
    before: Option<String>,
) {
    let added = added.join(", ");
    if let Some(before) = before {
        return note!(
            "netloom: what {added} had added is not deleted after the failed ADD, as {before}"
        );
    }
    match cni.del_with(network, runtime, DelMode::BestEffort) {
        Ok(()) => note!("netloom: what {added} had added was deleted after the failed ADD"),
        Err(error) => note!(
            "netloom: what {added} had added could not all be deleted after the failed ADD: {error}"
        ),
    }
}

pub(super) fn check(options: &Options, target: &Target) -> Result<()> {
    let cni = cni(options);
    let it = Attachment::find(&cni, options, target)?;
    Ok(cni.check(&it.network, &it.runtime)?)
}

pub(super) fn del(options: &Options, del: &Del) -> Result<()> {
    let mode = if del.best_effort {
        DelMode::BestEffort
    } else {
        DelMode::HaltOnError
    };
    let cni = cni(options);
    let it = Attachment::find(&cni, options, &del.target)?;
    if let Err(error) = cni.cached_result(&it.network, &it.runtime) {
        note!("netloom: {error}; the plugins are not told the result of ADD");
    }
    cni.del_with(&it.network, &it.runtime, mode)?;
    if !it.is_cached {
        note!("netloom: {}", never_attached(&it));
    }
    Ok(())
}

/// What to tell who deleted something that the cache knows nothing of.
fn never_attached(it: &Attachment) -> String {
    let (network, runtime) = (&it.network.name, &it.runtime);
    let there: Vec<_> = it
        .beside
        .iter()
        .map(|other| {
            format!(
                "network {:?} as {:?} (container {})",
                other.network, other.if_name, other.container_id
            )
        })
        .collect();
    let there = match there.as_slice() {
        [] => "nothing".to_owned(),
        there => there.join(", "),
    };
    format!(
        "no attachment of container {} to network {network:?} as {:?} was known; attached to {:?}: \
         {there}",
        runtime.container_id, runtime.if_name, runtime.netns
    )
}

pub(super) fn status(options: &Options, network: &Network) -> Result<()> {
    Ok(cni(options).status(&find(options, &network.network)?)?)
}
