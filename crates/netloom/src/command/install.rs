//! `netloom install` and `netloom uninstall`: the plugins in a directory, a file for each name.
//!
//! Each name is a whole file, so that whoever writes over one changes no other. The stamp in it
//! ([`netloom_plugin::stamp`]) says which plugin it is. What was there before is kept.

pub(crate) mod copies;
mod host;
mod kept;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::cli::{Install, Uninstall};
use copies::{Program, Seen, seen};
use host::Stay;
use kept::Kept;
use netloom_plugins::registry::PLUGINS;

/// The multi-call binary, to which links made by hand lead.
const BINARY: &str = "netloom-plugins";
/// Other programs' names that the command answers to: only when asked for.
const COMMANDS: [&str; 2] = ["cnitool", "koko"];

pub(crate) fn run(install: &Install) -> Result<()> {
    let dir = &on_host(install.host.as_deref(), &install.bin_dir)?;
    if install.rollback {
        return roll_back(dir, install.dry_run);
    }
    let stay = install.stay.then(Stay::listen).transpose()?;
    let asked: Vec<&str> = install.names.iter().map(String::as_str).collect();
    let names = names(&asked)?;
    if install.dry_run {
        return foretell(dir, &names, install.force);
    }
    let mut written = into(dir, &names, install.force)?;
    written.sort_unstable();
    match written.as_slice() {
        [] => println!("{} holds these plugins already", dir.display()),
        names => println!("installed in {}: {}", dir.display(), names.join(", ")),
    }
    stay.map_or(Ok(()), Stay::until_asked_to_end)
}

/// The directory, of this host or of another.
fn on_host(host: Option<&Path>, dir: &Path) -> Result<PathBuf> {
    match host {
        Some(root) => host::within(root, dir),
        None => Ok(dir.to_owned()),
    }
}

/// Whether plugins go into `dir` only by `force`.
pub(crate) fn is_refused(dir: &Path) -> bool {
    !foreign(dir, &plugins()).is_empty()
}

/// Puts the plugins of these names into `dir`, unless files that are not ours have their names and
/// `force` is not set; then nothing is changed. Returns what was not there yet. When one cannot be
/// written, those before it are taken back.
pub(crate) fn into<'n>(dir: &Path, names: &[&'n str], force: bool) -> Result<Vec<&'n str>> {
    refuse_foreign(dir, names, force)?;
    fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    let (plugins, command) = sources(names)?;
    let program = |name: &str| match name {
        name if COMMANDS.contains(&name) => command.as_ref(),
        _ => plugins.as_ref(),
    };
    let mut names = names.to_vec();
    // Where links by hand may lead to it, it is renewed with the others; it is not made.
    if plugins.is_some() && fs::symlink_metadata(dir.join(BINARY)).is_ok() {
        names.push(BINARY);
    }
    let wanted = |name: &&str| program(name).is_some_and(|it| !it.is_at(&dir.join(name), name));
    names.retain(wanted);
    if names.is_empty() {
        return Ok(names);
    }
    let kept = Kept::open(dir)?;
    kept.begin(&names, |name| is_ours(dir, name))?;
    let written = names.iter().try_for_each(|name| match program(name) {
        Some(program) => program
            .write(&kept.draft(), &dir.join(name), name)
            .with_context(|| format!("install {}", dir.join(name).display())),
        None => Ok(()),
    });
    if let Err(error) = written {
        return Err(match kept.roll_back(|name| is_ours(dir, name)) {
            Ok(_) => error,
            Err(failure) => error.context(format!("take back what was installed: {failure:#}")),
        });
    }
    Ok(names)
}

