//! The shim: the parent of a pod's first process, who deletes the networks whoever dies.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Signal, pidfd_send_signal};
use rustix::time::{ClockId, clock_gettime};

use netloom_kernel::netns;
use netloom_kernel::signal_fd::SignalFd;
use netloom_kernel::unshare;

use crate::channel::{Channel, News, Order};
use crate::error::{Doing, Error, Result, status};
use crate::log::Log;
use crate::sandbox::{self, Failure};
use crate::{
    Engine, Held, NetworkMode, Phase, Pod, PodSpec, ProcessId, Store, files, finish, life, ports,
    private_host, process,
};

/// The role's name on the command line, and what follows it: the channel's descriptor, and the
/// terminal's if there is one.
pub const VERB: &str = "pod-shim";

/// How long a command may take to end when nobody waits for it any more, in seconds.
const PATIENCE: i64 = 10;

/// Runs a pod from begin to end. `terminal`: the pod's end of it.
pub fn main(channel: OwnedFd, terminal: Option<OwnedFd>, store: &Store, engine: Engine<'_>) -> u8 {
    let _ = rustix::process::setsid();
    let _ = rustix::process::chdir("/");
    let mut channel = Channel::from_descriptor(channel);
    // Until the shim ends.
    let _host = private_host::hold();
    let news = match channel.receive::<PodSpec>() {
        Ok(Some(spec)) => run(&mut channel, terminal, store, spec, engine),
        Ok(None) => return 0,
        Err(error) => Err(error),
    };
    let news = news.unwrap_or_else(|error| News::Failed {
        status: error.status,
        words: error.words,
    });
    // Whoever is gone has no use for it.
    let _ = channel.send(&news);
    0
}

fn run(
    channel: &mut Channel,
    terminal: Option<OwnedFd>,
    store: &Store,
    spec: PodSpec,
    engine: Engine<'_>,
) -> Result<News> {
    // The first effect is the pod's directory; a port that is taken is found before it.
    let _ports = ports::hold(&spec.ports)?;
    let (pod, held) = store.create(spec.clone())?;
    let begun = begin(&pod, store, &spec, terminal, engine);
    let mut running = match begun {
        Ok(running) => running,
        Err(error) => return Err(undo(store, &pod, engine, error)),
    };
    let told = channel.send(&News::Started);
    let status = running.wait(&pod, channel, spec.detach, told.is_ok());
    pod.update(|state| state.status = Some(status))?;
    pod.tell_status(status)?;
    if !spec.detach {
        // Plugins may say something, which is to find the terminal as it was.
        let _ = channel
            .send(&News::Ended)
            .and_then(|()| channel.receive::<Order>());
    }
    let ended = finish(store, &pod, engine, spec.remove)?;
    drop::<Held>(held);
    Ok(News::Done {
        status,
        left: ended.left,
    })
}

/// A pod that did not come to life leaves nothing, or says what.
fn undo(store: &Store, pod: &Pod, engine: Engine<'_>, error: Error) -> Error {
    let left = match finish(store, pod, engine, true) {
        Ok(ended) if ended.left.is_empty() => return error,
        Ok(ended) => ended.left.join("; "),
        Err(failed) => failed.words,
    };
    Error::with_status(
        error.status,
        format!(
            "{error}; not all could be undone, `netloom rm {}` tries again: {left}",
            pod.short_id()
        ),
    )
}

/// Makes the networks, and starts the command.
fn begin(
    pod: &Pod,
    store: &Store,
    spec: &PodSpec,
    terminal: Option<OwnedFd>,
    engine: Engine<'_>,
) -> Result<Running> {
    private_host::way_out::publish(&spec.ports)?;
    let netns = match &spec.network {
        NetworkMode::Host => None,
        NetworkMode::Path(path) => Some(path.clone()),
        NetworkMode::Own => {
            life::loopback_up(&netns::create_at(pod.netns())?)?;
            Some(pod.netns())
        }
    };
    let added = pod.change_networks()?;
    for index in 0..spec.attachments.len() {
        life::add(pod, index, engine)?;
    }
    drop(added);
    let spec = pod.state()?.spec;
    files::write(store, pod, &spec)?;
    let order = sandbox::Order {
        dir: pod.dir().to_owned(),
        netns,
        spec,
    };
    let (running, answer) = start(pod, &order, terminal)?;
    match answer {
        Some(Failure { status, words }) => Err(Error::with_status(status, words)),
        None => {
            files::tell_peers(store, pod, &order.spec)?;
            Ok(running)
        }
    }
}

