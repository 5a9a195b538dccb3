//! What a configuration asks for, for those who remove it.

use netloom_spec::PluginConf;

/// Whether a key says that there may be something to remove. DEL must not fail because of a value that
/// cannot be read: that counts as yes.
pub(crate) fn is_on(conf: &PluginConf, key: &str) -> bool {
    conf.get(key).is_some_and(|value| *value != false)
}
