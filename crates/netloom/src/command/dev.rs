//! `dev`: build, lint and try a plugin whenever its files change.

mod keys;
mod project;
mod round;
mod step;
mod task;
mod watch;

use anyhow::Result;
use netloom_kernel::signal_fd::SignalFd;
use netloom_kernel::signals;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use super::Misuse;
use crate::cli::dev::Dev;
use keys::Keys;
use project::{Home, Project};
use round::Rounds;
use task::Interrupted;
use watch::Watch;

/// What ends it. The home is removed and the terminal is given back first.
const ENDING: [Signal; 3] = [Signal::INT, Signal::TERM, Signal::HUP];

/// How long nothing may change before a run begins: an editor or a build writes many files.
const QUIET: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 80_000_000,
};

const HELP: &str = "Enter: again   c: conform   t: the whole trial   q: quit";

pub(super) fn run(wanted: &Dev) -> Result<()> {
    let misuse = |error: anyhow::Error| anyhow::Error::new(Misuse(format!("{error:#}")));
    let project = Project::find(&wanted.dir, wanted.cmd.as_deref()).map_err(misuse)?;
    let mut watch = Watch::new(&project.dir)?;
    let home = Home::make()?;
    let signals = SignalFd::listen(&ENDING)?;
    let keys = Keys::begin();
    let done = work(&project, &home, wanted, &mut watch, &keys, &signals);
    drop(keys);
    drop(home);
    drop(signals);
    match done {
        Err(error) => match error.downcast_ref::<Interrupted>() {
            Some(Interrupted(signal)) => {
                signals::end_by(*signal);
                Ok(())
            }
            None => Err(error),
        },
        Ok(()) => Ok(()),
    }
}

fn work(
    project: &Project,
    home: &Home,
    wanted: &Dev,
    watch: &mut Watch,
    keys: &Keys,
    signals: &SignalFd,
) -> Result<()> {
    let mut rounds = Rounds::new(project, home, &wanted.options, signals);
    rounds.run("the first run")?;
    loop {
        say!("{HELP}");
        match next(watch, keys, signals)? {
            Event::Changed(what) => rounds.run(&format!("{what} changed"))?,
            Event::Key(b'\n' | b'\r') => rounds.run("again")?,
            Event::Key(b'c') => rounds.conform_all()?,
            Event::Key(b't') => rounds.whole_trial()?,
            Event::Key(b'q') | Event::End => return Ok(()),
            Event::Key(_) => {}
        }
    }
}

enum Event {
    Changed(String),
    Key(u8),
    /// Nobody can press a key any more, nor see what is said.
    End,
}

/// Waits for a key, or for changes and the quiet after them.
fn next(watch: &mut Watch, keys: &Keys, signals: &SignalFd) -> Result<Event> {
    let mut changed: Option<String> = None;
    loop {
        let mut fds = vec![
            PollFd::new(signals, PollFlags::IN),
            PollFd::from_borrowed_fd(watch.fd(), PollFlags::IN),
        ];
        if keys.is_open() {
            fds.push(PollFd::from_borrowed_fd(keys.fd(), PollFlags::IN));
        }
        let quiet = changed.is_some().then_some(&QUIET);
        let ready = match poll(&mut fds, quiet) {
            Ok(ready) => ready,
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        let is_ready: Vec<bool> = fds.iter().map(|it| !it.revents().is_empty()).collect();
        drop(fds);
        if ready == 0
            && let Some(what) = changed.take()
        {
            return Ok(Event::Changed(what));
        }
        if is_ready[0]
            && let Some(signal) = signals.next()
        {
            return Err(Interrupted(signal).into());
        }
        if is_ready[1] {
            changed = watch.read()?.or(changed);
        }
        if is_ready.get(2) == Some(&true) {
            match keys.read() {
                Some(key) => return Ok(Event::Key(key)),
                None if keys.is_terminal() => return Ok(Event::End),
                None => {}
            }
        }
    }
}
