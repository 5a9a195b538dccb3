//! `cargo xtask dist`: what is delivered.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process;
use crate::workspace::Workspace;
use link::Linking;

pub(crate) mod daemon;
mod link;
mod packages;

/// The plugin binary must stay smaller than this, in bytes.
const LARGEST: u64 = 3_600_000;
/// How much larger it may be where there is no musl to link it with.
const GLIBC: u64 = 1_000_000;
/// The command must stay smaller than this, in bytes.
const LARGEST_COMMAND: u64 = 8_000_000;

/// How cargo is told to build the command.
const COMMAND: [&str; 4] = ["--package", "netloom", "--bin", "netloom"];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the files go [default: dist in cargo's target directory]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Only the plugin binary with its names, no command and no packages
    #[arg(long)]
    plugins_only: bool,
    /// Pack `netloom`, `netloom-plugins` and, if it is there, `netloom-node` of this folder, and build nothing
    #[arg(long, value_name = "DIR", conflicts_with = "plugins_only")]
    programs: Option<PathBuf>,
}

/// A folder with the plugin binary and its names.
pub(crate) struct Plugins {
    /// The folder, fit for `CNI_PATH`.
    pub(crate) bin: PathBuf,
    /// The binary itself.
    pub(crate) binary: PathBuf,
    /// What it answers to.
    pub(crate) names: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| workspace.target.join("dist"));
    match &args.programs {
        Some(programs) => pack(workspace, programs, &out)?,
        None if args.plugins_only => drop(checked_plugins(workspace, &out)?),
        None => deliver(workspace, &out)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Packs programs that are built already.
pub(crate) fn pack(workspace: &Workspace, programs: &Path, out: &Path) -> Result<()> {
    let (command, plugins) = gather(programs, &out.join("bin"))?;
    finish(workspace, out, &command, plugins)
}

/// Copies programs that are built already into an empty folder.
fn gather(programs: &Path, bin: &Path) -> Result<(PathBuf, Plugins)> {
    emptied(bin)?;
    let copy = |name: &str| -> Result<PathBuf> {
        let (from, to) = (programs.join(name), bin.join(name));
        fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        Ok(to)
    };
    let (command, binary) = (copy("netloom")?, copy("netloom-plugins")?);
    if programs.join(daemon::NAME).exists() {
        copy(daemon::NAME)?;
    }
    let names = plugin_names(&binary)?;
    let bin = bin.to_owned();
    Ok((command, Plugins { bin, binary, names }))
}

/// Fails unless each plugin that would be packed of `programs` is a file that answers. Uses the folder `scratch`.
fn packs_what_is_there(programs: &Path, scratch: &Path) -> Result<()> {
    let (command, mut plugins) = gather(programs, scratch)?;
    install(&command, &mut plugins)?;
    for name in &plugins.names {
        answers(&plugins.bin.join(name)).with_context(|| name.clone())?;
    }
    Ok(())
}

/// Makes all that is delivered.
pub(crate) fn deliver(workspace: &Workspace, out: &Path) -> Result<()> {
    // First, so that the plugins do not keep a C library that this must give up.
    Linking::build(workspace, &COMMAND)?;
    let plugins = checked_plugins(workspace, out)?;
    let command = build_command(workspace, &plugins.bin)?;
    is_small_command(&command)?;
    if let Some(daemon) = daemon::build(workspace, &plugins.bin)? {
        tell(&daemon)?;
        daemon::check(&daemon).with_context(|| daemon.display().to_string())?;
    }
    for name in &plugins.names {
        fs::remove_file(plugins.bin.join(name)).with_context(|| format!("cannot remove {name}"))?;
    }
    finish(workspace, out, &command, plugins)
}

/// From the two programs to the packages.
fn finish(workspace: &Workspace, out: &Path, command: &Path, mut plugins: Plugins) -> Result<()> {
    tell(command)?;
    install(command, &mut plugins)?;
    write_manual(workspace, &out.join("man/man1"))?;
    for package in packages::make(workspace, out, &plugins)? {
        tell(&package)?;
    }
    Ok(())
}

/// Makes the folder, or empties it.
fn emptied(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

fn checked_plugins(workspace: &Workspace, out: &Path) -> Result<Plugins> {
    let plugins = build_plugins(workspace, &out.join("bin"))?;
    tell(&plugins.binary)?;
    println!("    {}", Linking::of_this_machine()?.told());
    println!("    answers as {}", plugins.names.join(", "));
    for (name, result) in check(workspace, &plugins) {
        result.with_context(|| name)?;
    }
    Ok(plugins)
}

/// Builds the release plugin binary into a folder of its own, with a symbolic link for each plugin.
pub(crate) fn build_plugins(workspace: &Workspace, bin: &Path) -> Result<Plugins> {
    let built = Linking::build(
        workspace,
        &["--package", "netloom-plugins", "--bin", "netloom-plugins"],
    )?;
    emptied(bin)?;
    let binary = bin.join("netloom-plugins");
    place(workspace, &built, &binary)?;
    let names = plugin_names(&binary)?;
    for name in &names {
        // Relative, so that the folder can be moved and packed.
        symlink("netloom-plugins", bin.join(name))
            .with_context(|| format!("cannot link {name}"))?;
    }
    Ok(Plugins {
        bin: bin.to_owned(),
        binary,
        names,
    })
}

/// Builds the release of the command into the folder of the plugins.
pub(crate) fn build_command(workspace: &Workspace, bin: &Path) -> Result<PathBuf> {
    let built = Linking::build(workspace, &COMMAND)?;
    let command = bin.join("netloom");
    place(workspace, &built, &command)?;
    Ok(command)
}

/// Writes the manual pages. Only a build for that knows how: what users get has no code for it.
fn write_manual(workspace: &Workspace, pages: &Path) -> Result<()> {
    if pages.exists() {
        fs::remove_dir_all(pages).with_context(|| format!("cannot empty {}", pages.display()))?;
    }
    process::run(
        Command::new("cargo")
            .args([
                "run",
                "--quiet",
                "--package",
                "netloom",
                "--features",
                "man",
            ])
            .args(["--", "man"])
            .arg(pages)
            .current_dir(&workspace.root),
    )?;
    let count = fs::read_dir(pages)?.count();
    println!("manual: {count} pages ({})", pages.display());
    Ok(())
}

/// Puts the plugins beside it, as users have them: each a file that knows its name. The command alone decides
/// which it installs without being asked by name; the others are no longer among `names`, and are not packed.
fn install(command: &Path, plugins: &mut Plugins) -> Result<()> {
    process::run(
        Command::new(command)
            .arg("install")
            .arg("--bin-dir")
            .arg(&plugins.bin),
    )?;
    let bin = plugins.bin.clone();
    plugins.names.retain(|name| bin.join(name).exists());
    ensure!(
        !plugins.names.is_empty(),
        "{} installs no plugin",
        command.display()
    );
    Ok(())
}

/// What the promises about the binary are, and whether each holds.
pub(crate) fn check(workspace: &Workspace, plugins: &Plugins) -> Vec<(String, Result<()>)> {
    let mut checks = vec![
        (
            "the plugin binary is smaller than 3.6 MB".to_owned(),
            is_small(&plugins.binary),
        ),
        (
            "the plugin binary is static".to_owned(),
            is_static(&plugins.binary),
        ),
        (
            "a panic can be caught in what is linked like it".to_owned(),
            unwinds(workspace),
        ),
    ];
    for name in &plugins.names {
        checks.push((
            format!("{name} answers VERSION"),
            answers(&plugins.bin.join(name)),
        ));
    }
    checks
}

/// The same of the command beside these plugins.
pub(crate) fn check_command(
    plugins: &Plugins,
    command: &Path,
    scratch: &Path,
) -> [(&'static str, Result<()>); 4] {
    [
        (
            "the command is smaller than 8 MB",
            is_small_command(command),
        ),
        (
            "the command is built as well",
            process::run(Command::new(command).arg("--version")),
        ),
        (
            "every plugin that is packed is there",
            packs_what_is_there(&plugins.bin, &scratch.join("packed")),
        ),
        ("it is linked as this machine can", is_linked_as_wanted()),
    ]
}

/// Fails if musl was to be had and its link failed, for which dist falls back to glibc.
pub(crate) fn is_linked_as_wanted() -> Result<()> {
    Linking::is_as_wanted()
}

/// The floor of the bench, linked as a plugin is.
pub(crate) fn build_floor(workspace: &Workspace) -> Result<PathBuf> {
    let choice = [
        "--package",
        "xtask",
        "--no-default-features",
        "--bin",
        "floor",
    ];
    Linking::build(workspace, &choice)
}

/// A panic must become a CNI error: that depends on what the program is linked with.
fn unwinds(workspace: &Workspace) -> Result<()> {
    let mut floor = Command::new(build_floor(workspace)?);
    // The panic's own words would look like a failure.
    let status = floor.arg("unwind").stderr(Stdio::null()).status()?;
    ensure!(status.success(), "{status}");
    Ok(())
}

/// Puts a program without its symbols where it is delivered from.
fn place(workspace: &Workspace, from: &Path, to: &Path) -> Result<()> {
    // A program that still runs cannot be written over, but its name can be given to another.
    let _ = fs::remove_file(to);
    process::run(Command::new("strip").arg("-o").arg(to).arg(from))?;
    link::tells_no_path(workspace, to)
}

/// Asks the binary itself: called by its own name without a command it lists what it can be called as.
fn plugin_names(binary: &Path) -> Result<Vec<String>> {
    let mut command = Command::new(binary);
    // Without the hint for people, on stderr.
    let output = command.env_clear().stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run {}", binary.display()))?;
    let names: Vec<String> = String::from_utf8(output.stdout)?
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    ensure!(!names.is_empty(), "{} lists no plugin", binary.display());
    Ok(names)
}

fn is_small(binary: &Path) -> Result<()> {
    is_below(binary, LARGEST)
}

/// Fails if the command became larger than it may be.
fn is_small_command(command: &Path) -> Result<()> {
    is_below(command, LARGEST_COMMAND)
}

/// The limits are for musl: glibc has its own share on top.
fn is_below(program: &Path, largest: u64) -> Result<()> {
    let size = fs::metadata(program)?.len();
    let linking = Linking::of_this_machine()?;
    let largest = largest + if linking.is_musl() { 0 } else { GLIBC };
    ensure!(
        size < largest,
        "{size} bytes, {largest} with {linking:?} (musl-tools makes it smaller)"
    );
    Ok(())
}

/// A program that needs no dynamic loader has no program header of type `PT_INTERP` (elf(5)).
fn is_static(binary: &Path) -> Result<()> {
    const PT_INTERP: u32 = 3;
    let mut file = fs::File::open(binary)?;
    let mut header = [0; 64];
    file.read_exact(&mut header)?;
    ensure!(
        header.starts_with(b"\x7fELF\x02\x01"),
        "not a 64-bit little-endian ELF file"
    );
    let number = |range: std::ops::Range<usize>| {
        header[range]
            .iter()
            .rev()
            .fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
    };
    let (offset, size, count) = (number(32..40), number(54..56), number(56..58));
    for index in 0..count {
        file.seek(SeekFrom::Start(offset + index * size))?;
        let mut kind = [0; 4];
        file.read_exact(&mut kind)?;
        ensure!(
            u32::from_le_bytes(kind) != PT_INTERP,
            "it asks for a dynamic loader"
        );
    }
    Ok(())
}

fn answers(plugin: &Path) -> Result<()> {
    let mut command = Command::new(plugin);
    command
        .env_clear()
        .env("CNI_COMMAND", "VERSION")
        .stdin(Stdio::null());
    let answer: Value = serde_json::from_slice(&process::output(&mut command)?)?;
    let versions = answer["supportedVersions"]
        .as_array()
        .context("no supportedVersions")?;
    ensure!(
        versions.contains(&Value::from("1.1.0")),
        "1.1.0 is not among {versions:?}"
    );
    Ok(())
}

/// One line on a file: its size, its SHA-256, where it is.
pub(crate) fn tell(file: &Path) -> Result<()> {
    let size = fs::metadata(file)
        .with_context(|| format!("cannot see {}", file.display()))?
        .len();
    let name = file
        .file_name()
        .map(OsStr::to_string_lossy)
        .unwrap_or_default();
    let sum = process::output(Command::new("sha256sum").arg(file))?;
    let sum = String::from_utf8_lossy(&sum);
    println!(
        "{name}: {:.2} MB, SHA-256 {} ({})",
        size as f64 / 1e6,
        sum.split_whitespace().next().unwrap_or_default(),
        file.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn script(path: &Path, text: &str) {
        fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The program answers to more names than `netloom install` gives to files.
    #[test]
    fn what_is_installed_only_when_asked_for_is_not_packed() {
        let scratch = tempfile::tempdir().unwrap();
        let (programs, bin) = (scratch.path().join("programs"), scratch.path().join("bin"));
        fs::create_dir(&programs).unwrap();
        script(&programs.join("netloom-plugins"), "echo bridge whereabouts");
        script(&programs.join("netloom"), "cp \"$0\" \"$3/bridge\"");
        let (command, mut plugins) = gather(&programs, &bin).unwrap();
        assert_eq!(plugins.names, ["bridge", "whereabouts"]);
        install(&command, &mut plugins).unwrap();
        assert_eq!(plugins.names, ["bridge"]);
        assert!(bin.join("bridge").exists());
    }
}
