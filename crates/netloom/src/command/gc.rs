//! `gc`: what networks still hold for attachments that are gone.

mod keep;
mod show;
mod went;

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, Result, bail};
use netloom_plugin::Sweep;
use netloom_runtime::{CachedAttachment, Cni, Error, GcPlan, Life, Valid, load};
use netloom_spec::{NetworkConfigList, NetworkName, PluginConf, terminal};

pub(super) use went::{plugins, survey};

use super::Caller;
use super::life::Judge;
use crate::cli::Gc;
use crate::configured::{cni, find};
use crate::options::Options;

/// A network and what is to be done about it.
struct Planned {
    network: NetworkConfigList,
    plan: GcPlan,
    /// Its plugins, and those of former configurations.
    confs: Vec<PluginConf>,
    /// What the plugins will remove.
    objects: Vec<went::Object>,
    /// What was reserved before the last reboot.
    addresses: Vec<String>,
}

pub(super) fn run(options: &Options, gc: &Gc, caller: Caller) -> Result<()> {
    if caller == Caller::Netloom && !gc.dry_run {
        super::pod::end_dead();
    }
    let cni = cni(options);
    if caller == Caller::Cnitool {
        // It removes all that is not told, and would do so beside an option that says less.
        if gc.dry_run || gc.stale_boot || gc.all || !gc.keep.is_empty() {
            bail!("cnitool's gc takes a network and no options: `netloom gc` has them");
        }
        let name = gc.network.as_deref().context("which network?")?;
        cni.gc(&find(options, name)?, Valid::Untold)?;
        return Ok(());
    }
    let cached = cni.cached_attachments(None)?;
    let judge = Judge::new(&cni, &cached);
    // No namespace outlives its kernel: what is at the path now is another's.
    let by_boot = |it: &CachedAttachment| match it.is_of_earlier_boot {
        true => Life::NetnsReused,
        false => Life::Living,
    };
    let keep = keep::named(&gc.keep, gc.network.as_deref(), &cached)?;
    let valid = match (gc.all, keep.as_slice()) {
        _ if gc.stale_boot => Valid::AllBut(&by_boot),
        (true, _) => Valid::Nothing,
        (false, []) => Valid::Judged(&judge),
        (false, keep) => Valid::Only(keep),
    };
    let networks = match &gc.network {
        Some(name) => vec![known(options, name, &cached)?],
        None => all(&load::directory(&options.conf_dir)?, &cached),
    };
    let (mut planned, mut errors) = (Vec::new(), Vec::new());
    for network in networks {
        let name = network.name.clone();
        match Planned::new(&cni, network, valid, &cached, gc.stale_boot) {
            Ok(it) => planned.push(it),
            Err(error) => errors.push(of_network(&name, error)),
        }
    }
    if gc.dry_run {
        show::dry_run(&cni, &planned, options.json)?;
        // Stdout has its document already.
        return joined(errors)
            .map_err(|error| super::Told::with_status(error.to_string(), 1).into());
    }
    let has_work = |it: &Planned| !it.plan.is_empty() || !it.addresses.is_empty();
    if planned.iter().any(has_work) && !gc.yes {
        confirm(&cni, &planned)?;
    }
    errors.extend(collect(&cni, planned, valid, gc.network.is_some()));
    Ok(joined(errors)?)
}

impl Planned {
    /// With what was reserved before the last reboot, if that is to go.
    fn new(
        cni: &Cni,
        network: NetworkConfigList,
        valid: Valid<'_>,
        cached: &[CachedAttachment],
        stale_boot: bool,
    ) -> Result<Self, netloom_spec::Error> {
        let plan = cni.plan_gc(&network, valid)?;
        let confs = plugins(&network, cached);
        let addresses = match stale_boot && !plan.disabled {
            true => {
                let name = NetworkName::new(&network.name)?;
                survey(&name, &confs).of_earlier_boots(Sweep::Look)?
            }
            false => Vec::new(),
        };
        let mut planned = Self {
            confs,
            objects: Vec::new(),
            network,
            plan,
            addresses,
        };
        planned.objects = planned.look_for_objects();
        Ok(planned)
    }
}