/// The command, and what comes from it.
struct Running {
    init: Child,
    pidfd: OwnedFd,
    log: Option<Log>,
}

/// Starts the pod's first process, and waits until it executes the command or says why it does not.
fn start(
    pod: &Pod,
    order: &sandbox::Order,
    terminal: Option<OwnedFd>,
) -> Result<(Running, Option<Failure>)> {
    let (mut own, theirs) = Channel::pair()?;
    let (stdio, pipe) = stdio(&order.spec, terminal)?;
    let of_others = order.spec.engine.is_some() || order.spec.runtime.is_some();
    let spawn = || {
        process::helper(sandbox::VERB, &[theirs.socket().as_fd()], |command| {
            let [stdin, stdout, stderr] = stdio;
            command.stdin(stdin).stdout(stdout).stderr(stderr);
            if !of_others {
                command.env_clear();
            }
        })
    };
    let mut init = match of_others {
        false => unshare::with_new_pid_namespace(spawn)??,
        true => spawn()?,
    };
    drop(theirs);
    let id = i32::try_from(init.id()).ok().and_then(ProcessId::of);
    let known = id.ok_or_else(|| Error::new("the pod's first process ended at once"));
    let begun = known.and_then(|id| {
        let pidfd = id
            .open()
            .ok_or_else(|| Error::new("the pod's first process is gone"))?;
        // It does nothing before it has its order.
        pod.update(|state| state.init = Some(id))?;
        own.send(order)?;
        let failure = own.receive::<Failure>()?;
        if failure.is_none() {
            pod.update(|state| state.phase = Phase::Run)?;
        }
        let log = pipe.map(|pipe| Log::new(pod, pipe)).transpose()?;
        Ok((pidfd, log, failure))
    });
    match begun {
        Ok((pidfd, log, failure)) => {
            leave_stdio(pod, &order.spec)?;
            if failure.is_some() {
                let _ = init.wait();
            }
            Ok((Running { init, pidfd, log }, failure))
        }
        Err(error) => {
            let _ = init.kill();
            let _ = init.wait();
            Err(error)
        }
    }
}

/// stdin, stdout and stderr of the command, and the pipe that comes of them.
fn stdio(spec: &PodSpec, terminal: Option<OwnedFd>) -> Result<([Stdio; 3], Option<OwnedFd>)> {
    let again = |fd: &OwnedFd| fd.try_clone().map(Stdio::from);
    if let Some(terminal) = terminal {
        let clones =
            || Ok::<_, std::io::Error>([again(&terminal)?, again(&terminal)?, again(&terminal)?]);
        return Ok((clones().doing(|| "hand on the terminal")?, None));
    }
    if !spec.detach {
        let stdin = match spec.interactive {
            true => Stdio::inherit(),
            false => Stdio::null(),
        };
        return Ok(([stdin, Stdio::inherit(), Stdio::inherit()], None));
    }
    let flags = rustix::pipe::PipeFlags::CLOEXEC;
    let (read, write) = rustix::pipe::pipe_with(flags).doing(|| "make a pipe")?;
    let stderr = again(&write).doing(|| "hand on a pipe")?;
    Ok(([Stdio::null(), write.into(), stderr], Some(read)))
}

/// The caller's descriptors are the command's now. What plugins say later still is for the caller's
/// stderr, or for the log where nobody waits.
fn leave_stdio(pod: &Pod, spec: &PodSpec) -> Result<()> {
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .doing(|| "open \"/dev/null\"")?;
    let replace = || {
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)
    };
    replace().doing(|| "leave the caller's descriptors")?;
    if spec.detach {
        let log = pod.open_log()?;
        rustix::stdio::dup2_stderr(&log).doing(|| "leave the caller's descriptors")?;
    }
    Ok(())
}

