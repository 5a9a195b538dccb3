//! Plugins that are missing, fail, or do not speak the configuration's version.

use std::path::Path;

use netloom_plugins::registry::PLUGINS;
use netloom_runtime::Error;
use netloom_spec::Version;

use super::{Finding, Network, quoted};
use crate::command::install;
use crate::environment;

/// A finding for each plugin that `validate` fails for.
pub(super) fn findings(network: &Network, error: Error) -> Vec<Finding> {
    let errors = match error {
        Error::Several(errors) => errors,
        error => vec![error],
    };
    let finding = |error: &Error| Finding {
        kind: "plugin",
        network: network.list.name.clone(),
        what: error.to_string().replace('\n', " "),
        mend: mend(error).into(),
    };
    errors.iter().map(finding).collect()
}

fn mend(error: &Error) -> String {
    let dirs = environment::plugin_dirs();
    match (error, dirs.first()) {
        (_, None) => "name the plugins' directory in CNI_PATH".to_owned(),
        (Error::VersionNotSupported { cni_version, .. }, _)
            if cni_version.parse::<Version>().is_err() =>
        {
            let newest = Version::LATEST;
            format!("set cniVersion to one that is known, up to {newest}")
        }
        (Error::VersionNotSupported { plugin_type, .. }, Some(dir)) => {
            match is_netlooms(plugin_type) {
                true => install(dir),
                false => {
                    format!(
                        "install a newer {plugin_type}, or lower cniVersion to what it supports"
                    )
                }
            }
        }
        (Error::Plugin { plugin_type, .. }, Some(dir)) => {
            let is_missing = !dirs.iter().any(|dir| dir.join(plugin_type).is_file());
            match is_netlooms(plugin_type) {
                true if is_missing => install_missing(plugin_type, dir),
                true => install(dir),
                false if is_missing => {
                    format!(
                        "install {plugin_type}, which netloom does not have, in {}",
                        dir.display()
                    )
                }
                false => "see what the error says".to_owned(),
            }
        }
        _ => "see what the error says".to_owned(),
    }
}

fn is_netlooms(plugin_type: &str) -> bool {
    PLUGINS.iter().any(|plugin| plugin.name() == plugin_type)
}

/// What is in the first directory comes before all others.
fn install(dir: &Path) -> String {
    let force = if install::is_refused(dir) {
        " --force"
    } else {
        ""
    };
    format!(
        "netloom install --bin-dir {}{force}",
        quoted(&dir.display().to_string())
    )
}

/// Nobody who lacks one plugin expects others to be replaced.
fn install_missing(plugin_type: &str, dir: &Path) -> String {
    match install::is_refused(dir) {
        false => install(dir),
        true => format!(
            "install the {plugin_type} of the plugins that are in {}, or netloom's in the place of \
             them all: {}",
            dir.display(),
            install(dir)
        ),
    }
}
