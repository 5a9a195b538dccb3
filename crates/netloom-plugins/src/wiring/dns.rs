//! `dns` of an interface plugin's own configuration.

use netloom_spec::Dns;
use serde::Deserialize;

/// `dns` of the plugin's own configuration. A list that is present counts, even
/// when it is empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OwnDns {
    nameservers: Option<Vec<String>>,
    domain: String,
    search: Option<Vec<String>>,
    options: Option<Vec<String>>,
}

impl OwnDns {
    /// The DNS settings that replace those of the IPAM plugin.
    pub(crate) fn replacement(&self) -> Option<Dns> {
        let given = self.nameservers.is_some()
            || self.search.is_some()
            || self.options.is_some()
            || !self.domain.is_empty();
        given.then(|| Dns {
            nameservers: self.nameservers.clone().unwrap_or_default(),
            domain: self.domain.clone(),
            search: self.search.clone().unwrap_or_default(),
            options: self.options.clone().unwrap_or_default(),
        })
    }
}
