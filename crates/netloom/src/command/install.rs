//! `netloom install`: the plugin binary and its names in a directory.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cli::Install;

/// The name of the multi-call binary that all plugin names point to.
const BINARY: &str = "netloom-plugins";

pub(crate) fn run(install: &Install) -> Result<()> {
    let names = into_dir(&install.bin_dir, install.force)?;
    println!(
        "installed {BINARY} in {} as {}",
        install.bin_dir.display(),
        names.join(", ")
    );
    Ok(())
}

/// Copies the plugin binary into `dir` and links every plugin's name to it; returns the names.
///
/// Files of those names that are not ours are left alone, and nothing is changed then, unless
/// `force` is set. Each file appears by rename, so a runtime never executes a half-written one.
pub(crate) fn into_dir(dir: &Path, force: bool) -> Result<Vec<&'static str>> {
    let names = names();
    let foreign = foreign(dir, &names);
    if !force && !foreign.is_empty() {
        bail!(
            "{} holds other plugins of the same names ({}): choose another --bin-dir, or replace \
             them with --force",
            dir.display(),
            foreign.join(", ")
        );
    }
    fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    publish(&dir.join(BINARY), |temporary| {
        fs::copy(source()?, temporary)?;
        Ok(fs::set_permissions(
            temporary,
            fs::Permissions::from_mode(0o755),
        )?)
    })?;
    for name in &names {
        publish(&dir.join(name), |temporary| Ok(symlink(BINARY, temporary)?))?;
    }
    Ok(names)
}

/// Whether plugins go into `dir` only by `force`.
pub(crate) fn is_refused(dir: &Path) -> bool {
    !foreign(dir, &names()).is_empty()
}

fn names() -> Vec<&'static str> {
    let plugins = netloom_plugins::registry::PLUGINS.iter();
    plugins.map(|plugin| plugin.name()).collect()
}

/// The names in `dir` that are taken by something other than a link to our binary.
fn foreign<'n>(dir: &Path, names: &[&'n str]) -> Vec<&'n str> {
    names
        .iter()
        .copied()
        .filter(|name| {
            let path = dir.join(name);
            fs::symlink_metadata(&path).is_ok()
                && fs::read_link(&path).ok().as_deref() != Some(Path::new(BINARY))
        })
        .collect()
}

/// The plugin binary next to this one; or this one, which holds the same plugins.
fn source() -> Result<PathBuf> {
    let own = std::env::current_exe().context("find the path of this program")?;
    let small = own.with_file_name(BINARY);
    Ok(if small.is_file() { small } else { own })
}

fn publish(path: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let _ = fs::remove_file(&temporary);
    make(&temporary)
        .and_then(|()| Ok(fs::rename(&temporary, path)?))
        .with_context(|| format!("install {}", path.display()))
        .inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_plugins_stay_unless_forced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("bridge"), "a Go program").unwrap();
        let error = into_dir(dir.path(), false).unwrap_err().to_string();
        assert!(error.contains("(bridge)"), "{error}");
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing changed"
        );

        let names = into_dir(dir.path(), true).unwrap();
        assert!(names.contains(&"bridge"));
        assert_eq!(
            fs::read_link(dir.path().join("bridge")).unwrap(),
            Path::new(BINARY)
        );
        into_dir(dir.path(), false).expect("our own names are no obstacle");
    }
}
