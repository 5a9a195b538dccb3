//! What GC will do, found out before it does anything.

use std::path::PathBuf;

use netloom_spec::{Attachment, PluginConf, Version};

use super::as_added::as_added;
use super::valid::{Life, Valid};
use crate::{CacheError, CachedAttachment, Error, Network};

/// What [`Cni::gc`](crate::Cni::gc) does, as [`Cni::plan_gc`](crate::Cni::plan_gc) tells it.
#[derive(Debug, Default)]
pub struct GcPlan {
    /// The cached attachments to DEL, with the configuration that each was added with.
    pub stale: Vec<StaleAttachment>,
    /// The plugins, by `type`, that are then asked to remove what belongs to no valid attachment:
    /// those of the network, and those that its cached attachments were added with and that the
    /// network has no more or has changed.
    pub plugins: Vec<String>,
    /// The attachments that stay.
    pub valid: Vec<Attachment>,
    /// Those among them that the cache does not know: [`Judge::beside`](crate::Judge::beside) found
    /// that they live.
    pub beside: Vec<Attachment>,
    /// Entries of the cache that may be about this network and cannot be read. What their names
    /// tell of is valid.
    pub unreadable: Vec<CacheError>,
    /// Entries of the cache that a runtime of this library began and did not end: it was killed, or
    /// in a plan it may be about to end one.
    pub drafts: Vec<PathBuf>,
    /// Whether no valid attachment is known, which is why the plugins are not asked. Not so in a version
    /// without GC, where none is ever asked.
    pub withheld: bool,
    /// Whether the network's configuration has `disableGC`, which is why nothing is done.
    pub disabled: bool,
    pub(super) requests: Vec<Asked>,
}

/// A cached attachment that is not valid.
#[derive(Clone, Debug)]
pub struct StaleAttachment {
    /// What its runtime said.
    pub attachment: CachedAttachment,
    /// Why it is stale; [`Life::Gone`] when the caller said what is valid.
    pub life: Life,
}

/// A plugin to be asked for GC, with the name and version that go into its request.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) cni_version: String,
    pub(super) conf: PluginConf,
}

impl GcPlan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.stale.is_empty() && self.plugins.is_empty() && self.drafts.is_empty()
    }

    /// The attachments that somebody cares for: those that stay, and those that DEL removes with all
    /// that is theirs.
    pub fn accounted(&self) -> Vec<Attachment> {
        let stale = self.stale.iter().map(|it| named(&it.attachment));
        self.valid.iter().cloned().chain(stale).collect()
    }

    /// Leaves what an earlier plan did not have.
    pub(super) fn restrict_to(&mut self, planned: &Self) {
        let was_planned = |it: &StaleAttachment| {
            let mut stale = planned.stale.iter();
            stale.any(|other| named(&other.attachment) == named(&it.attachment))
        };
        let stale = std::mem::take(&mut self.stale);
        let (stale, new): (Vec<_>, Vec<_>) = stale.into_iter().partition(was_planned);
        self.stale = stale;
        self.valid
            .extend(new.iter().map(|it| named(&it.attachment)));
        self.drafts.retain(|draft| planned.drafts.contains(draft));
        let was_asked = |it: &Asked| planned.requests.iter().any(|asked| asked.conf == it.conf);
        self.requests.retain(was_asked);
        self.plugins.retain(|it| planned.plugins.contains(it));
    }

    pub(super) fn disabled() -> Self {
        Self {
            disabled: true,
            ..Self::default()
        }
    }

    pub(super) fn new(
        network: &Network<'_>,
        valid: &Valid<'_>,
        cached: Vec<CachedAttachment>,
        unreadable: Vec<CacheError>,
    ) -> Result<Self, Error> {
        let requests = requests(network, &cached)?;
        let mut beside = valid
            .beside(network.name, &plugins(network, &cached))
            .map_err(|error| Error::Invalid(error.context("find out who lives")))?;
        let judged: Vec<_> = cached
            .into_iter()
            .map(|attachment| match beside.contains(&named(&attachment)) {
                true => (Life::Living, attachment),
                false => (valid.life(&attachment), attachment),
            })
            .collect();
        beside.retain(|it| !judged.iter().any(|(_, cached)| named(cached) == *it));
        let (living, dead): (Vec<_>, Vec<_>) = judged
            .into_iter()
            .partition(|(life, _)| *life == Life::Living);
        let stale = dead
            .into_iter()
            .map(|(life, attachment)| StaleAttachment {
                life: reused(life, &attachment, &living),
                attachment,
            })
            .collect();
        let valid_now = match valid {
            Valid::Only(valid) => valid.to_vec(),
            Valid::Judged(_) | Valid::AllBut(_) => {
                let known = living.iter().map(|(_, living)| named(living));
                known
                    .chain(unreadable.iter().flat_map(|it| it.candidates(network.name)))
                    .chain(beside.iter().cloned())
                    .collect()
            }
            Valid::Nothing | Valid::Untold => Vec::new(),
        };
        let is_asked = network.is_at_least(Version::V1_1_0)?;
        let withheld = matches!(valid, Valid::Judged(_)) && valid_now.is_empty() && is_asked;
        let requests = match valid {
            Valid::AllBut(_) => Vec::new(),
            _ if withheld => Vec::new(),
            _ => requests,
        };
        Ok(Self {
            stale,
            plugins: types(&requests),
            valid: valid_now,
            beside,
            unreadable,
            drafts: Vec::new(),
            withheld,
            disabled: false,
            requests,
        })
    }
}