impl Planned {
    /// Frees what was reserved before the last reboot, if it was shown. What is freed.
    fn free(&self) -> Result<Vec<String>, netloom_spec::Error> {
        if self.addresses.is_empty() {
            return Ok(Vec::new());
        }
        let name = NetworkName::new(&self.network.name)?;
        let warn = |message: &str| note!("netloom: {name}: {message}");
        survey(&name, &self.confs).of_earlier_boots(Sweep::Remove { warn: &warn })
    }
}

fn of_network(name: &str, error: netloom_spec::Error) -> Error {
    Error::Invalid(error.context(format_args!("network {name:?}")))
}

/// One network does not keep the others from being collected.
fn joined(mut errors: Vec<Error>) -> Result<(), Error> {
    match errors.len() {
        0 => Ok(()),
        1 => Err(errors.remove(0)),
        _ => Err(Error::Several(errors)),
    }
}

/// Does what was shown, and no more. What failed.
fn collect(cni: &Cni, planned: Vec<Planned>, valid: Valid<'_>, is_named: bool) -> Vec<Error> {
    let mut errors = Vec::new();
    for it in planned {
        let (network, stale) = (&it.network, it.stale_in_words(cni));
        match cni.gc_as_planned(network, &it.plan, valid) {
            // Who asked for this network and got nothing must know why.
            Ok(plan) if plan.withheld && is_named && plan.is_empty() => {
                errors.push(Error::NothingValid {
                    network: network.name.clone(),
                })
            }
            Ok(plan) => show::remark(network, &plan),
            Err(error) => errors.push(error),
        }
        it.tell_what_went(cni, &stale);
        match it.free() {
            Ok(freed) if freed.is_empty() => {}
            Ok(freed) => note!("netloom: {}: freed {}", network.name, freed.join(" ")),
            Err(error) => errors.push(of_network(&network.name, error)),
        }
    }
    errors
}

/// Asks on the terminal.
fn confirm(cni: &Cni, planned: &[Planned]) -> Result<()> {
    if !io::stdin().is_terminal() {
        bail!(
            "nothing was removed: there is no terminal to ask on. Say --dry-run to see what would \
             be, --yes to remove it"
        );
    }
    let mut stderr = io::stderr();
    stderr.write_all(terminal::lines(&show::words(cni, planned)).as_bytes())?;
    write!(
        stderr,
        "Only what nobody adds meanwhile is safe: no runtime but netloom waits.\nRemove this? [y/N] "
    )?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    if ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    bail!("nothing was removed");
}

/// The network of this name: as it is configured, or else as it was when its last attachments
/// were added.
fn known(options: &Options, name: &str, cached: &[CachedAttachment]) -> Result<NetworkConfigList> {
    find(options, name).or_else(|error| was_configured(name, cached).ok_or(error))
}

fn was_configured(name: &str, cached: &[CachedAttachment]) -> Option<NetworkConfigList> {
    cached
        .iter()
        .filter(|it| it.network == name)
        .filter_map(CachedAttachment::list)
        .find(|list| list.name == name)
}

/// Every network that is configured, then those that only the cache knows.
pub(super) fn all(
    directory: &load::Directory,
    cached: &[CachedAttachment],
) -> Vec<NetworkConfigList> {
    let mut networks: Vec<NetworkConfigList> = Vec::new();
    for file in &directory.networks {
        if !networks.iter().any(|it| it.name == file.list.name) {
            networks.push(file.list.clone());
        }
    }
    for problem in &directory.problems {
        note!("netloom: {}", problem.error);
    }
    for it in cached {
        if networks.iter().any(|network| network.name == it.network) {
            continue;
        }
        match was_configured(&it.network, cached) {
            Some(list) => networks.push(list),
            None => note!(
                "netloom: network {:?} is not configured, and the configuration cached with {} {} \
                 cannot be read",
                it.network,
                it.container_id,
                it.if_name
            ),
        }
    }
    networks
}
