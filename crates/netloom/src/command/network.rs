//! `add`, `check`, `del` and `status`: one attachment to one network.

use std::io::{self, Write};

use anyhow::{Context, Result};
use netloom_runtime::{Cni, DelMode, RuntimeConf, load};
use netloom_spec::{NetworkConfigList, Version};

use crate::cli::{Del, Network, Options, Target};
use crate::environment;

pub(super) fn add(options: &Options, target: &Target) -> Result<()> {
    let network = find(options, &target.network)?;
    let result = cni(options).add(&network, &runtime_conf(options, target)?)?;
    // cnitool prints the result in the configuration's version; a newer one than we know was
    // refused by the plugins.
    let version = network.cni_version.parse().unwrap_or(Version::LATEST);
    let text = result.to_json(version)?;
    io::stdout()
        .write_all(text.as_bytes())
        .context("print the result")
}

pub(super) fn check(options: &Options, target: &Target) -> Result<()> {
    let network = find(options, &target.network)?;
    Ok(cni(options).check(&network, &runtime_conf(options, target)?)?)
}

pub(super) fn del(options: &Options, del: &Del) -> Result<()> {
    let mode = if del.best_effort {
        DelMode::BestEffort
    } else {
        DelMode::HaltOnError
    };
    let network = find(options, &del.target.network)?;
    let runtime = runtime_conf(options, &del.target)?;
    if let Err(error) = cni(options).cached_result(&network, &runtime) {
        eprintln!("netloom: {error}; the plugins are not told the result of ADD");
    }
    Ok(cni(options).del_with(&network, &runtime, mode)?)
}

pub(super) fn status(options: &Options, network: &Network) -> Result<()> {
    Ok(cni(options).status(&find(options, &network.network)?)?)
}

/// The runtime library with the plugin directories of CNI_PATH and the cache of the options.
pub(super) fn cni(options: &Options) -> Cni {
    Cni::new(environment::plugin_dirs()).cache_dir(&options.cache_dir)
}

/// The network of this name in the configuration directory.
pub(super) fn find(options: &Options, name: &str) -> Result<NetworkConfigList> {
    load::find_by_name(&options.conf_dir, name)
        .map_err(|error| netloom_spec::Error::from(error).into())
}

fn runtime_conf(options: &Options, target: &Target) -> Result<RuntimeConf> {
    let netns = environment::absolute_netns(&target.netns)?;
    let id = match &target.container_id {
        Some(id) => id.clone(),
        None => environment::container_id(&netns),
    };
    let mut conf = RuntimeConf::new(id, netns.to_string_lossy(), &options.ifname);
    conf.args = environment::cni_args()?;
    conf.capability_args = environment::capability_args()?;
    Ok(conf)
}
