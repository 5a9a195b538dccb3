//! The socket that plugins ask on: one line of JSON each way, root alone.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use netloom_cluster::grants::Ticket;
use netloom_cluster::message::{Answer, LONGEST_LINE, Op, Refusal, Request};
use netloom_spec::code;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

/// How long a plugin may take for its line.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many plugins wait at the same time; more wait for their turn.
const AT_ONCE: usize = 1024;

/// What a plugin asks, or that it has gone.
pub(crate) enum Asked {
    Request(Ticket, Request, oneshot::Sender<Answer>),
    Gone(Ticket),
}

/// Listens. What lies there from before is removed if it is a socket: the daemon's lock is held.
pub(crate) fn listen(path: &Path) -> Result<UnixListener> {
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            crate::files::remove(path)?;
        }
        Ok(_) => bail!("{} is there, and is no socket", path.display()),
        Err(_) => {}
    }
    let failed = || format!("cannot listen at {}", path.display());
    let listener = UnixListener::bind(path).with_context(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).with_context(failed)?;
    Ok(listener)
}

/// Serves as long as the daemon runs.
pub(crate) async fn serve(listener: UnixListener, asked: mpsc::Sender<Asked>) {
    let slots = std::sync::Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    loop {
        let Ok(slot) = std::sync::Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let asked = asked.clone();
                tokio::spawn(async move {
                    // That nobody hears the answer is the plugin's business.
                    let _ = answer(stream, asked).await;
                    drop(slot);
                });
            }
            // Of descriptors there are none left, say: they come back with time.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn answer(mut stream: UnixStream, asked: mpsc::Sender<Asked>) -> Result<()> {
    static TICKETS: AtomicU64 = AtomicU64::new(1);
    // The file's mode keeps others out; a descriptor that was handed on does not count.
    if stream.peer_cred()?.uid() != rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    let line = tokio::time::timeout(PATIENCE, read(&mut stream)).await??;
    let request = match Request::parse(&line) {
        Ok(request) => request,
        Err(error) => {
            let refusal = Refusal {
                code: code::INVALID_CONFIG,
                msg: error.to_string(),
            };
            stream
                .write_all(&Answer::Refused(refusal).to_line())
                .await?;
            return Ok(());
        }
    };
    let ticket = Ticket(TICKETS.fetch_add(1, Ordering::Relaxed));
    let silent = request.op == Op::Hint;
    let (tell, told) = oneshot::channel();
    asked.send(Asked::Request(ticket, request, tell)).await?;
    if silent {
        return Ok(());
    }
    let mut nothing = [0; 1];
    tokio::select! {
        answer = told => {
            let answer = answer.unwrap_or_else(|_| super::nobody());
            stream.write_all(&answer.to_line()).await?;
        }
        // It says nothing more, so that what comes is its end.
        _ = stream.read(&mut nothing) => asked.send(Asked::Gone(ticket)).await?,
    }
    Ok(())
}

async fn read(stream: &mut UnixStream) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut some = [0; 4096];
    loop {
        let length = stream.read(&mut some).await?;
        line.extend_from_slice(&some[..length]);
        if length == 0 || line.contains(&b'\n') {
            return Ok(line);
        }
        if line.len() > LONGEST_LINE {
            bail!("a line of more than {LONGEST_LINE} bytes");
        }
    }
}
