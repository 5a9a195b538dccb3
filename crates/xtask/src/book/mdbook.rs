//! The program mdBook: found, or built once into the cache folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::process;
use crate::workspace;

/// The version that the book is written for: another one may draw it differently.
const VERSION: &str = "0.5.4";

/// mdBook of the right version: that of the cache folder, else that in `PATH`.
pub(super) fn find() -> Option<PathBuf> {
    let cached = folder().ok().map(|folder| folder.join("bin/mdbook"));
    let candidates = [cached, process::find_program("mdbook")];
    candidates
        .into_iter()
        .flatten()
        .find(|program| is_right(program))
}

fn is_right(program: &Path) -> bool {
    let mut command = Command::new(program);
    let output = command.arg("--version").stderr(Stdio::null()).output();
    output.is_ok_and(|output| {
        let version = String::from_utf8_lossy(&output.stdout);
        version.trim() == format!("mdbook v{VERSION}")
    })
}

/// Has cargo build it where it is not there: some minutes, once. Without what watches and serves, and
/// without optimising, since the book is small.
pub(super) fn find_or_install(install: bool) -> Result<PathBuf> {
    if let Some(program) = find() {
        return Ok(program);
    }
    let what = format!("mdBook {VERSION}");
    ensure!(
        install,
        "{what} is not there: cargo install mdbook --locked --version {VERSION}"
    );
    let folder = folder()?;
    println!("installing {what} in {}", folder.display());
    let mut command = Command::new(workspace::cargo());
    command
        .args(["install", "mdbook", "--locked", "--version", VERSION])
        .args(["--no-default-features", "--features", "search", "--debug"])
        .arg("--root")
        .arg(&folder)
        .stdin(Stdio::null());
    process::run(&mut command)?;
    find().with_context(|| format!("{what} is installed, and is not in {}", folder.display()))
}

/// `$XDG_CACHE_HOME/netloom/mdbook-VERSION`, in `~/.cache` without the variable.
fn folder() -> Result<PathBuf> {
    let cache = workspace::cache().context("there is no place for mdBook")?;
    Ok(cache.join(format!("mdbook-{VERSION}")))
}

/// Builds a book. A warning is an error: it is of a page that will not look as it was meant.
pub(super) fn build(program: &Path, book: &Path) -> Result<()> {
    let output = Command::new(program)
        .arg("build")
        .arg(book)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let told = String::from_utf8_lossy(&output.stderr);
    let warned = told
        .lines()
        .any(|line| line.contains("WARN") || line.contains("ERROR"));
    if !output.status.success() || warned {
        eprint!("{told}");
        bail!("mdbook build: {}, with what is above", output.status);
    }
    Ok(())
}