impl Running {
    /// Waits for the end of the command, and hands on what comes meanwhile. Returns the exit status.
    fn wait(&mut self, pod: &Pod, channel: &mut Channel, detach: bool, heard: bool) -> u8 {
        let asked = [Signal::TERM, Signal::INT, Signal::HUP];
        let signals = SignalFd::listen(&asked).ok();
        let mut foreground = heard && !detach;
        let mut deadline = None;
        if !heard && !detach {
            deadline = Some(self.ask_to_end());
        }
        loop {
            let ready = self.poll(channel, signals.as_ref(), foreground, deadline);
            if let Some(log) = &mut self.log
                && ready.log
                && !log.pump(pod)
            {
                self.log = None;
            }
            if ready.init {
                return self.collect(pod);
            }
            if ready.signal && signals.as_ref().and_then(SignalFd::next).is_some() {
                deadline = deadline.or_else(|| Some(self.ask_to_end()));
            }
            if ready.channel {
                match channel.receive() {
                    Ok(Some(Order::Signal(number))) => self.signal(number),
                    Ok(Some(Order::GoOn)) => {}
                    Ok(None) | Err(_) => {
                        foreground = false;
                        deadline = deadline.or_else(|| Some(self.ask_to_end()));
                    }
                }
            }
            if deadline.is_some_and(|deadline| now() >= deadline) {
                let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
                deadline = None;
            }
        }
    }

    fn ask_to_end(&self) -> i64 {
        let _ = pidfd_send_signal(&self.pidfd, Signal::TERM);
        now() + PATIENCE
    }

    fn signal(&self, number: i32) {
        if let Some(signal) = Signal::from_named_raw(number) {
            let _ = pidfd_send_signal(&self.pidfd, signal);
        }
    }

    fn poll(
        &self,
        channel: &Channel,
        signals: Option<&SignalFd>,
        foreground: bool,
        deadline: Option<i64>,
    ) -> Ready {
        if foreground && channel.has_more() {
            return Ready {
                channel: true,
                ..Ready::default()
            };
        }
        let mut polled = vec![PollFd::new(&self.pidfd, PollFlags::IN)];
        let log = self.log.as_ref();
        let at_log = log.map(|log| push(&mut polled, log.pipe().as_fd()));
        let at_signal = signals.map(|it| push(&mut polled, it.as_fd()));
        let at_channel = foreground.then(|| push(&mut polled, channel.socket().as_fd()));
        let limit = deadline.map(|deadline| Timespec {
            tv_sec: (deadline - now()).max(0),
            tv_nsec: 1,
        });
        let _ = rustix::event::poll(&mut polled, limit.as_ref());
        let is = |at: Option<usize>| at.is_some_and(|at| !polled[at].revents().is_empty());
        Ready {
            init: is(Some(0)),
            log: is(at_log),
            signal: is(at_signal),
            channel: is(at_channel),
        }
    }

    /// The exit status, after the rest of what the command wrote.
    fn collect(&mut self, pod: &Pod) -> u8 {
        if let Some(log) = &mut self.log {
            // All of the pod's processes are gone with the first, so that the pipe has an end.
            while log.pump(pod) {}
        }
        let Ok(ended) = self.init.wait() else {
            return status::KILLED;
        };
        use std::os::unix::process::ExitStatusExt;
        let code = ended
            .code()
            .unwrap_or_else(|| i32::from(status::BY_SIGNAL) + ended.signal().unwrap_or(9));
        u8::try_from(code).unwrap_or(status::KILLED)
    }
}

/// What there is to do.
#[derive(Default)]
struct Ready {
    init: bool,
    log: bool,
    signal: bool,
    channel: bool,
}

fn push<'a>(polled: &mut Vec<PollFd<'a>>, fd: std::os::fd::BorrowedFd<'a>) -> usize {
    polled.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
    polled.len() - 1
}

/// Seconds of a clock that nobody sets.
fn now() -> i64 {
    clock_gettime(ClockId::Monotonic).tv_sec
}
