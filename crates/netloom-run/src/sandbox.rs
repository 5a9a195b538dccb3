//! The pod's first process: makes the pod's mounts, gives up what it may, and becomes the command.

pub(crate) mod bundle;
mod devices;
mod piece;
pub mod privileges;
mod reaper;
mod root;
mod user;

use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{
    DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal,
};
use rustix::thread::LinkNameSpaceType;
use serde::{Deserialize, Serialize};

use netloom_kernel::{signal_fd, unshare};

use crate::channel::Channel;
use crate::engine;
use crate::error::{Doing, Error, Result, status};
use crate::spec::PodSpec;

pub(crate) use user::User;

/// The role's name on the command line, and what follows it: the channel's descriptor.
pub const VERB: &str = "pod-init";

/// What the shim has the first process do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The pod's directory.
    pub(crate) dir: PathBuf,
    /// The network namespace; absent is the host's.
    pub(crate) netns: Option<PathBuf>,
    /// The pod.
    pub(crate) spec: PodSpec,
}

/// Why the command does not run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// The exit status.
    pub(crate) status: u8,
    /// What failed.
    pub(crate) words: String,
}

/// What is executed, and as whom.
pub(crate) struct Program<'a> {
    pub(crate) command: &'a [String],
    pub(crate) env: &'a [(String, String)],
    pub(crate) cwd: &'a str,
    pub(crate) user: &'a str,
    pub(crate) capabilities: u64,
    pub(crate) tty: bool,
}

/// Becomes the command. Returns only if that failed, when the shim knows why.
pub fn main(channel: OwnedFd) -> u8 {
    // Nobody in the pod reads this process, which still has all privileges, or writes to its program.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let mut channel = Channel::from_descriptor(channel);
    let Ok(Some(order)) = channel.receive::<Order>() else {
        return status::NOT_STARTED;
    };
    let error = match begin(&order, &channel) {
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

/// Nothing.
pub(crate) enum Never {}

fn begin(order: &Order, channel: &Channel) -> Result<Never> {
    let spec = &order.spec;
    if let (Some(call), Some(netns)) = (&spec.engine, &order.netns) {
        die_with_the_shim(channel)?;
        return Err(engine::become_client(call, netns, &order.dir));
    }
    if let Some(runtime) = &spec.runtime {
        die_with_the_shim(channel)?;
        return bundle::become_client(order, runtime);
    }
    if let Some(netns) = &order.netns {
        let path = netns.to_string_lossy();
        unshare::enter(&path, LinkNameSpaceType::Network)?;
    }
    unshare::sandbox()?;
    root::enter(order)?;
    rustix::system::sethostname(spec.hostname.as_bytes()).doing(|| "set the host name")?;
    let program = Program {
        command: &spec.command,
        env: &spec.env,
        cwd: &spec.cwd,
        user: &spec.user,
        capabilities: spec.capabilities,
        tty: spec.tty,
    };
    let mut command = prepare(&program)?;
    die_with_the_shim(channel)?;
    if spec.init {
        return reaper::run(command, channel).map_err(|cause| not_executed(&program, &cause));
    }
    Err(not_executed(&program, &command.exec()))
}

/// Takes on what the program runs as: session, terminal, directory, user, capabilities.
pub(crate) fn prepare(program: &Program<'_>) -> Result<Command> {
    rustix::process::setsid().doing(|| "begin a session")?;
    if program.tty {
        rustix::process::ioctl_tiocsctty(rustix::stdio::stdin()).doing(|| "take the terminal")?;
    }
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let user = User::find(program.user)?;
    if let Err(error) = rustix::process::chdir(program.cwd) {
        return Err(Error::of(
            format!("enter the working directory {:?}", program.cwd),
            error,
        ));
    }
    privileges::give_up(&user, program.capabilities)?;
    signal_fd::unblock_all();
    let (name, arguments) = program
        .command
        .split_first()
        .ok_or_else(|| Error::new("there is no command to run"))?;
    let mut command = Command::new(name);
    command.args(arguments).env_clear();
    if !program.env.iter().any(|(key, _)| key == "HOME") {
        command.env("HOME", &user.home);
    }
    command.envs(program.env.iter().map(|(key, value)| (key, value)));
    Ok(command)
}

/// To be killed with the shim was forgotten when the user changed. If the shim died since, its end of the
/// channel is closed.
fn die_with_the_shim(channel: &Channel) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).doing(|| "ask to die with the shim")?;
    let mut polled = [PollFd::new(channel.socket(), PollFlags::IN)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match rustix::event::poll(&mut polled, Some(&at_once)) {
        Ok(0) => Ok(()),
        _ => Err(Error::new("the shim is gone")),
    }
}

pub(crate) fn not_executed(program: &Program<'_>, cause: &std::io::Error) -> Error {
    let status = match cause.kind() {
        std::io::ErrorKind::NotFound => status::NOT_FOUND,
        _ => status::NOT_EXECUTABLE,
    };
    let name = program.command.first().map_or("", String::as_str);
    Error::with_status(
        status,
        format!("cannot execute {name:?} in the pod: {cause}"),
    )
}
