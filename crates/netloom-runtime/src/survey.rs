//! Questions about a network that concern no attachment: STATUS, VERSION, validation.

use std::collections::BTreeSet;

use netloom_invoke::Command;
use netloom_spec::{PluginConf, PluginInfo, Version};

use crate::{Cni, Error, Network, request};

impl Cni {
    /// Tells whether the network can serve ADD: asks the plugins in order. Success without asking
    /// them if the configuration is older than 1.1.0.
    ///
    /// # Errors
    /// The first plugin's, whose [`Error::code`] may be 50 (no ADD) or 51 (and existing containers
    /// are degraded).
    pub fn status<'a>(&self, network: impl Into<Network<'a>>) -> Result<(), Error> {
        let network = network.into();
        if !network.is_at_least(Version::V1_1_0)? {
            return Ok(());
        }
        network.plugins.iter().try_for_each(|conf| {
            let request = request::about_network(&network, conf);
            self.exec_run(Command::Status, conf, &request, None)
        })
    }

    /// Checks that every plugin of the network is installed and supports exactly the
    /// configuration's version. Returns the capabilities that the configuration declares, sorted.
    ///
    /// # Errors
    /// All errors ([`Error::Several`] if more than one).
    pub fn validate<'a>(&self, network: impl Into<Network<'a>>) -> Result<Vec<String>, Error> {
        let network = network.into();
        let (mut capabilities, mut errors) = (BTreeSet::new(), Vec::new());
        for conf in network.plugins {
            errors.extend(self.validate_plugin(&network, conf).err());
            let wanted = conf
                .capabilities()
                .into_iter()
                .filter(|(_, wanted)| *wanted);
            capabilities.extend(wanted.map(|(name, _)| name));
        }
        Error::join(errors)?;
        Ok(capabilities.into_iter().collect())
    }

    fn validate_plugin(&self, network: &Network<'_>, conf: &PluginConf) -> Result<(), Error> {
        let cni_version = match network.cni_version {
            "" => Version::V0_1_0.as_str(),
            version => version,
        };
        let info = self.exec_version(conf.plugin_type(), conf.name())?;
        if info
            .supported_versions
            .iter()
            .any(|version| version == cni_version)
        {
            return Ok(());
        }
        Err(Error::VersionNotSupported {
            plugin_type: conf.plugin_type().to_owned(),
            cni_version: cni_version.to_owned(),
            supported: info.supported_versions,
        })
    }

    /// Asks the plugin of this `type` for the versions it supports.
    ///
    /// # Errors
    /// When it is not installed, or fails, or does not answer with versions.
    pub fn version_info(&self, plugin_type: &str) -> Result<PluginInfo, Error> {
        self.exec_version(plugin_type, "")
    }

    /// Asks every plugin of the network for the versions it supports: each `type`, in the
    /// network's order, with the answer.
    pub fn versions<'a>(
        &self,
        network: impl Into<Network<'a>>,
    ) -> Vec<(String, Result<PluginInfo, Error>)> {
        let ask = |conf: &PluginConf| {
            let info = self.exec_version(conf.plugin_type(), conf.name());
            (conf.plugin_type().to_owned(), info)
        };
        network.into().plugins.iter().map(ask).collect()
    }
}
