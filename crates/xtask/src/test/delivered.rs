//! What is delivered, as users get it: each script of `packaging/tests` in a throw-away tree.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::report::{Outcome, Skip};
use crate::workspace::Workspace;
use crate::{dist, process};

/// Sourced by the others.
const HELPER: &str = "tree.sh";

/// Makes the packages twice, of `programs` or of a release that it builds, and runs the scripts on them whose names contain `filter`.
pub(super) fn prove(
    workspace: &Workspace,
    scratch: &Path,
    programs: Option<&Path>,
    filter: Option<&str>,
    outcome: &mut Outcome,
) -> Result<()> {
    let scripts: Vec<PathBuf> = scripts(workspace)?
        .into_iter()
        .filter(|script| filter.is_none_or(|part| title(script).contains(part)))
        .collect();
    if scripts.is_empty() {
        return Ok(());
    }
    let made = [scratch.join("dist"), scratch.join("dist-again")];
    match programs {
        Some(programs) => {
            dist::daemon::build(workspace, programs)?;
            dist::pack(workspace, programs, &made[0])?;
        }
        None => dist::deliver(workspace, &made[0])?,
    }
    let bin = made[0].join("bin");
    let daemon = bin.join(dist::daemon::NAME);
    if daemon.exists() {
        outcome.check(
            "the daemon is static",
            dist::daemon::check(&daemon).map_err(|error| format!("{error:#}")),
        );
    }
    dist::pack(workspace, &bin, &made[1])?;
    outcome.check(
        "the packages are the same bytes when they are made again",
        same(&made).map_err(|error| format!("{error:#}")),
    );
    for script in &scripts {
        let name = title(script);
        if !process::is_root() {
            outcome.skips.push(Skip {
                program: "packages".to_owned(),
                test: name,
                reason: "needs root".to_owned(),
            });
            continue;
        }
        let result = run(workspace, script, &made[0], scratch);
        println!("{name}: {}", if result.is_ok() { "ok" } else { "FAILED" });
        outcome.check(&name, result.map_err(|error| format!("{error:#}")));
    }
    Ok(())
}

fn scripts(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let folder = workspace.root.join("packaging/tests");
    let mut scripts = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "sh") && !path.ends_with(HELPER) {
            scripts.push(path);
        }
    }
    scripts.sort();
    Ok(scripts)
}

fn title(script: &Path) -> String {
    let stem = script.file_stem().unwrap_or_default();
    format!("packages of {}", stem.to_string_lossy())
}

/// Both folders have the same sums of the same files.
fn same(made: &[PathBuf; 2]) -> Result<()> {
    let sums = |out: &PathBuf| fs::read_to_string(out.join("SHA256SUMS"));
    let (one, other) = (sums(&made[0])?, sums(&made[1])?);
    ensure!(one == other, "SHA256SUMS differ:\n{one}\n{other}");
    Ok(())
}

/// A script says what holds, a line each, and ends with another status than 0 at what does not.
fn run(workspace: &Workspace, script: &Path, dist: &Path, scratch: &Path) -> Result<()> {
    let work = scratch.join("packages-work");
    if work.exists() {
        fs::remove_dir_all(&work).with_context(|| work.display().to_string())?;
    }
    fs::create_dir_all(&work)?;
    let mut bash = Command::new("bash");
    bash.arg(script).args([dist, &work, &workspace.root]);
    let said = bash
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("run {}", script.display()))?;
    let words = String::from_utf8_lossy(&said.stdout);
    print!("{words}");
    let errors = String::from_utf8_lossy(&said.stderr);
    let last: Vec<&str> = words.lines().chain(errors.lines()).collect();
    let last = last[last.len().saturating_sub(15)..].join("\n");
    ensure!(said.status.success(), "{}: {last}", said.status);
    ensure!(words.contains("ok "), "it says of nothing that it holds");
    Ok(())
}
