//! What was reserved before the last reboot.

use netloom_plugins::ipam::host_local;
use netloom_runtime::CachedAttachment;
use netloom_spec::{Error, NetworkConfigList, NetworkName, PluginConf};

/// The addresses that a network's pools still hold, also those of former configurations.
pub(super) fn addresses(
    network: &NetworkConfigList,
    cached: &[CachedAttachment],
) -> Result<Vec<String>, Error> {
    let name = NetworkName::new(&network.name)?;
    let mut all = Vec::new();
    for conf in pools(network, cached) {
        all.extend(host_local::of_earlier_boots(&conf, &name)?);
    }
    all.sort();
    all.dedup();
    Ok(all)
}

/// Frees them, and tells which.
pub(super) fn reclaim(
    network: &NetworkConfigList,
    cached: &[CachedAttachment],
) -> Result<Vec<String>, Error> {
    let name = NetworkName::new(&network.name)?;
    let mut freed = Vec::new();
    for conf in pools(network, cached) {
        freed.extend(host_local::reclaim(&conf, &name)?);
    }
    Ok(freed)
}

/// The plugins that have their addresses from host-local.
fn pools(network: &NetworkConfigList, cached: &[CachedAttachment]) -> Vec<PluginConf> {
    let former = cached
        .iter()
        .filter(|it| it.network == network.name)
        .filter_map(CachedAttachment::list)
        .flat_map(|list| list.plugins);
    let mut pools: Vec<PluginConf> = Vec::new();
    for conf in network.plugins.iter().cloned().chain(former) {
        if conf.ipam_type() == Some("host-local") && !pools.contains(&conf) {
            pools.push(conf);
        }
    }
    pools
}
