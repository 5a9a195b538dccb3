//! Running the plugin, with all that is said passed on and kept.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
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
        let wants_more = request.wants_more();
        let asked = match (&request.to, wants_more) {
            (Some(_), true) => Some((rustix::stdio::stdin(), PollFlags::IN)),
            (Some(to), false) => Some((to.as_fd(), PollFlags::OUT)),
            (None, _) => None,
        };
        let read = |fd| Some((fd, PollFlags::IN));
        let ready = ready([
            read(process.as_fd()),
            asked,
            stdout.as_ref().map(AsFd::as_fd).and_then(read),
            stderr.as_ref().map(AsFd::as_fd).and_then(read),
        ])?;
        let [ended, for_request, for_stdout, for_stderr] = ready;
        if for_request && !ended {
            if wants_more {
                request.read(&mut said.stdin)?;
            }
            request.write();
        }
        if for_stdout {
            let to = rustix::stdio::stdout();
            pass_on(&mut stdout, &mut said.stdout, to, ended);
        }
        if for_stderr {
            let to = rustix::stdio::stderr();
            pass_on(&mut stderr, &mut said.stderr, to, ended);
        }
        if ended {
            return Ok(());
        }
    }
}

/// Waits for any of these, as far as they are there, and tells which came.
fn ready<const N: usize>(
    wanted: [Option<(BorrowedFd<'_>, PollFlags)>; N],
) -> io::Result<[bool; N]> {
    let there = wanted.iter().flatten();
    let mut fds: Vec<_> = there
        .map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags))
        .collect();
    loop {
        match poll(&mut fds, None) {
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    let mut came = fds.iter().map(|fd| !fd.revents().is_empty());
    Ok(wanted.map(|it| it.is_some() && came.next().unwrap_or(false)))
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
