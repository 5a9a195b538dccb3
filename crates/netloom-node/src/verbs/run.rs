//! `run`: the daemon itself.

use std::fs::File;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use rustix::fs::{FlockOperation, flock};

use crate::cli::{Run, Verb};
use crate::engine::Engine;
use crate::misuse::Misuse;
use crate::status::Shared;
use crate::store::Settings;
use crate::{cli, grants, http, identity};

pub(super) fn run(cli: &cli::Cli) -> Result<ExitCode> {
    let Verb::Run(args) = &cli.verb else {
        bail!("only run runs");
    };
    let settings = Settings::new(&args.store).map_err(Misuse::of)?;
    identity::node_name(args.name.as_deref()).map_err(Misuse::of)?;
    let _lock = lock(&args.places.run_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    runtime.block_on(serve((**args).clone(), settings))?;
    // The kernel's thread and what waits for the store end with the process.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

async fn serve(args: Run, settings: Settings) -> Result<()> {
    let status = Shared::default();
    let listener = http::listen(args.listen).await?;
    tokio::spawn(http::serve(listener, status.clone()));
    let (tell, asked) = tokio::sync::mpsc::channel(64);
    let socket = grants::listen(&args.places.run_dir.join("node.sock"))?;
    let (engine, ears) = Engine::start(args, settings, status, asked)?;
    tokio::spawn(grants::serve(socket, tell));
    engine.run(ears).await
}

/// One daemon for a host: two would undo each other's work.
pub(super) fn lock(run_dir: &Path) -> Result<File> {
    std::fs::create_dir_all(run_dir)
        .with_context(|| format!("cannot make {}", run_dir.display()))?;
    let path = run_dir.join("node.lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::AGAIN) => bail!(
            "netloom-node runs on this host already: {} is locked",
            path.display()
        ),
        Err(error) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}
