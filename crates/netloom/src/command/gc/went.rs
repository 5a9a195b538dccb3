//! What a GC removed, told object by object: by looking before and after.

use std::collections::BTreeMap;

use netloom_plugin::{Removal, Survey};
use netloom_plugins::registry::PLUGINS;
use netloom_runtime::{CachedAttachment, Cni};
use netloom_spec::{NetworkConfigList, NetworkName, PluginConf};

use super::super::list::addresses;
use super::Planned;

/// A kind of object, and the object.
pub(super) type Object = (&'static str, String);

/// The plugins of a network, and those that its cached attachments were added with.
pub(in super::super) fn plugins(
    list: &NetworkConfigList,
    cached: &[CachedAttachment],
) -> Vec<PluginConf> {
    let of_network = cached.iter().filter(|it| it.network == list.name);
    let former = of_network
        .filter_map(CachedAttachment::list)
        .flat_map(|list| list.plugins);
    let mut plugins = list.plugins.clone();
    for conf in former {
        if !plugins.contains(&conf) {
            plugins.push(conf);
        }
    }
    plugins
}

/// What netloom's plugins tell of a network.
pub(in super::super) fn survey<'a>(
    network: &'a NetworkName,
    plugins: &'a [PluginConf],
) -> Survey<'a> {
    Survey {
        registry: PLUGINS,
        network,
        plugins,
    }
}

impl Planned {
    /// What the plugins will remove beside what goes with the attachments that are deleted.
    pub(super) fn look_for_objects(&self) -> Vec<Object> {
        let Ok(network) = NetworkName::new(&self.network.name) else {
            return Vec::new();
        };
        if self.plan.plugins.is_empty() {
            return Vec::new();
        }
        let owners = self.plan.accounted();
        let (found, _) = survey(&network, &self.confs).orphans(&owners);
        let collected = found.into_iter().filter(|it| it.removal == Removal::Gc);
        collected.map(|it| (it.kind, it.what)).collect()
    }

    /// Each attachment to be deleted, in words.
    pub(super) fn stale_in_words(&self, cni: &Cni) -> BTreeMap<(String, String), String> {
        let named = |it: &CachedAttachment| {
            let (id, if_name) = (it.container_id.clone(), it.if_name.clone());
            let words = format!("{id} {if_name} {}", addresses(cni, it).join(" "));
            ((id, if_name), words.trim_end().to_owned())
        };
        let stale = self.plan.stale.iter();
        stale.map(|it| named(&it.attachment)).collect()
    }

    /// Says on stderr what is not there any more of what was planned.
    pub(super) fn tell_what_went(&self, cni: &Cni, stale: &BTreeMap<(String, String), String>) {
        let name = &self.network.name;
        let cached = cni.cached_attachments(None).unwrap_or_default();
        let is_there = |(id, if_name): &(String, String)| {
            let mut cached = cached.iter();
            cached.any(|it| it.network == *name && it.container_id == *id && it.if_name == *if_name)
        };
        for (_, words) in stale.iter().filter(|(key, _)| !is_there(key)) {
            note!("netloom: {name}: deleted {words}");
        }
        for draft in self.plan.drafts.iter().filter(|it| !it.exists()) {
            note!("netloom: {name}: removed {}", draft.display());
        }
        if self.objects.is_empty() {
            return;
        }
        let left = self.look_for_objects();
        for (kind, what) in self.objects.iter().filter(|it| !left.contains(it)) {
            note!("netloom: {name}: removed {kind}: {what}");
        }
    }
}
