//! GC: removing what belongs to no valid attachment (CNI spec 1.1.0, sections 2 and 3).

pub(crate) mod as_added;
mod plan;
mod valid;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use netloom_invoke::Command;
use netloom_spec::{Attachment, Version};

pub use self::plan::{GcPlan, StaleAttachment};
pub use self::valid::{Judge, Life, Valid};
use crate::{CacheError, Cni, DelMode, Error, Network, RuntimeConf, request};
use as_added::as_added;

impl Cni {
    /// Removes everything of the network that belongs to no valid attachment: executes DEL for each
    /// cached attachment that is stale, with the configuration it was added with; then, if the
    /// configuration is of 1.1.0 or newer, GC of every plugin, also of those that only the cached
    /// attachments were added with. What runtimes left half-written in the cache that were killed
    /// goes as well.
    ///
    /// Success without doing anything if the configuration has `disableGC`. While it runs, ADD
    /// and DEL of the network wait, in every process that uses this library and this cache
    /// directory. What another runtime adds meanwhile, or after [`Valid::Only`] was put together,
    /// is taken for stale: hold back ADD.
    ///
    /// # Errors
    /// [`Error::NothingValid`] for [`Valid::Only`] without any, before anything is done; else all
    /// errors ([`Error::Several`] if more than one), as one does not stop the rest. Entries of the
    /// cache that cannot be read are among them.
    pub fn gc<'a>(
        &self,
        network: impl Into<Network<'a>>,
        valid: Valid<'_>,
    ) -> Result<GcPlan, Error> {
        self.gc_within(&network.into(), valid, None)
    }

    /// [`Cni::gc`] that does no more than was planned, so that nobody sees more go than was agreed to.
    /// Everything is judged again, and what lives by now stays. What has ended since then stays too,
    /// until the next GC, and the plugins are told that it is valid.
    ///
    /// # Errors
    /// As for [`Cni::gc`].
    pub fn gc_as_planned<'a>(
        &self,
        network: impl Into<Network<'a>>,
        planned: &GcPlan,
        valid: Valid<'_>,
    ) -> Result<GcPlan, Error> {
        self.gc_within(&network.into(), valid, Some(planned))
    }

    fn gc_within(
        &self,
        network: &Network<'_>,
        valid: Valid<'_>,
        planned: Option<&GcPlan>,
    ) -> Result<GcPlan, Error> {
        if network.disable_gc {
            return Ok(GcPlan::disabled());
        }
        if matches!(valid, Valid::Only([])) {
            return Err(Error::NothingValid {
                network: network.name.to_owned(),
            });
        }
        network.is_at_least(Version::V1_1_0)?;
        let _exclusive = self.cache(None).lock_for_gc(network.name)?;
        let (mut plan, listed) = self.plan_locked(network, &valid)?;
        if let Some(planned) = planned {
            plan.restrict_to(planned);
        }
        let mut errors: Vec<Error> = listed.into_iter().collect();
        errors.extend(
            std::mem::take(&mut plan.unreadable)
                .into_iter()
                .map(|cause| Error::CachedAttachments { cause }),
        );
        errors.extend(plan.drafts.iter().filter_map(|draft| discard(draft).err()));
        for stale in &plan.stale {
            errors.extend(self.del_stale(network, stale).err());
        }
        let told = match valid {
            Valid::Untold => None,
            _ => Some(plan.valid.as_slice()),
        };
        errors.extend(self.ask(network, &plan, told));
        Error::join(errors).map(|()| plan)
    }

    /// What [`Cni::gc`] would do now. Nothing is executed or changed.
    ///
    /// # Errors
    /// When the configuration's version is none, or the cache cannot be listed.
    pub fn plan_gc<'a>(
        &self,
        network: impl Into<Network<'a>>,
        valid: Valid<'_>,
    ) -> Result<GcPlan, Error> {
        let network = network.into();
        if network.disable_gc {
            return Ok(GcPlan::disabled());
        }
        match self.plan_locked(&network, &valid)? {
            (_, Some(error)) => Err(error),
            (plan, None) => Ok(plan),
        }
    }

    /// The plan, and why the cache could not be listed, which does not keep the plugins from being
    /// asked by a caller that knows what is valid.
    fn plan_locked(
        &self,
        network: &Network<'_>,
        valid: &Valid<'_>,
    ) -> Result<(GcPlan, Option<Error>), Error> {
        let cache = self.cache(None);
        let listed = cache
            .survey(None, Some(network.name))
            .and_then(|survey| Ok((survey, cache.drafts(network.name)?)));
        let ((survey, drafts), failed) = match listed {
            Ok(listed) => (listed, None),
            Err(cause) => (Default::default(), Some(Error::CachedAttachments { cause })),
        };
        let mut plan = GcPlan::new(network, valid, survey.attachments, survey.unreadable)?;
        plan.drafts = drafts;
        Ok((plan, failed))
    }

    fn ask(
        &self,
        network: &Network<'_>,
        plan: &GcPlan,
        valid: Option<&[Attachment]>,
    ) -> Vec<Error> {
        let ask = |asked: &plan::Asked| {
            let network = Network {
                cni_version: &asked.cni_version,
                ..network.clone()
            };
            let request = request::gc(&network, &asked.conf, valid);
            self.exec_run(Command::Gc, &asked.conf, &request, None)
                .err()
        };
        plan.requests.iter().filter_map(ask).collect()
    }

    fn del_stale(&self, network: &Network<'_>, stale: &StaleAttachment) -> Result<(), Error> {
        let cached = &stale.attachment;
        let as_added = as_added(&cached.config, network);
        let as_added = as_added
            .as_ref()
            .map_or_else(|| network.clone(), Network::from);
        let netns = match stale.life {
            // Not every plugin can tell another container's links from its own.
            Life::NetnsReused => String::new(),
            Life::Living | Life::Gone => cached.netns.clone(),
        };
        let rt = RuntimeConf {
            container_id: cached.container_id.clone(),
            netns,
            if_name: cached.if_name.clone(),
            args: cached.args.clone(),
            capability_args: cached.capability_args.clone(),
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

/// Removes what nobody writes any more: the network is locked.
fn discard(draft: &Path) -> Result<(), Error> {
    match fs::remove_file(draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::CachedAttachments {
            cause: CacheError::Io {
                path: draft.to_owned(),
                cause: error,
            },
        }),
        _ => Ok(()),
    }
}
