//! The foreground: what the user called, and what ends with the command.

use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;

use netloom_kernel::signal_fd::SignalFd;
use rustix::event::{PollFd, PollFlags};
use rustix::process::Signal;

use crate::channel::{Channel, News, Order};
use crate::error::{Doing, Error, Result, status};
use crate::terminal::{HEARD, Pty, Terminal, resize};
use crate::{PodSpec, process, shim, state};

/// How a pod ended.
#[derive(Debug)]
pub struct Outcome {
    /// The command's exit status; 0 of a pod that runs on.
    pub status: u8,
    /// What could not be taken away, a line each.
    pub left: Vec<String>,
}

/// A new id for a pod.
///
/// # Errors
/// If the kernel has no random numbers.
pub fn new_id() -> Result<String> {
    state::new_id()
}

/// Runs the pod, and returns when its command has ended; when it runs, if it is detached.
///
/// # Errors
/// If it did not come to life; nothing is left then, or the error says what.
pub fn run(spec: &PodSpec) -> Result<Outcome> {
    let (mut channel, theirs) = Channel::pair()?;
    let terminal = spec.tty.then(Pty::open).transpose()?;
    let mut passed = vec![theirs.socket().as_fd()];
    passed.extend(terminal.as_ref().map(|it| it.pods.as_fd()));
    let shim = process::helper(shim::VERB, &passed, |command| {
        if spec.detach || spec.tty {
            command.stdin(Stdio::null()).stdout(Stdio::null());
        }
    })?;
    drop(theirs);
    let own = terminal.map(|it| it.own);
    // Only now: what is started gets no signals that are blocked.
    let signals = SignalFd::listen(&HEARD)?;
    channel.send(spec)?;
    let mut foreground = Foreground {
        channel,
        signals,
        terminal: own.map(Terminal::new),
    };
    let news = foreground.until_the_end(spec.detach);
    // A detached shim lives on; another has said all.
    drop(shim);
    news
}

struct Foreground {
    channel: Channel,
    signals: SignalFd,
    terminal: Option<Terminal>,
}

impl Foreground {
    fn until_the_end(&mut self, detach: bool) -> Result<Outcome> {
        loop {
            self.pump()?;
            let Some(news) = self.channel.receive::<News>()? else {
                return Err(Error::with_status(
                    status::KILLED,
                    "the pod's shim was killed; the next call of `netloom ps` ends what it left",
                ));
            };
            match news {
                News::Started if detach => {
                    return Ok(Outcome {
                        status: 0,
                        left: Vec::new(),
                    });
                }
                News::Started => {
                    if let Some(terminal) = &mut self.terminal {
                        terminal.begin();
                    }
                }
                News::Ended => {
                    if let Some(mut terminal) = self.terminal.take() {
                        terminal.drain();
                    }
                    self.channel.send(&Order::GoOn)?;
                }
                News::Failed { status, words } => return Err(Error::with_status(status, words)),
                News::Done { status, left } => return Ok(Outcome { status, left }),
            }
        }
    }

    /// Hands on signals and what is typed and shown, until there is news.
    fn pump(&mut self) -> Result<()> {
        while !self.channel.has_more() {
            let terminal = self.terminal.as_ref();
            let (socket, signals) = (self.channel.socket(), &self.signals);
            let mut polled = vec![
                PollFd::new(socket, PollFlags::IN),
                PollFd::new(signals, PollFlags::IN),
            ];
            polled.extend(terminal.into_iter().flat_map(Terminal::polled));
            match rustix::event::poll(&mut polled, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(Error::of("wait for the pod", errno)),
            }
            let ready: Vec<bool> = polled.iter().map(|it| !it.revents().is_empty()).collect();
            drop(polled);
            if let Some(terminal) = &mut self.terminal {
                terminal.pump(&ready[2..]);
            }
            if ready[1] {
                self.hand_on()?;
            }
            if ready[0] {
                return Ok(());
            }
        }
        Ok(())
    }

    fn hand_on(&mut self) -> Result<()> {
        while let Some(number) = self.signals.next() {
            if number == Signal::WINCH.as_raw()
                && let Some(terminal) = &self.terminal
            {
                resize(&terminal.own);
                continue;
            }
            // A shim that is gone is seen by the end of the channel.
            let _ = self.channel.send(&Order::Signal(number));
        }
        Ok(())
    }
}

/// Whether stdin is a terminal.
#[must_use]
pub fn has_terminal() -> bool {
    rustix::termios::isatty(rustix::stdio::stdin())
}

/// A descriptor that a helper was started with.
///
/// # Errors
/// If there is none of this number.
pub fn passed(argument: Option<&str>) -> Result<OwnedFd> {
    let number = argument.and_then(|it| it.parse().ok());
    let number: i32 =
        number.ok_or_else(|| Error::new("this is a part of `netloom run`, not a command"))?;
    netloom_kernel::daemon::inherited_descriptor(number).doing(|| "take a descriptor")
}
