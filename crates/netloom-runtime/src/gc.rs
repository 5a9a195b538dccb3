//! GC: removing what belongs to no valid attachment (CNI spec 1.1.0, sections 2 and 3).

use netloom_invoke::Command;
use netloom_spec::{Attachment, NetworkConfigList, PluginConf, Version};

use crate::{CachedAttachment, Cni, DelMode, Error, Network, RuntimeConf, request};

impl Cni {
    /// Removes everything that belongs to no attachment of `valid`: executes DEL for each cached
    /// attachment of this network that is not among them, with the configuration it was added
    /// with; then, if the configuration is of 1.1.0 or newer, GC of every plugin. Without `valid`
    /// no cached attachment is valid, and the plugins are not told which are.
    ///
    /// Success without doing anything if the configuration has `disableGC`. While it runs, ADD
    /// and DEL of the network wait, in every process that uses this library and this cache
    /// directory. An attachment added after `valid` was put together is taken for stale: hold
    /// back ADD meanwhile.
    ///
    /// # Errors
    /// All errors ([`Error::Several`] if more than one): one does not stop the rest.
    pub fn gc<'a>(
        &self,
        network: impl Into<Network<'a>>,
        valid: Option<&[Attachment]>,
    ) -> Result<(), Error> {
        let network = network.into();
        if network.disable_gc {
            return Ok(());
        }
        let has_gc = network.is_at_least(Version::V1_1_0)?;
        let _exclusive = self.cache(None).lock_exclusive(network.name)?;
        let mut errors = self.del_stale(&network, valid.unwrap_or_default());
        for conf in network.plugins.iter().filter(|_| has_gc) {
            let request = request::gc(&network, conf, valid);
            errors.extend(self.exec_run(Command::Gc, conf, &request, None).err());
        }
        Error::join(errors)
    }

    /// DELs the cached attachments of the network that are not `valid`.
    fn del_stale(&self, network: &Network<'_>, valid: &[Attachment]) -> Vec<Error> {
        let cached = match self.cache(None).attachments(None, Some(network.name)) {
            Ok(cached) => cached,
            Err(cause) => return vec![Error::CachedAttachments { cause }],
        };
        let stale = cached.into_iter().filter(|cached| !is_among(cached, valid));
        stale
            .filter_map(|cached| self.del_cached(network, cached).err())
            .collect()
    }

    fn del_cached(&self, network: &Network<'_>, cached: CachedAttachment) -> Result<(), Error> {
        let as_added = as_added(&cached.config, network);
        let as_added = as_added
            .as_ref()
            .map_or_else(|| network.clone(), Network::from);
        let rt = RuntimeConf {
            container_id: cached.container_id,
            netns: cached.netns,
            if_name: cached.if_name,
            args: cached.args,
            capability_args: cached.capability_args,
            cache_dir: None,
        };
        let done = rt
            .check_identity(network.name)
            .and_then(|()| self.del_locked(&as_added, &rt, DelMode::BestEffort));
        done.map_err(|cause| Error::StaleAttachment {
            container_id: rt.container_id,
            if_name: rt.if_name,
            cause: Box::new(cause),
        })
    }
}

fn is_among(cached: &CachedAttachment, valid: &[Attachment]) -> bool {
    valid
        .iter()
        .any(|valid| valid.container_id == cached.container_id && valid.if_name == cached.if_name)
}

/// The list that an attachment was added with, if its cached configuration still is one of this
/// network.
fn as_added(config: &[u8], current: &Network<'_>) -> Option<NetworkConfigList> {
    let mut list = NetworkConfigList::parse(config).ok()?;
    if list.plugins.is_empty() {
        // The object of a single plugin reads as a list without any.
        let single = PluginConf::parse(config).ok();
        if let Some(single) = single.and_then(|conf| NetworkConfigList::from_conf(&conf).ok()) {
            list = single;
        }
    }
    if !list.load_only_inlined_plugins {
        list.plugins.extend_from_slice(plugins_beside(current));
    }
    (list.name == current.name && !list.plugins.is_empty()).then_some(list)
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
