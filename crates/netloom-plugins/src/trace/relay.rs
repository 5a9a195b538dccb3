//! Running the plugin, with all that is said passed on and kept.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use netloom_kernel::signals;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ioctl_fionbio, ioctl_fionread};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// How much of each stream is kept, in bytes. All of it is passed on.
const KEPT: usize = 256 * 1024;
/// How much is read at once, in bytes.
const CHUNK: usize = 16 * 1024;

/// What was said, and how the plugin ended.
pub(super) struct Said {
    pub(super) process: u32,
    pub(super) stdin: Vec<u8>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    status: ExitStatus,
}

impl Said {
    pub(super) fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    pub(super) fn code(&self) -> u8 {
        u8::try_from(self.status.code().unwrap_or(1)).unwrap_or(1)
    }
}

/// Runs the plugin to its end. What outlives it and holds its streams is not waited for.
pub(super) fn run(command: &mut Command) -> io::Result<Said> {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = piped.stderr(Stdio::piped()).spawn()?;
    signals::child_alone_started(child.id());
    let mut said = Said {
        process: child.id(),
        stdin: Vec::new(),
        stdout: Vec::new(),
        stderr: Vec::new(),
        status: ExitStatus::default(),
    };
    let relayed = relay(&mut child, &mut said);
    said.status = child.wait()?;
    relayed.map(|()| said)
}

/// The request on its way to the plugin.
struct Request {
    to: Option<ChildStdin>,
    pending: Vec<u8>,
    is_whole: bool,
}

impl Request {
    fn wants_more(&self) -> bool {
        self.to.is_some() && !self.is_whole && self.pending.is_empty()
    }

    /// Takes what has arrived from the caller.
    fn read(&mut self, kept: &mut Vec<u8>) -> io::Result<()> {
        let mut chunk = [0; 4096];
        let length =
            rustix::io::retry_on_intr(|| rustix::io::read(rustix::stdio::stdin(), &mut chunk[..]))?;
        self.is_whole = length == 0;
        self.pending.extend_from_slice(&chunk[..length]);
        keep(kept, &chunk[..length]);
        Ok(())
    }

    /// Gives the plugin what it takes. It need not read its request.
    fn write(&mut self) {
        if let Some(to) = &mut self.to {
            match to.write(&self.pending) {
                Ok(written) => drop(self.pending.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.to = None,
            }
        }
        if self.is_whole && self.pending.is_empty() {
            self.to = None;
        }
    }
}

fn relay(child: &mut Child, said: &mut Said) -> io::Result<()> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let mut request = Request {
        to: child.stdin.take(),
        pending: Vec::new(),
        is_whole: false,
    };
    if let Some(to) = &request.to {
        ioctl_fionbio(to, true)?;
    }
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    loop {
        let mut fds = vec![PollFd::new(&process, PollFlags::IN)];
        let caller = rustix::stdio::stdin();
        let wants_more = request.wants_more();
        match (&request.to, wants_more) {
            (Some(_), true) => fds.push(PollFd::from_borrowed_fd(caller, PollFlags::IN)),
            (Some(to), false) => fds.push(PollFd::new(to, PollFlags::OUT)),
            (None, _) => {}
        }
        let has_request = request.to.is_some();
        fds.extend(stdout.as_ref().map(|it| PollFd::new(it, PollFlags::IN)));
        fds.extend(stderr.as_ref().map(|it| PollFd::new(it, PollFlags::IN)));
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let ended = ready[0];
        let mut at = 1;
        let mut next = |is_there: bool| {
            let is_ready = is_there && ready[at];
            at += usize::from(is_there);
            is_ready
        };
        let for_request = next(has_request);
        let for_stdout = next(stdout.is_some());
        let for_stderr = next(stderr.is_some());
        if for_request && !ended {
            if wants_more {
                request.read(&mut said.stdin)?;
            }
            request.write();
        }
        if for_stdout {
            pass_on(
                &mut stdout,
                &mut said.stdout,
                rustix::stdio::stdout(),
                ended,
            );
        }
        if for_stderr {
            pass_on(
                &mut stderr,
                &mut said.stderr,
                rustix::stdio::stderr(),
                ended,
            );
        }
        if ended {
            return Ok(());
        }
    }
}

/// Passes on what has arrived; at the end of the plugin all that is in the pipe.
fn pass_on(
    stream: &mut Option<impl Read + AsFd>,
    kept: &mut Vec<u8>,
    to: impl AsFd,
    is_last: bool,
) {
    let Some(open) = stream else { return };
    let mut left = match is_last {
        true => ioctl_fionread(&*open).map_or(0, |it| usize::try_from(it).unwrap_or(0)),
        false => 1,
    };
    let mut chunk = vec![0; CHUNK];
    while left > 0 {
        match open.read(&mut chunk) {
            Ok(0) => {
                *stream = None;
                return;
            }
            Ok(length) => {
                keep(kept, &chunk[..length]);
                // As to the plugin itself: a caller that has gone hears nothing.
                write_all(&to, &chunk[..length]);
                left = left.saturating_sub(length);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

fn write_all(to: &impl AsFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match rustix::io::retry_on_intr(|| rustix::io::write(to, bytes)) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::AGAIN) => {
                let mut fds = [PollFd::new(to, PollFlags::OUT)];
                let _ = poll(&mut fds, None);
            }
            Err(_) => return,
        }
    }
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8]) {
    let room = KEPT.saturating_sub(kept.len()).min(bytes.len());
    kept.extend_from_slice(&bytes[..room]);
}
