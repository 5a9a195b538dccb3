//! The things one does with a plugin.

use std::path::Path;

use netloom_spec::{AddResult, Error as CniError, PluginConf, PluginInfo, Version, code};
use serde_json::{Map, Value, json};

use crate::{AsEnv, Command, Error, Exec, Invocation, quote};

/// What a plugin older than the VERSION command says to it.
const VERSION_UNKNOWN: &str = "unknown CNI_COMMAND: VERSION";

/// Executes the plugin at `plugin` with the request `conf`, and reads the result it prints. For
/// ADD.
///
/// A result without a `cniVersion` is taken to be of the configuration's version, as plugins
/// written before results had one rely on it (containernetworking/cni issue 895).
///
/// # Errors
/// The plugin's own, or [`Error::Result`] when it succeeded without a result that can be read.
pub fn add(
    exec: &dyn Exec,
    plugin: &Path,
    conf: &PluginConf,
    args: &dyn AsEnv,
) -> Result<AddResult, Error> {
    let stdout = exec.exec_plugin(plugin, &request(conf), args.as_env().as_slice())?;
    read_result(&stdout, conf.cni_version()).map_err(|cause| Error::Result {
        plugin: plugin.to_owned(),
        cause: Box::new(cause),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
    })
}

/// Executes the plugin at `plugin` with the request `conf`, for a command without a result. What
/// the plugin prints all the same is ignored.
///
/// # Errors
/// The plugin's own, or what kept it from answering.
pub fn run(
    exec: &dyn Exec,
    plugin: &Path,
    conf: &PluginConf,
    args: &dyn AsEnv,
) -> Result<(), Error> {
    exec.exec_plugin(plugin, &request(conf), args.as_env().as_slice())
        .map(drop)
}

/// The configuration as one whole line: a shell's `read` passes over a line that does not end.
fn request(conf: &PluginConf) -> Vec<u8> {
    let mut request = conf.to_bytes();
    request.push(b'\n');
    request
}

/// Asks the plugin at `plugin` for the versions it supports. A plugin that does not know the
/// question supports 0.1.0.
///
/// # Errors
/// The plugin's own, what kept it from answering, or [`Error::VersionInfo`].
pub fn version_info(exec: &dyn Exec, plugin: &Path) -> Result<PluginInfo, Error> {
    // Plugins made with old frameworks insist on these variables for every command.
    let mut probe = Invocation::new(Command::Version);
    probe.netns = "dummy".to_owned();
    probe.if_name = "dummy".to_owned();
    probe.path = vec!["dummy".into()];
    let request = format!("{}\n", json!({ "cniVersion": Version::LATEST.to_string() }));
    match exec.exec_plugin(plugin, request.as_bytes(), probe.as_env().as_slice()) {
        Ok(answer) => exec.decode(&answer),
        Err(Error::Plugin { error, .. }) if error.to_string() == VERSION_UNKNOWN => {
            Ok(PluginInfo {
                cni_version: Version::V0_1_0.to_string(),
                supported_versions: vec![Version::V0_1_0.to_string()],
            })
        }
        Err(error) => Err(error),
    }
}

fn read_result(stdout: &[u8], conf_version: &str) -> Result<AddResult, CniError> {
    let undecodable = |problem: String| {
        CniError::new(
            code::DECODING,
            format!("failed to unmarshal raw result: {problem}"),
        )
    };
    if stdout.iter().all(u8::is_ascii_whitespace) {
        return Err(undecodable("the plugin printed no result".to_owned()));
    }
    let mut result = match serde_json::from_slice(stdout) {
        Ok(Value::Object(result)) => result,
        Ok(Value::Null) => Map::new(),
        Ok(other) => return Err(undecodable(format!("{other} is not an object"))),
        Err(error) => {
            let printed = quote::beginning(&String::from_utf8_lossy(stdout));
            return Err(undecodable(format!(
                "{error}; the plugin printed {printed}"
            )));
        }
    };
    let version = match result.get("cniVersion") {
        Some(Value::String(version)) if !version.is_empty() => version.clone(),
        _ => conf_version.to_owned(),
    };
    result.insert("cniVersion".to_owned(), Value::String(version.clone()));
    let version = version
        .parse::<Version>()
        .map_err(|error| undecodable(error.to_string()))?;
    AddResult::from_value(&Value::Object(result), version)
}
