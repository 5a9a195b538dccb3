//! What an operation runs: a list, or a single plugin.

use std::borrow::Cow;

use netloom_spec::{NetworkConfigList, PluginConf, Version, version::Triple};

use crate::Error;

/// A network as the operations of [`Cni`](crate::Cni) take it: a borrowed [`NetworkConfigList`],
/// or a single [`PluginConf`] of the deprecated form without a list, which is run with the name
/// and the version that it has itself.
#[derive(Clone, Debug)]
pub struct Network<'a> {
    pub(crate) name: &'a str,
    pub(crate) cni_version: &'a str,
    pub(crate) disable_check: bool,
    pub(crate) disable_gc: bool,
    /// Whether it is a plugin without a list.
    pub(crate) is_single: bool,
    pub(crate) plugins: &'a [PluginConf],
    /// The configuration as it is cached.
    pub(crate) bytes: Cow<'a, [u8]>,
}

impl<'a> From<&'a NetworkConfigList> for Network<'a> {
    fn from(list: &'a NetworkConfigList) -> Self {
        Self {
            name: &list.name,
            cni_version: &list.cni_version,
            disable_check: list.disable_check,
            disable_gc: list.disable_gc,
            is_single: false,
            plugins: &list.plugins,
            bytes: Cow::Borrowed(&list.bytes),
        }
    }
}

impl<'a> From<&'a PluginConf> for Network<'a> {
    fn from(conf: &'a PluginConf) -> Self {
        Self {
            name: conf.name(),
            cni_version: conf.cni_version(),
            disable_check: false,
            disable_gc: false,
            is_single: true,
            plugins: std::slice::from_ref(conf),
            bytes: Cow::Owned(conf.to_bytes()),
        }
    }
}

impl Network<'_> {
    /// The network's name.
    pub fn name(&self) -> &str {
        self.name
    }

    /// The version of the specification that its plugins are asked in.
    pub fn cni_version(&self) -> &str {
        self.cni_version
    }

    /// Whether the configuration's version is `version` or newer, be it known or not.
    pub(crate) fn is_at_least(&self, version: Version) -> Result<bool, Error> {
        let own = Triple::parse(self.cni_version).map_err(Error::Invalid)?;
        Ok(own >= Triple::from(version))
    }

    /// The configuration's version if it is a known one. A newer one is for the plugins to
    /// refuse.
    pub(crate) fn known_version(&self) -> Option<Version> {
        self.cni_version.parse().ok()
    }
}
