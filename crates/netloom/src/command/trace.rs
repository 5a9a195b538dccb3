//! `netloom trace`: sees every call of a plugin that a runtime makes.
//!
//! A directory of wrappers, one for each plugin, comes first where the runtime looks for plugins. What
//! a wrapper does is in [`netloom_plugins::trace`].

mod log;
mod place;
mod replay;
mod show;

use std::process::Command;

use anyhow::{Context, Result, anyhow};
use netloom_kernel::signals;

use super::{Misuse, Told};
use crate::cli::{TraceInstall, TraceRun, TraceVerb};
use crate::environment;

pub(super) fn run(verb: &TraceVerb, is_json: bool) -> Result<()> {
    match verb {
        TraceVerb::Install(install) => {
            let names = place::install(install)?;
            let dir = install.dir.display();
            println!("wrapped in {dir}: {}", names.join(", "));
            println!("put {dir} first into CNI_PATH or the runtime's plugin directories");
            Ok(())
        }
        TraceVerb::Uninstall { dir } => {
            let names = place::uninstall(dir)?;
            println!("removed from {}: {}", dir.display(), names.join(", "));
            Ok(())
        }
        TraceVerb::Run(run) => around(run),
        TraceVerb::Show(show) => show::run(show, is_json),
        TraceVerb::Replay(replay) => replay::run(replay),
    }
}

/// Runs a program with traced plugins, and shows what it called.
fn around(run: &TraceRun) -> Result<()> {
    let name = format!("netloom-trace-{}", std::process::id());
    let dir = std::env::temp_dir().join(name);
    let log = dir.join("trace.jsonl");
    std::fs::create_dir(&dir).with_context(|| format!("create {}", dir.display()))?;
    let install = TraceInstall {
        dir: dir.join("bin"),
        from: run.from.clone(),
        log: log.clone(),
        raw: false,
    };
    let outcome = place::install(&install).and_then(|_| {
        let status = execute(run, &install)?;
        show::all(&log)?;
        Ok(status)
    });
    // Nothing but wrappers and the log is in it.
    let removed = std::fs::remove_dir_all(&dir);
    let status = outcome?;
    removed.with_context(|| format!("remove {}", dir.display()))?;
    match status {
        0 => Ok(()),
        status => Err(Told::with_status(format!("exit status {status}"), status).into()),
    }
}

fn execute(run: &TraceRun, install: &TraceInstall) -> Result<u8> {
    let [program, arguments @ ..] = run.command.as_slice() else {
        return Err(anyhow!(Misuse("a command is missing".to_owned())));
    };
    let dirs = std::iter::once(install.dir.clone()).chain(environment::plugin_dirs());
    let path = std::env::join_paths(dirs).context("join the directories of CNI_PATH")?;
    // Ctrl-C is for the program; what it called is shown all the same.
    signals::expect_child();
    let mut command = Command::new(program);
    let mut child = command
        .args(arguments)
        .env("CNI_PATH", path)
        .spawn()
        .with_context(|| format!("run {}", program.display()))?;
    signals::child_alone_started(child.id());
    let status = child.wait()?;
    signals::expect_none();
    Ok(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1))
}
