//! What is known of attachments that were added.

use netloom_spec::{AddResult, Error as CniError};

use crate::cache::{CacheError, Key};
use crate::{CacheSurvey, CachedAttachment, Cni, Error, Network, RuntimeConf};

impl Cni {
    /// The result of the attachment's last ADD, in the version of the configuration. `None` if
    /// it is not cached.
    ///
    /// # Errors
    /// [`Error::CachedResult`] when it is cached but cannot be read, or not be converted to the
    /// configuration's version.
    pub fn cached_result<'a>(
        &self,
        network: impl Into<Network<'a>>,
        rt: &RuntimeConf,
    ) -> Result<Option<AddResult>, Error> {
        let network = network.into();
        let cached = self.cache(Some(rt)).result(&Key::of(network.name, rt));
        let convert = |result| convert(result, &network).map_err(CacheError::Result);
        cached
            .and_then(|result| result.map(convert).transpose())
            .map_err(|cause| Error::CachedResult {
                network: network.name.to_owned(),
                cause,
            })
    }

    /// The configuration that the attachment was last added with, as it was read, and `rt` with
    /// the arguments and capability arguments of that time. `None` if it is not cached.
    ///
    /// # Errors
    /// [`Error::CachedConfig`] when the cache has an entry that cannot be read, or that is only a
    /// result as libcni before 0.8.0 cached it.
    pub fn cached_config<'a>(
        &self,
        network: impl Into<Network<'a>>,
        rt: &RuntimeConf,
    ) -> Result<Option<(Vec<u8>, RuntimeConf)>, Error> {
        let network = network.into();
        let cached = self.cache(Some(rt)).attachment(&Key::of(network.name, rt));
        let cached = cached.map_err(|cause| Error::CachedConfig {
            network: network.name.to_owned(),
            cause,
        })?;
        Ok(cached.map(|cached| {
            let mut then = rt.clone();
            if !cached.args.is_empty() {
                then.args = cached.args;
            }
            then.capability_args = cached.capability_args;
            (cached.config, then)
        }))
    }

    /// The attachments in the cache, of whatever network, sorted by the name of their files; with
    /// `container_id` only those of this container. Entries that cannot be read are passed over.
    ///
    /// # Errors
    /// [`Error::CachedAttachments`] when the directory cannot be read. That it does not exist is
    /// no error.
    pub fn cached_attachments(
        &self,
        container_id: Option<&str>,
    ) -> Result<Vec<CachedAttachment>, Error> {
        let survey = self.cache(None).survey(container_id, None);
        survey
            .map(|survey| survey.attachments)
            .map_err(|cause| Error::CachedAttachments { cause })
    }

    /// The attachments in the cache, and the files there that tell of none.
    ///
    /// # Errors
    /// [`Error::CachedAttachments`] when the directory cannot be read. That it does not exist is
    /// no error.
    pub fn survey_cache(&self) -> Result<CacheSurvey, Error> {
        let survey = self.cache(None).survey(None, None);
        survey.map_err(|cause| Error::CachedAttachments { cause })
    }
}

/// The result as the configuration's version would have it.
fn convert(result: AddResult, network: &Network<'_>) -> Result<AddResult, CniError> {
    match network.known_version() {
        Some(version) if version != result.cni_version => {
            AddResult::from_value(&result.to_value(version)?, version).map_err(|error| {
                error.context(format_args!(
                    "failed to convert cached result to config version {version:?}"
                ))
            })
        }
        _ => Ok(result),
    }
}
