//! The directory of wrappers.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use netloom_plugins::trace::settings::{FILE, Settings};

use crate::cli::TraceInstall;
use crate::command::Misuse;
use crate::command::install::{self, copies::stamp_of};
use crate::environment;

/// The wrapper's own file, to which the plugins' names are hard links.
const WRAPPER: &str = ".netloom-wrapper";
/// The size of the log at which a new one begins, in bytes.
const LIMIT: u64 = 16 * 1024 * 1024;

/// Makes the directory, and returns the names of the plugins that are wrapped.
pub(super) fn install(asked: &TraceInstall) -> Result<Vec<String>> {
    let dir = std::path::absolute(&asked.dir)?;
    let directories = sources(asked, &dir)?;
    let names = plugins(&directories);
    if names.is_empty() {
        let list: Vec<_> = directories
            .iter()
            .map(|it| it.display().to_string())
            .collect();
        return misuse(format!("no plugin to trace in {}", list.join(", ")));
    }
    for name in &names {
        let path = dir.join(name);
        let is_other = fs::symlink_metadata(&path).is_ok() && !is_wrapper(&path);
        if is_other {
            return misuse(format!(
                "{} is no wrapper: choose a directory without plugins",
                path.display()
            ));
        }
    }
    let log = std::path::absolute(&asked.log)?;
    if let Some(parent) = log.parent() {
        fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
    }
    fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    let settings = Settings {
        directories,
        log,
        limit: LIMIT,
        raw: asked.raw,
    };
    let text = serde_json::to_string_pretty(&settings)?;
    // The settings come before the first wrapper, which would be without them.
    put(&dir, FILE, text.as_bytes(), 0o644)?;
    put(&dir, WRAPPER, &install::wrapper()?, 0o755)?;
    for name in &names {
        let draft = dir.join(format!("{WRAPPER}.draft"));
        let linked = fs::hard_link(dir.join(WRAPPER), &draft)
            .and_then(|()| fs::rename(&draft, dir.join(name)));
        // A rename between two names of one file does nothing, and leaves both.
        let _ = fs::remove_file(&draft);
        linked.with_context(|| format!("link {}", dir.join(name).display()))?;
    }
    Ok(names.into_iter().collect())
}

/// Removes the wrappers and what belongs to them, and nothing else.
pub(super) fn uninstall(dir: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return misuse(format!("{} does not exist", dir.display()));
        }
        entries => entries.with_context(|| format!("read {}", dir.display()))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if is_wrapper(&path) {
            fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
            names.extend(path.file_name().map(|it| it.to_string_lossy().into_owned()));
        }
    }
    names.retain(|name| name != WRAPPER);
    names.sort();
    if names.is_empty() {
        return misuse(format!("{} holds no wrapper", dir.display()));
    }
    let _ = fs::remove_file(dir.join(FILE));
    // Others' files keep it.
    let _ = fs::remove_dir(dir);
    Ok(names)
}

/// The directories with the real plugins.
fn sources(asked: &TraceInstall, dir: &Path) -> Result<Vec<PathBuf>> {
    let given = match asked.from.as_slice() {
        [] => environment::plugin_dirs(),
        given => given.to_vec(),
    };
    let same = |it: &Path| {
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        real(it) == real(dir)
    };
    if asked.from.iter().any(|it| same(it)) {
        return misuse(format!(
            "{} is where the plugins are: choose another directory",
            dir.display()
        ));
    }
    let mut directories = Vec::new();
    // Wrappers are not wrapped.
    for it in given
        .iter()
        .filter(|it| !same(it) && !it.join(FILE).exists())
    {
        directories.push(std::path::absolute(it)?);
    }
    ensure!(
        !directories.is_empty(),
        "no directory with plugins is known: name one with --from"
    );
    Ok(directories)
}

/// The names of all executable files in these directories that can be plugins.
fn plugins(directories: &[PathBuf]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in directories
        .iter()
        .filter_map(|dir| fs::read_dir(dir).ok())
        .flatten()
        .flatten()
    {
        let (path, name) = (entry.path(), entry.file_name());
        let is_program = |it: fs::Metadata| it.is_file() && it.permissions().mode() & 0o111 != 0;
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
            continue;
        };
        if fs::metadata(&path).is_ok_and(is_program) && !is_wrapper(&path) {
            names.insert(name.to_owned());
        }
    }
    names
}

fn is_wrapper(path: &Path) -> bool {
    let is_file = fs::symlink_metadata(path).is_ok_and(|it| it.is_file());
    is_file && stamp_of(path).is_some_and(|stamp| stamp.is_wrapper())
}

/// Puts a whole file in place.
fn put(dir: &Path, name: &str, content: &[u8], mode: u32) -> Result<()> {
    let (draft, path) = (dir.join(format!("{name}.draft")), dir.join(name));
    let written = fs::write(&draft, content)
        .and_then(|()| fs::set_permissions(&draft, fs::Permissions::from_mode(mode)))
        .and_then(|()| fs::rename(&draft, &path));
    if let Err(error) = written {
        let _ = fs::remove_file(&draft);
        bail!("write {}: {error}", path.display());
    }
    Ok(())
}

fn misuse<T>(words: String) -> Result<T> {
    Err(anyhow!(Misuse(words)))
}
