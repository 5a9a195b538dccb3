//! `exec`: one more program in a pod that runs.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};

use netloom_kernel::signal_fd::SignalFd;
use netloom_kernel::unshare;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal, set_dumpable_behavior,
};
use rustix::thread::LinkNameSpaceType;
use serde::{Deserialize, Serialize};

use crate::channel::Channel;
use crate::error::{Doing, Error, Result, status};
use crate::sandbox::bundle::exec_arguments;
use crate::sandbox::{Failure, Never, Program, not_executed, prepare};
use crate::spec::{Entry, Runtime};
use crate::terminal::{HEARD, Pty, Terminal, resize};
use crate::{Phase, Pod, ProcessId, process};

/// The role's name on the command line, and what follows it: the channel's descriptor.
pub const VERB: &str = "pod-enter";

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    init: ProcessId,
    entry: Entry,
}

/// Runs a program in the pod, and returns its exit status.
///
/// # Errors
/// If the pod does not run, or the program cannot be executed.
pub fn exec(pod: &Pod, entry: &Entry) -> Result<u8> {
    let state = pod.state()?;
    if let Some(call) = &state.spec.engine {
        return Err(Error::new(format!(
            "pod {} is a container of {1}'s: `{1} exec` executes in it",
            pod.short_id(),
            call.program
        )));
    }
    let alive = state.init.filter(|init| init.open().is_some());
    let Some(init) = alive.filter(|_| state.phase == Phase::Run) else {
        return Err(Error::new(format!(
            "pod {} does not run: nothing can be executed in it",
            pod.short_id()
        )));
    };
    match &state.spec.runtime {
        Some(runtime) => by_runtime(
            runtime,
            exec_arguments(&state.spec, pod.dir(), entry)?,
            entry,
        ),
        None => by_helper(init, entry),
    }
}

fn by_runtime(runtime: &Runtime, arguments: Vec<String>, entry: &Entry) -> Result<u8> {
    let mut command = Command::new(&runtime.program);
    if !entry.interactive && !entry.tty {
        command.stdin(Stdio::null());
    }
    let ended = command.args(arguments).status();
    ended
        .map(exit_status)
        .doing(|| format!("execute {:?}", runtime.program))
}

/// Starts it in the pod's namespaces, by a child of this program that enters them.
fn by_helper(init: ProcessId, entry: &Entry) -> Result<u8> {
    let (mut channel, theirs) = Channel::pair()?;
    let terminal = entry.tty.then(Pty::open).transpose()?;
    let stdio = |fd: &OwnedFd| fd.try_clone().map(Stdio::from);
    // A PID namespace is that of children: this process itself stays.
    unshare::enter(&path(init, "pid"), LinkNameSpaceType::ProcessID)?;
    let mut child = process::helper(VERB, &[theirs.socket().as_fd()], |command| {
        if let Some(terminal) = &terminal {
            let all = [&terminal.pods; 3].map(|fd| stdio(fd).unwrap_or_else(|_| Stdio::null()));
            let [stdin, stdout, stderr] = all;
            command.stdin(stdin).stdout(stdout).stderr(stderr);
        } else if !entry.interactive {
            command.stdin(Stdio::null());
        }
        command.env_clear();
    })?;
    drop(theirs);
    let order = Order {
        init,
        entry: entry.clone(),
    };
    let told = channel
        .send(&order)
        .and_then(|()| channel.receive::<Failure>());
    let failure = told.inspect_err(|_| {
        let _ = child.kill();
    })?;
    if let Some(Failure { status, words }) = failure {
        let _ = child.wait();
        return Err(Error::with_status(status, words));
    }
    let terminal = terminal.map(|it| Terminal::new(it.own));
    attend(&mut child, terminal)
}

fn path(init: ProcessId, kind: &str) -> String {
    format!("/proc/{}/ns/{kind}", init.pid)
}

/// Hands on signals and the terminal until the program has ended.
fn attend(child: &mut Child, mut terminal: Option<Terminal>) -> Result<u8> {
    let pidfd =
        pidfd_open(Pid::from_child(child), PidfdFlags::empty()).doing(|| "wait for the program")?;
    let signals = SignalFd::listen(&HEARD)?;
    if let Some(terminal) = &mut terminal {
        terminal.begin();
    }
    loop {
        let mut polled = vec![
            PollFd::new(&pidfd, PollFlags::IN),
            PollFd::new(&signals, PollFlags::IN),
        ];
        polled.extend(terminal.iter().flat_map(Terminal::polled));
        let _ = rustix::event::poll(&mut polled, None);
        let ready: Vec<bool> = polled.iter().map(|it| !it.revents().is_empty()).collect();
        drop(polled);
        if let Some(terminal) = &mut terminal {
            terminal.pump(&ready[2..]);
        }
        while let Some(number) = signals.next() {
            match (Signal::from_named_raw(number), &terminal) {
                (Some(Signal::WINCH), Some(terminal)) => resize(terminal.own()),
                (Some(signal), _) => drop(pidfd_send_signal(&pidfd, signal)),
                (None, _) => {}
            }
        }
        if ready[0] {
            break;
        }
    }
    if let Some(mut terminal) = terminal {
        terminal.drain();
    }
    let ended = child.wait().doing(|| "wait for the program")?;
    Ok(exit_status(ended))
}

pub(crate) fn exit_status(ended: ExitStatus) -> u8 {
    let by_signal = i32::from(status::BY_SIGNAL) + ended.signal().unwrap_or_default();
    u8::try_from(ended.code().unwrap_or(by_signal)).unwrap_or(status::KILLED)
}

/// Becomes the program, in the pod. Returns only if that failed, when the caller knows why.
pub fn main(channel: OwnedFd) -> u8 {
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let mut channel = Channel::from_descriptor(channel);
    let Ok(Some(order)) = channel.receive::<Order>() else {
        return status::NOT_STARTED;
    };
    let error = match enter(&order) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    let failure = Failure {
        status: error.status,
        words: error.words,
    };
    let _ = channel.send(&failure);
    error.status
}

fn enter(order: &Order) -> Result<Never> {
    let kinds = [
        ("net", LinkNameSpaceType::Network),
        ("ipc", LinkNameSpaceType::InterProcessCommunication),
        ("uts", LinkNameSpaceType::HostNameAndNISDomainName),
        ("cgroup", LinkNameSpaceType::ControlGroup),
        // Last: the others are found in the host's /proc.
        ("mnt", LinkNameSpaceType::Mount),
    ];
    if ProcessId::of(order.init.pid) != Some(order.init) {
        return Err(Error::new("the pod has ended"));
    }
    for (name, kind) in kinds {
        unshare::enter(&path(order.init, name), kind)?;
    }
    let entry = &order.entry;
    let program = Program {
        command: &entry.command,
        env: &entry.env,
        cwd: &entry.cwd,
        user: &entry.user,
        capabilities: entry.capabilities,
        tty: entry.tty,
    };
    let mut command = prepare(&program)?;
    Err(not_executed(&program, &command.exec()))
}