/// The types of the plugins that are asked, each once.
fn types(requests: &[Asked]) -> Vec<String> {
    let mut types: Vec<String> = Vec::new();
    for asked in requests {
        let kind = asked.conf.plugin_type();
        if !types.iter().any(|listed| listed == kind) {
            types.push(kind.to_owned());
        }
    }
    types
}

fn named(cached: &CachedAttachment) -> Attachment {
    Attachment {
        container_id: cached.container_id.clone(),
        if_name: cached.if_name.clone(),
    }
}

/// Two containers at one path: it leads to the one that lives.
fn reused(life: Life, dead: &CachedAttachment, living: &[(Life, CachedAttachment)]) -> Life {
    let taken = !dead.netns.is_empty()
        && living.iter().any(|(_, living)| {
            living.netns == dead.netns && living.container_id != dead.container_id
        });
    if taken { Life::NetnsReused } else { life }
}

/// The plugins of the network, and those that its cached attachments were added with.
fn plugins(network: &Network<'_>, cached: &[CachedAttachment]) -> Vec<PluginConf> {
    let as_added = cached
        .iter()
        .filter_map(|it| as_added(&it.config, network))
        .flat_map(|list| list.plugins);
    let mut plugins: Vec<PluginConf> = Vec::new();
    for conf in network.plugins.iter().cloned().chain(as_added) {
        if !plugins.contains(&conf) {
            plugins.push(conf);
        }
    }
    plugins
}

/// The plugins to ask: those of the network, then those of cached configurations that differ. None
/// if the network's version has no GC.
fn requests(network: &Network<'_>, cached: &[CachedAttachment]) -> Result<Vec<Asked>, Error> {
    let mut requests: Vec<Asked> = Vec::new();
    let mut ask = |cni_version: &str, conf: &PluginConf| {
        if !requests.iter().any(|asked| asked.conf == *conf) {
            requests.push(Asked {
                cni_version: cni_version.to_owned(),
                conf: conf.clone(),
            });
        }
    };
    if !network.is_at_least(Version::V1_1_0)? {
        return Ok(requests);
    }
    for conf in network.plugins {
        ask(network.cni_version, conf);
    }
    for cached in cached {
        let Some(list) = as_added(&cached.config, network) else {
            continue;
        };
        let then = Network::from(&list);
        if !list.disable_gc && then.is_at_least(Version::V1_1_0).unwrap_or(false) {
            for conf in &list.plugins {
                ask(&list.cni_version, conf);
            }
        }
    }
    Ok(requests)
}
