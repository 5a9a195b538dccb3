//! Feeding a running plugin its request and reading what it says, until it ends.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, ExitStatus};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio, ioctl_fionread};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open};

use crate::Limits;
use crate::stderr::Log;

/// How much is read from one stream before the others and the deadline get their turn, in bytes.
const CHUNK: u64 = 64 * 1024;

/// How much a plugin may write to stdout, in bytes: no result of a real plugin comes near.
pub(super) const LARGEST: usize = 1024 * 1024;

/// How the conversation ended.
pub(super) enum Ending {
    /// The plugin ended by itself, or by somebody else's signal.
    Exit { status: ExitStatus, stdout: Vec<u8> },
    /// The deadline came first; the plugin was killed.
    TimeUp,
    /// The caller cancelled; the plugin was killed.
    Cancelled,
    /// It wrote more than [`LARGEST`] bytes to stdout; it was killed.
    TooMuch,
}

/// How the talk went.
enum Talk {
    /// The plugin ended.
    Over,
    /// It still runs, and is to be killed.
    Broken(Ending),
}

/// What there is to be done next.
enum News {
    /// The plugin reads or writes.
    Words,
    /// It ended.
    Ended,
    TimeUp,
    Cancelled,
}

/// A running plugin and its three streams. One thread serves them all: whichever the plugin
/// reads or writes, in whatever order, neither side waits for the other for ever.
pub(super) struct Conversation<'a> {
    child: Child,
    /// Whether the child leads a process group of its own.
    group: bool,
    request: &'a [u8],
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    answer: Vec<u8>,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(mut child: Child, request: &'a [u8], group: bool) -> Self {
        Self {
            request,
            group,
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            answer: Vec::new(),
            child,
        }
    }

    /// Talks until the plugin ends or the limits say so. Whatever happens, no child is left.
    pub(super) fn hold(mut self, limits: &Limits, log: &mut Log<'_>) -> io::Result<Ending> {
        match self.talk(limits, log) {
            Ok(Talk::Over) => Ok(Ending::Exit {
                status: self.child.wait()?,
                stdout: self.answer,
            }),
            Ok(Talk::Broken(ending)) => {
                self.end()?;
                self.read_rest(log)?;
                Ok(ending)
            }
            Err(error) => {
                self.end()?;
                Err(error)
            }
        }
    }

    fn talk(&mut self, limits: &Limits, log: &mut Log<'_>) -> io::Result<Talk> {
        let process = pidfd_open(self.pid(), PidfdFlags::empty())?;
        self.make_nonblocking()?;
        loop {
            let ended = match self.wait(&process, limits)? {
                News::TimeUp => return Ok(Talk::Broken(Ending::TimeUp)),
                News::Cancelled => return Ok(Talk::Broken(Ending::Cancelled)),
                News::Ended => true,
                News::Words => false,
            };
            if ended {
                self.read_rest(log)?;
            } else {
                self.write_request()?;
                read(&mut self.stdout, CHUNK, &mut self.answer)?;
                read_log(&mut self.stderr, CHUNK, log)?;
            }
            if self.answer.len() > LARGEST {
                return Ok(Talk::Broken(Ending::TooMuch));
            }
            if ended {
                return Ok(Talk::Over);
            }
        }
    }

    /// Waits until a stream or the process has news, or the limits say that it is over.
    fn wait(&self, process: &impl AsFd, limits: &Limits) -> io::Result<News> {
        let mut fds = vec![PollFd::new(process, PollFlags::IN)];
        let cancellations = limits.cancellations();
        fds.extend(
            cancellations
                .iter()
                .map(|it| PollFd::new(it, PollFlags::IN)),
        );
        fds.extend(
            self.stdin
                .as_ref()
                .map(|stdin| PollFd::new(stdin, PollFlags::OUT)),
        );
        fds.extend(
            self.stdout
                .as_ref()
                .map(|stdout| PollFd::new(stdout, PollFlags::IN)),
        );
        fds.extend(
            self.stderr
                .as_ref()
                .map(|stderr| PollFd::new(stderr, PollFlags::IN)),
        );
        loop {
            let left = limits.time_left();
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(News::TimeUp);
            }
            // A time too long for the kernel's clock is no limit.
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            match poll(&mut fds, timeout.as_ref()) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => break,
                Err(error) => return Err(error.into()),
            }
        }
        let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        Ok(match fds.iter().position(is_ready) {
            Some(0) => News::Ended,
            Some(at) if at <= cancellations.len() => News::Cancelled,
            _ => News::Words,
        })
    }

    /// Writes what the plugin takes of the request, and closes its stdin after the end of it. A
    /// plugin need not read its request.
    fn write_request(&mut self) -> io::Result<()> {
        let Some(stdin) = &mut self.stdin else {
            return Ok(());
        };
        match stdin.write(self.request) {
            Ok(written) => self.request = &self.request[written..],
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => return Ok(()),
                ErrorKind::BrokenPipe => self.request = &[],
                _ => return Err(error),
            },
        }
        if self.request.is_empty() {
            self.stdin = None;
        }
        Ok(())
    }

    /// Reads what is in the pipes, and not what a process that outlives the plugin writes later.
    fn read_rest(&mut self, log: &mut Log<'_>) -> io::Result<()> {
        let room = (LARGEST + 1).saturating_sub(self.answer.len());
        let rest = available(&self.stdout)?.min(room as u64);
        read(&mut self.stdout, rest, &mut self.answer)?;
        let rest = available(&self.stderr)?;
        read_log(&mut self.stderr, rest, log)
    }

    /// Kills the plugin, with its group if it has one, and waits for its end.
    fn end(&mut self) -> io::Result<()> {
        let killed = match self.group {
            true => kill_process_group(self.pid(), Signal::KILL),
            false => kill_process(self.pid(), Signal::KILL),
        };
        self.child.wait()?;
        Ok(killed?)
    }

    fn make_nonblocking(&self) -> io::Result<()> {
        let streams = [
            self.stdin.as_ref().map(AsFd::as_fd),
            self.stdout.as_ref().map(AsFd::as_fd),
            self.stderr.as_ref().map(AsFd::as_fd),
        ];
        streams
            .into_iter()
            .flatten()
            .try_for_each(|stream| Ok(ioctl_fionbio(stream, true)?))
    }

    /// The child's id stays its own until `wait` is called.
    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

/// Reads up to `limit` bytes of what is there, and drops the stream at its end.
fn read(stream: &mut Option<impl Read>, limit: u64, to: &mut Vec<u8>) -> io::Result<()> {
    let Some(open) = stream else { return Ok(()) };
    match open.take(limit).read_to_end(to) {
        Ok(count) if (count as u64) < limit => *stream = None,
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

fn read_log(stream: &mut Option<ChildStderr>, limit: u64, log: &mut Log<'_>) -> io::Result<()> {
    let mut chunk = Vec::new();
    read(stream, limit, &mut chunk)?;
    log.write_all(&chunk)
}

/// The number of bytes in the pipe.
fn available(stream: &Option<impl AsFd>) -> io::Result<u64> {
    Ok(stream
        .as_ref()
        .map(ioctl_fionread)
        .transpose()?
        .unwrap_or_default())
}