fn refuse_foreign(dir: &Path, names: &[&str], force: bool) -> Result<()> {
    let is_dir = |name: &&&str| fs::symlink_metadata(dir.join(name)).is_ok_and(|it| it.is_dir());
    if let Some(name) = names.iter().find(is_dir) {
        bail!(
            "{} is a directory: choose another --bin-dir",
            dir.join(name).display()
        );
    }
    let foreign = foreign(dir, names);
    if !force && !foreign.is_empty() {
        bail!(
            "{} holds other plugins of the same names ({}): choose another --bin-dir, or replace \
             them with --force, which keeps them for `netloom uninstall`",
            dir.display(),
            foreign.join(", ")
        );
    }
    Ok(())
}

/// Says what [`into`] would do.
fn foretell(dir: &Path, names: &[&str], force: bool) -> Result<()> {
    let (plugins, command) = sources(names)?;
    for name in names {
        let path = dir.join(name);
        let program = if COMMANDS.contains(name) {
            &command
        } else {
            &plugins
        };
        let same = program.as_ref().is_some_and(|it| it.is_at(&path, name));
        let what = match fs::symlink_metadata(&path) {
            Err(_) => "would be new",
            Ok(_) if same => "is there already",
            Ok(_) if is_ours(dir, name) => "would be renewed",
            Ok(_) => "would replace another program, and keep it",
        };
        println!("{}: {what}", path.display());
    }
    refuse_foreign(dir, names, force)
}

fn roll_back(dir: &Path, dry_run: bool) -> Result<()> {
    ensure!(
        Kept::is_in(dir),
        "netloom has replaced nothing in {}",
        dir.display()
    );
    let kept = Kept::open(dir)?;
    let last = kept.last();
    ensure!(
        !last.is_empty(),
        "the last installation in {} was taken back already",
        dir.display()
    );
    if dry_run {
        println!("would take back in {}: {}", dir.display(), last.join(", "));
        return Ok(());
    }
    let (back, left) = kept.roll_back(|name| is_ours(dir, name))?;
    println!("taken back in {}: {}", dir.display(), back.join(", "));
    tell_left(&left);
    Ok(())
}

/// Takes every plugin of ours out of a directory, and brings back what was there before.
pub(crate) fn uninstall(uninstall: &Uninstall) -> Result<()> {
    let dir = &on_host(uninstall.host.as_deref(), &uninstall.bin_dir)?;
    let stay = uninstall.stay.then(Stay::listen).transpose()?;
    take_out(dir, uninstall)?;
    stay.map_or(Ok(()), Stay::until_asked_to_end)
}

fn take_out(dir: &Path, uninstall: &Uninstall) -> Result<()> {
    let mut names = plugins();
    names.extend(COMMANDS);
    // Links lead to it, so that it comes last.
    names.push(BINARY);
    let there = |name: &&str| fs::symlink_metadata(dir.join(name)).is_ok();
    names.retain(there);
    let (mut ours, others): (Vec<&str>, Vec<&str>) =
        names.into_iter().partition(|name| is_ours(dir, name));
    ours.sort_unstable();
    if ours.is_empty() {
        return nothing_to_take_out(dir, uninstall);
    }
    if uninstall.dry_run {
        println!("would remove from {}: {}", dir.display(), ours.join(", "));
        return Ok(());
    }
    let kept = Kept::open(dir)?;
    let mut back = Vec::new();
    for name in &ours {
        if kept.restore_origin(name)? {
            back.push(*name);
        }
    }
    kept.close()?;
    println!("removed from {}: {}", dir.display(), ours.join(", "));
    if !back.is_empty() {
        println!("brought back: {}", back.join(", "));
    }
    tell_left(&others);
    Ok(())
}

/// No plugin of netloom's: that is a mistake, unless somebody killed an uninstall before it was done, or
/// nobody watches, as in a container that stays.
fn nothing_to_take_out(dir: &Path, uninstall: &Uninstall) -> Result<()> {
    let was_in = Kept::is_in(dir);
    if was_in && !uninstall.dry_run {
        Kept::open(dir)?.close()?;
    }
    let is_done = uninstall.stay || (was_in && !Kept::is_in(dir));
    ensure!(is_done, "{} holds no plugin of netloom's", dir.display());
    println!("{} holds no plugin of netloom's any more", dir.display());
    Ok(())
}

