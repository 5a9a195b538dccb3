//! The configuration that an attachment was added with.

use netloom_spec::{NetworkConfigList, PluginConf};

use crate::Network;

/// The list in the cached configuration, if it still is one of this network.
pub(crate) fn as_added(config: &[u8], current: &Network<'_>) -> Option<NetworkConfigList> {
    let mut list = cached_list(config)?;
    if !list.load_only_inlined_plugins {
        list.plugins.extend_from_slice(plugins_beside(current));
    }
    (list.name == current.name && !list.plugins.is_empty()).then_some(list)
}

/// The list, or the single plugin as a list, that was cached.
pub(crate) fn cached_list(config: &[u8]) -> Option<NetworkConfigList> {
    let list = NetworkConfigList::parse(config).ok()?;
    if !list.plugins.is_empty() {
        return Some(list);
    }
    // The object of a single plugin reads as a list without any.
    let single = PluginConf::parse(config).ok();
    let single = single.and_then(|conf| NetworkConfigList::from_conf(&conf).ok());
    single.or(Some(list))
}

/// The plugins of the network that are not in its list but in the directory beside it: they are
/// not part of the cached configuration.
fn plugins_beside<'a>(network: &Network<'a>) -> &'a [PluginConf] {
    if network.is_single {
        return &[];
    }
    let inlined = NetworkConfigList::parse(&network.bytes).map(|list| list.plugins.len());
    inlined
        .ok()
        .and_then(|count| network.plugins.get(count..))
        .unwrap_or_default()
}
