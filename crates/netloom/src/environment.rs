//! What cnitool reads from the environment, beside what the flags take from it.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};
use sha2::{Digest, Sha512};

/// Where runtimes and distributions put plugins, when CNI_PATH does not say.
const DEFAULT_PLUGIN_DIRS: &str = "/opt/cni/bin:/usr/lib/cni";

/// The directories of CNI_PATH, in order.
pub(crate) fn plugin_dirs() -> Vec<PathBuf> {
    let path = env::var_os("CNI_PATH").filter(|path| !path.is_empty());
    env::split_paths(&path.unwrap_or_else(|| DEFAULT_PLUGIN_DIRS.into()))
        .filter(|dir| !dir.as_os_str().is_empty())
        .collect()
}

/// CNI_ARGS as pairs. Stricter than a plugin's own parser, as cnitool is: a pair needs a key and
/// a value, and a `;` stands only between pairs.
pub(crate) fn cni_args() -> Result<Vec<(String, String)>> {
    match env::var("CNI_ARGS") {
        Ok(text) => parse_args(&text),
        Err(env::VarError::NotPresent) => Ok(Vec::new()),
        Err(error) => Err(error).context("read CNI_ARGS"),
    }
}

fn parse_args(text: &str) -> Result<Vec<(String, String)>> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(';')
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) if !key.is_empty() && !value.is_empty() => {
                Ok((key.to_owned(), value.to_owned()))
            }
            _ => bail!("invalid CNI_ARGS pair {pair:?} in {text:?}: expected KEY=VALUE;KEY=VALUE"),
        })
        .collect()
}

/// CAP_ARGS: what the runtime offers to plugins with the matching capability.
pub(crate) fn capability_args() -> Result<Map<String, Value>> {
    match env::var("CAP_ARGS") {
        Ok(text) if !text.is_empty() => serde_json::from_str(&text).with_context(|| {
            format!("invalid CAP_ARGS {text:?}: expected a JSON object of capability to value")
        }),
        _ => Ok(Map::new()),
    }
}

/// The path of a namespace that is given by its path, its name of `ip netns`, or the id of a process
/// in it. What names a file is its path, as for cnitool.
pub(crate) fn netns_path(given: &Path) -> PathBuf {
    let is_word = given.components().count() == 1 && given.is_relative();
    if !is_word || given.exists() || matches!(given.to_str(), Some("." | "..")) {
        return given.to_owned();
    }
    let named = Path::new("/var/run/netns").join(given);
    let is_number = given
        .to_str()
        .is_some_and(|text| text.parse::<u32>().is_ok());
    let of_process = Path::new("/proc").join(given).join("ns/net");
    match is_number && !named.exists() && of_process.exists() {
        true => of_process,
        // Also one that is gone: DEL has the same container id then.
        false => named,
    }
}

/// The namespace's path made absolute, without asking whether it exists (DEL need not find it).
pub(crate) fn absolute_netns(netns: &Path) -> Result<PathBuf> {
    ensure!(!netns.as_os_str().is_empty(), "the netns path is empty");
    let absolute =
        std::path::absolute(netns).with_context(|| format!("make {} absolute", netns.display()))?;
    Ok(clean(&absolute))
}

/// Removes `.` and `..` by their text alone, as cnitool does before it hashes the path.
fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                cleaned.pop();
            }
            std::path::Component::CurDir => {}
            other => cleaned.push(other),
        }
    }
    cleaned
}

/// cnitool's container id: `cnitool-` and the first ten bytes of the SHA-512 of the absolute
/// path in hex. It is the same for add, check and del, and for the Go tool.
pub(crate) fn container_id(netns: &Path) -> String {
    let digest = Sha512::digest(netns.as_os_str().as_encoded_bytes());
    let hex: String = digest[..10]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("cnitool-{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn args_need_a_key_and_a_value_and_no_trailing_semicolon() {
        assert_eq!(parse_args("").unwrap(), []);
        assert_eq!(
            parse_args("A=1;B=x=y").unwrap(),
            [
                ("A".to_owned(), "1".to_owned()),
                ("B".to_owned(), "x=y".to_owned())
            ]
        );
        for bad in ["A", "A=", "=1", "A=1;", ";"] {
            let error = parse_args(bad).unwrap_err().to_string();
            assert!(error.contains(bad), "{error}");
        }
    }

    #[test]
    fn the_container_id_follows_from_the_absolute_path_alone() {
        let id = container_id(Path::new("/var/run/netns/testing"));
        // printf %s /var/run/netns/testing | sha512sum | cut -c1-20
        assert_eq!(id, "cnitool-77383ca0a0715733ca6f");
        assert_eq!(
            absolute_netns(Path::new("/var/run/../run/./netns/a")).unwrap(),
            Path::new("/var/run/netns/a")
        );
    }
}
