//! Whether a plugin may serve a configuration of some version at all.

use netloom_spec::version::Triple;
use netloom_spec::{Error, Version, code};

/// A command that not every version of the spec knows.
pub(crate) struct Introduced {
    pub(crate) command: &'static str,
    pub(crate) version: Version,
}

/// The gate of ADD and DEL: the plugin must list exactly the configuration's version.
pub(crate) fn supported(config: &str, plugin: &[Version]) -> Result<Version, Error> {
    let config = or_oldest(config);
    if let Some(version) = plugin.iter().find(|version| version.to_string() == config) {
        return Ok(*version);
    }
    let known: Vec<String> = plugin
        .iter()
        .map(|version| format!("\"{version}\""))
        .collect();
    Err(
        Error::new(code::INCOMPATIBLE_VERSION, "incompatible CNI versions").with_details(format!(
            "config is {config:?}, plugin supports [{}]",
            known.join(" ")
        )),
    )
}

/// The gate of CHECK, GC and STATUS: the configuration must be new enough to know the command, the
/// plugin new enough for the configuration, and then the gate of ADD.
pub(crate) fn introduced(
    Introduced { command, version }: Introduced,
    config: &str,
    plugin: &[Version],
) -> Result<Version, Error> {
    let incompatible = |who: &str| {
        let msg = format!("{who} version does not allow {command}");
        Err(Error::new(code::INCOMPATIBLE_VERSION, msg))
    };
    let asked = triple(or_oldest(config))?;
    if asked < triple(&version.to_string())? {
        return incompatible("config");
    }
    for own in plugin {
        if triple(&own.to_string())? >= asked {
            return supported(config, plugin);
        }
    }
    incompatible("plugin")
}

/// A configuration without `cniVersion` is of the oldest version.
fn or_oldest(config: &str) -> &str {
    if config.is_empty() { "0.1.0" } else { config }
}

fn triple(version: &str) -> Result<Triple, Error> {
    Triple::parse(version)
        .map_err(|cause| Error::new(code::DECODING, format!("cniVersion {version:?}: {cause}")))
}
