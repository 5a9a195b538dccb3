//! ADD, CHECK and DEL of one attachment (CNI spec 1.1.0, section 3).

use netloom_invoke::Command;
use netloom_spec::{AddResult, Version};

use crate::cache::Key;
use crate::{Cni, Error, Network, RuntimeConf, request};

/// What DEL does when a plugin fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DelMode {
    /// Stops, as the specification says.
    #[default]
    HaltOnError,
    /// Goes on with the other plugins, and reports all errors.
    BestEffort,
}

/// An ADD that failed, and how far it came.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct FailedAdd {
    /// Why it failed.
    #[source]
    pub error: Box<Error>,
    /// The types of the plugins that had succeeded, in order: what they added is there.
    pub added: Vec<String>,
}

impl FailedAdd {
    fn new(error: Error, added: Vec<String>) -> Self {
        let error = Box::new(error);
        Self { error, added }
    }

    fn before_any(error: Error) -> Self {
        Self::new(error, Vec::new())
    }
}

impl Cni {
    /// Adds the container to the network: executes its plugins in order, each with the result of
    /// the one before it, and caches the last result.
    ///
    /// Nothing is undone when it fails: the runtime must follow with [`Cni::del`].
    ///
    /// # Errors
    /// When a plugin is not installed, or the identity of the attachment is not valid, before
    /// anything is executed; when a plugin fails; when the result cannot be cached
    /// ([`Error::SetCachedResult`]: the container then is on the network).
    pub fn add<'a>(
        &self,
        network: impl Into<Network<'a>>,
        rt: &RuntimeConf,
    ) -> Result<AddResult, Error> {
        self.try_add(network, rt).map_err(|failed| *failed.error)
    }

    /// [`Cni::add`] for who wants to know how far it came.
    ///
    /// # Errors
    /// As [`Cni::add`].
    pub fn try_add<'a>(
        &self,
        network: impl Into<Network<'a>>,
        rt: &RuntimeConf,
    ) -> Result<AddResult, FailedAdd> {
        let network = network.into();
        let find = |conf| self.find(conf, Command::Add).map(|path| (conf, path));
        let plugins = network.plugins.iter().map(find);
        let plugins = plugins
            .collect::<Result<Vec<_>, _>>()
            .map_err(FailedAdd::before_any)?;
        rt.check_identity(network.name)
            .map_err(FailedAdd::before_any)?;
        let cache = self.cache(Some(rt));
        let _shared = cache
            .lock_for_add(network.name)
            .map_err(FailedAdd::before_any)?;
        let (mut result, mut added) = (None, Vec::new());
        for (conf, path) in plugins {
            let request = request::about_attachment(&network, conf, result.as_ref(), rt);
            match self.exec_add(conf, &path, &request, rt) {
                Ok(made) => result = Some(made),
                Err(error) => return Err(FailedAdd::new(error, added)),
            }
            added.push(conf.plugin_type().to_owned());
        }
        let Some(result) = result else {
            let network = network.name.to_owned();
            return Err(FailedAdd::before_any(Error::NoPlugins { network }));
        };
        match cache.store(&network, rt, &result) {
            Ok(()) => Ok(result),
            Err(cause) => {
                let network = network.name.to_owned();
                let error = Error::SetCachedResult { network, cause };
                Err(FailedAdd::new(error, added))
            }
        }
    }

    /// Checks that the attachment is as ADD left it: executes the plugins in order, each with the
    /// cached result of ADD. Success without asking them if the configuration has `disableCheck`.
    ///
    /// # Errors
    /// [`Error::CheckNotSupported`] when the configuration is older than 0.4.0;
    /// [`Error::CachedResult`] when there is a cached result that cannot be read; else the first
    /// plugin's error.
    pub fn check<'a>(
        &self,
        network: impl Into<Network<'a>>,
        rt: &RuntimeConf,
    ) -> Result<(), Error> {
        let network = network.into();
        if !network.is_at_least(Version::V0_4_0)? {
            return Err(Error::CheckNotSupported {
                cni_version: network.cni_version.to_owned(),
            });
        }
        if network.disable_check {
            return Ok(());
        }
        rt.check_identity(network.name)?;
        let result = self.cached_result(network.clone(), rt)?;
        network.plugins.iter().try_for_each(|conf| {
            let request = request::about_attachment(&network, conf, result.as_ref(), rt);
            self.exec_run(Command::Check, conf, &request, Some(rt))
        })
    }

    /// Removes the container from the network, and stops at the first plugin that fails. See
    /// [`Cni::del_with`].
    ///
    /// # Errors
    /// As [`Cni::del_with`].
    pub fn del<'a>(&self, network: impl Into<Network<'a>>, rt: &RuntimeConf) -> Result<(), Error> {
        self.del_with(network, rt, DelMode::HaltOnError)
    }

    /// Removes the container from the network: executes the plugins in reverse order, each with
    /// the cached result of ADD, and forgets the attachment if all succeed. A cached result that
    /// is missing or cannot be read is no error, as plugins must do without it. It may be
    /// repeated.
    ///
    /// # Errors
    /// The first plugin's that failed, or in [`DelMode::BestEffort`] all of them
    /// ([`Error::Several`]).
    pub fn del_with<'a>(
        &self,
        network: impl Into<Network<'a>>,
        rt: &RuntimeConf,
        mode: DelMode,
    ) -> Result<(), Error> {
        let network = network.into();
        rt.check_identity(network.name)?;
        let _shared = self.cache(Some(rt)).lock_for_del(network.name);
        self.del_locked(&network, rt, mode)
    }

    /// [`Cni::del_with`] for a caller that holds the network's lock.
    pub(crate) fn del_locked(
        &self,
        network: &Network<'_>,
        rt: &RuntimeConf,
        mode: DelMode,
    ) -> Result<(), Error> {
        let result = match network.is_at_least(Version::V0_4_0)? {
            true => self.cached_result(network.clone(), rt).unwrap_or_default(),
            false => None,
        };
        let mut errors = Vec::new();
        for conf in network.plugins.iter().rev() {
            let request = request::about_attachment(network, conf, result.as_ref(), rt);
            let done = self.exec_run(Command::Del, conf, &request, Some(rt));
            errors.extend(done.err());
            if mode == DelMode::HaltOnError && !errors.is_empty() {
                break;
            }
        }
        if errors.is_empty() {
            // The attachment is gone. An entry that cannot be removed does not change that, and
            // GC will try again.
            let _ = self.cache(Some(rt)).remove(&Key::of(network.name, rt));
        }
        Error::join(errors)
    }
}
