//! The plugin binary of an earlier state of netloom, for the tests of the way from it to this one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::process;
use crate::workspace::Workspace;

/// The state whose pods must be checked, deleted and collected.
const COMMIT: &str = "17b6fbc916824a4abbbce85b9c31399249d8a0fc";

/// The test program that asks for it.
pub(crate) const ASKS: &str = "netloom-plugins test upgrade";

/// What tests find it by.
const VARIABLE: &str = "NETLOOM_FORMER";

/// What tests that cannot have it say instead.
const MISSING: &str = "NETLOOM_FORMER_MISSING";

/// The binary, or why there is none.
pub(crate) struct Former(Result<PathBuf, String>);

impl Former {
    /// Finds the binary that `$NETLOOM_FORMER` names or an earlier run built, or builds it from the history.
    pub(crate) fn find_or_build(workspace: &Workspace) -> Self {
        if let Some(file) = std::env::var_os(VARIABLE) {
            return Self(Ok(file.into()));
        }
        let found = cached(workspace);
        Self(found.map_err(|error| format!("no plugin binary of {}: {error:#}", short())))
    }

    /// Tells a test program of it.
    pub(crate) fn tell(&self, command: &mut Command) {
        match &self.0 {
            Ok(file) => command.env(VARIABLE, file),
            Err(reason) => command.env(MISSING, reason),
        };
    }
}

fn short() -> &'static str {
    &COMMIT[..7]
}

/// `former-COMMIT/netloom-plugins` in the target directory.
fn cached(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target.join(format!("former-{}", short()));
    let file = folder.join("netloom-plugins");
    if file.is_file() {
        println!("former state: {} is there", file.display());
        return Ok(file);
    }
    let begin = Instant::now();
    println!("former state: building {}, once", file.display());
    let source = folder.join("source");
    extract(workspace, &source)?;
    let built = build(workspace, &source, &folder.join("build"))?;
    fs::rename(&built, &file).with_context(|| format!("cannot move {}", built.display()))?;
    for scratch in ["source", "build"] {
        // What is left costs room only.
        let _ = fs::remove_dir_all(folder.join(scratch));
    }
    println!("former state: built in {} s", begin.elapsed().as_secs());
    Ok(file)
}

/// Puts the files of the commit into a folder.
fn extract(workspace: &Workspace, source: &Path) -> Result<()> {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(&workspace.root).args(arguments);
        command
    };
    let object = format!("{COMMIT}^{{commit}}");
    let known = git(&["cat-file", "-e", &object]).output();
    let known = known.context("cannot run git")?.status.success();
    ensure!(
        known,
        "the commit is not in this clone; `git fetch --unshallow` gets it"
    );
    fs::create_dir_all(source).with_context(|| format!("cannot make {}", source.display()))?;
    let archive = source.with_extension("tar");
    let output = format!("--output={}", archive.display());
    process::run(&mut git(&["archive", "--format=tar", &output, COMMIT]))?;
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(&archive).arg("-C").arg(source);
    process::run(&mut tar)?;
    fs::remove_file(&archive).with_context(|| format!("cannot remove {}", archive.display()))
}

/// Builds the plugins as fast as their tests allow: it is what they do that counts, not how fast.
fn build(workspace: &Workspace, source: &Path, target: &Path) -> Result<PathBuf> {
    let arguments = ["build", "--quiet", "--release", "--locked"];
    let mut cargo = workspace.cargo(&arguments);
    cargo
        .args(["--package", "netloom-plugins", "--bin", "netloom-plugins"])
        .arg("--target-dir")
        .arg(target)
        .current_dir(source)
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
    process::run(&mut cargo)?;
    Ok(target.join("release/netloom-plugins"))
}
