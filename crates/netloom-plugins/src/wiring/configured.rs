//! What DEL reads of a configuration.

use netloom_spec::PluginConf;

/// Whether there may be something to remove by a boolean key. A value that is no boolean counts as yes,
/// since DEL must not fail because of it.
pub(crate) fn is_on(conf: &PluginConf, key: &str) -> bool {
    conf.get(key).is_some_and(|value| *value != false)
}
