//! Work in a process of its own, so that what it enters, mounts and changes ends with it.

use std::io::{PipeReader, Read, Write};
use std::time::{Duration, Instant};

use netloom_kernel::child;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde_json::Value;

/// Longer than any case takes whose plugin keeps to the time limit of a call.
const LIMIT: Duration = Duration::from_secs(180);

/// Work that is being done. It is killed when nobody waits for it any more.
pub(crate) struct Pending {
    process: Pid,
    reader: PipeReader,
    is_over: bool,
}

/// Runs `work` in a copy of this process, and gives back the document that it returns.
///
/// # Errors
/// When there can be no process, or it ended without a document, or it took too long.
pub(crate) fn run(work: impl FnOnce() -> Value) -> Result<Value, String> {
    start(work)?.finish()
}

/// The same without waiting.
pub(crate) fn start(work: impl FnOnce() -> Value) -> Result<Pending, String> {
    let (reader, mut writer) = std::io::pipe().map_err(|error| error.to_string())?;
    let process = child::copy(|| {
        let document = work().to_string();
        let _ = writer.write_all(document.as_bytes());
    })
    .map_err(|error| error.to_string())?;
    drop(writer);
    Ok(Pending {
        process,
        reader,
        is_over: false,
    })
}

impl Pending {
    /// Waits for the document.
    pub(crate) fn finish(mut self) -> Result<Value, String> {
        let text = read(&mut self.reader)?;
        self.is_over = true;
        let _ = waitpid(Some(self.process), WaitOptions::empty());
        serde_json::from_slice(&text).map_err(|_| "the process of the case ended early".to_owned())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.is_over {
            let _ = kill_process(self.process, Signal::KILL);
            let _ = waitpid(Some(self.process), WaitOptions::empty());
        }
    }
}

fn read(reader: &mut PipeReader) -> Result<Vec<u8>, String> {
    let deadline = Instant::now() + LIMIT;
    let mut bytes = Vec::new();
    let mut buffer = [0; 16384];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).unwrap_or_default();
        let mut fds = [PollFd::new(&*reader, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => return Err(format!("the case did not end within {} s", LIMIT.as_secs())),
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.to_string()),
            Ok(_) => {}
        }
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(count) => bytes.extend(&buffer[..count]),
            Err(error) => return Err(error.to_string()),
        }
    }
}