fn tell_left<S: AsRef<str>>(left: &[S]) {
    for name in left {
        note!("left alone, since it is not netloom's: {}", name.as_ref());
    }
}

fn plugins() -> Vec<&'static str> {
    PLUGINS.iter().map(|plugin| plugin.name()).collect()
}

/// What was asked for, or all plugins but those that must be asked for.
fn names<'n>(asked: &[&'n str]) -> Result<Vec<&'n str>> {
    let known = plugins();
    if asked.is_empty() {
        let usual = PLUGINS
            .iter()
            .filter(|it| !it.is_installed_only_when_asked_for());
        return Ok(usual.map(|plugin| plugin.name()).collect());
    }
    let unknown = |name: &&&str| !COMMANDS.contains(*name) && !known.contains(*name);
    if let Some(name) = asked.iter().find(unknown) {
        bail!(
            "no plugin {name:?} in this program, it holds {}, and {}",
            known.join(", "),
            COMMANDS.join(" and ")
        );
    }
    let mut names = asked.to_vec();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// The names in `dir` that are taken by something that is not ours.
fn foreign<'n>(dir: &Path, names: &[&'n str]) -> Vec<&'n str> {
    let taken = |name: &&str| fs::symlink_metadata(dir.join(name)).is_ok();
    let mut names = names.to_vec();
    names.retain(|name| taken(name) && !is_ours(dir, name));
    names
}

/// Whether netloom put it there: by its stamp, or, as before there were stamps, as a link to the one
/// binary, or that binary.
fn is_ours(dir: &Path, name: &str) -> bool {
    let links_to_binary = |name: &OsStr| {
        fs::read_link(dir.join(name)).is_ok_and(|target| target == Path::new(BINARY))
    };
    match seen(&dir.join(name)) {
        Some(Seen::Link) => links_to_binary(name.as_ref()),
        Some(Seen::Stamped(stamp)) if name == BINARY => stamp.name().is_none(),
        Some(Seen::Stamped(stamp)) => stamp.name() == Some(name),
        Some(Seen::Other) if name == BINARY => {
            plugins().iter().any(|name| links_to_binary(name.as_ref()))
        }
        Some(Seen::Other) | None => false,
    }
}

/// The program of the plugins, and the command's, where the names want them. The plugin binary is
/// next to this one, or else this one holds the same plugins.
fn sources(names: &[&str]) -> Result<(Option<Program>, Option<Program>)> {
    let own = std::env::current_exe().context("find the path of this program")?;
    let small = own.with_file_name(BINARY);
    let read = |path: PathBuf| Program::read(path).map(Some);
    let plugins = match names.iter().any(|name| !COMMANDS.contains(name)) {
        true if small.is_file() => read(small)?,
        true => read(own.clone())?,
        false => None,
    };
    let command = match names.iter().any(|name| COMMANDS.contains(name)) {
        true => read(own)?,
        false => None,
    };
    Ok((plugins, command))
}

/// The program of the plugins, made a wrapper by its stamp.
pub(crate) fn wrapper() -> Result<Vec<u8>> {
    let (plugins, _) = sources(&["bridge"])?;
    Ok(plugins.context("the program of the plugins")?.wrapper())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_plugins_stay_unless_forced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("bridge"), "a Go program").unwrap();
        let error = into(dir.path(), &["bridge"], false)
            .unwrap_err()
            .to_string();
        assert!(error.contains("(bridge)"), "{error}");
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing changed"
        );

        let names = into(dir.path(), &["bridge"], true).unwrap();
        assert_eq!(names, ["bridge"]);
        let bridge = seen(&dir.path().join("bridge"));
        assert!(matches!(bridge, Some(Seen::Stamped(stamp)) if stamp.name() == Some("bridge")));
        into(dir.path(), &["bridge"], false).expect("our own names are no obstacle");
    }
}
