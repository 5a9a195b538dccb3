//! Pods without root: a host of the user's own.
//!
//! It is a user, a mount, a network and a PID namespace in which the user is root. A *keeper*, one more role
//! of this program, is the first process there: who kills it ends them all. A call about pods of this user
//! enters, and has a child do what it does for root. The host ends with its last user: each call and each shim holds a lock that is shared,
//! and the keeper waits for it alone.
//!
//! | in `$XDG_RUNTIME_DIR/netloom`, else `/tmp/netloom-UID` | what |
//! |---|---|
//! | `begin` | locked by whoever looks for the keeper or starts it |
//! | `users` | locked (shared) by all who need the host, alone by a keeper that ends |
//! | `keeper` | the keeper's process |
//! | `pods` | what is known of pods, as root has it in `/run/netloom/pods` |
//! | `slirp4netns.sock` | where slirp4netns is asked to lead ports |
//!
//! What plugins keep is in the host's own `/var/lib/cni` and `/run`, in memory: it ends with what it is about.

mod ids;
pub(crate) mod keeper;
pub(crate) mod way_out;

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use netloom_kernel::signal_fd::SignalFd;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::{Errno, FdFlags};
use rustix::process::{
    Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal, set_parent_process_death_signal,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::channel::Channel;
use crate::enter::exit_status;
use crate::error::{Doing, Error, Result};
use crate::terminal::HEARD;
use crate::{ProcessId, process};
use keeper::{Answer, Setup};
use way_out::WayOut;

pub use keeper::{FIRST, VERB, first, main as keep};

/// The user's directory, as it is seen inside.
const INSIDE: &str = "/run/netloom/user";

/// Does what this process was called for as root of the user's host, which is made if there is none: by a
/// child, whose exit status is returned. Only before there is a second thread. `say` is for what a user
/// should know of a host that was made.
///
/// # Errors
/// If the kernel lets no ordinary user make a user namespace, or the host cannot be made.
pub fn run_inside(say: impl FnOnce(&str)) -> Result<u8> {
    let dir = directory()?;
    let begin = locked(&dir.join("begin"), FlockOperation::LockExclusive)?;
    // A keeper that is about to end lets nobody in, and has ended then.
    let users = locked(&dir.join("users"), FlockOperation::LockShared)?;
    let (keeper, note) = match living(&dir) {
        Some(keeper) => (keeper, None),
        None => make(&dir)?,
    };
    drop(begin);
    if let Some(note) = note {
        say(&note);
    }
    let program = File::open("/proc/self/exe").doing(|| "open this program")?;
    join(keeper)?;
    let child = again(&program).doing(|| "start this program in the user's own host")?;
    let status = attend(child);
    drop(users);
    status
}

/// This program once more, with the same arguments.
fn again(program: &File) -> std::io::Result<Child> {
    let fd = program.as_raw_fd();
    rustix::io::fcntl_setfd(program, FdFlags::empty())?;
    let mut words = std::env::args_os();
    // The kernel of the child's PID namespace knows the descriptor by this name there.
    let mut command = Command::new(format!("/proc/self/fd/{fd}"));
    command.arg0(words.next().unwrap_or_default());
    command.args(words).spawn()
}

/// What a terminal sends to every process of the group comes to the child by itself.
fn attend(mut child: Child) -> Result<u8> {
    let signals = SignalFd::listen(&HEARD)?;
    let pid = Pid::from_child(&child);
    let ended = pidfd_open(pid, PidfdFlags::empty()).doing(|| "watch the child")?;
    let by_terminal = rustix::termios::isatty(rustix::stdio::stdin());
    loop {
        let mut polled = [
            PollFd::new(&ended, PollFlags::IN),
            PollFd::new(&signals, PollFlags::IN),
        ];
        let _ = rustix::event::poll(&mut polled, None);
        let is_over = !polled[0].revents().is_empty();
        while let Some(number) = signals.next() {
            let from_terminal = [Signal::INT, Signal::QUIT, Signal::WINCH];
            if let Some(signal) = Signal::from_named_raw(number)
                && !(by_terminal && from_terminal.contains(&signal))
            {
                let _ = pidfd_send_signal(&ended, signal);
            }
        }
        if is_over {
            return child.wait().map(exit_status).doing(|| "wait for the child");
        }
    }
}

/// Called at the begin of this program: the part that is in the host ends with the one outside.
pub fn end_with_parent() {
    if is_inside() {
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
    }
}

/// Keeps the host, if this process is in one.
pub(crate) fn hold() -> Result<Option<OwnedFd>> {
    let users = Path::new(INSIDE).join("users");
    match is_inside() {
        true => locked(&users, FlockOperation::LockShared).map(Some),
        false => Ok(None),
    }
}

/// Whether this process is in a user's own host.
#[must_use]
pub fn is_inside() -> bool {
    Path::new(INSIDE).is_dir()
}

/// Where a user's images are: they outlive the host.
pub(crate) fn images() -> Option<PathBuf> {
    if !is_inside() {
        return None;
    }
    let data = absolute("XDG_DATA_HOME");
    let home = || absolute("HOME").map(|home| home.join(".local/share"));
    data.or_else(home).map(|data| data.join("netloom/images"))
}

fn absolute(variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from);
    path.filter(|path| path.is_absolute())
}

/// The user's directory, which nobody else may use.
fn directory() -> Result<PathBuf> {
    let own = rustix::process::geteuid().as_raw();
    let dir = match absolute("XDG_RUNTIME_DIR") {
        Some(dir) => dir.join("netloom"),
        None => std::env::temp_dir().join(format!("netloom-{own}")),
    };
    match fs::DirBuilder::new().mode(0o700).create(&dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(Error::of(format!("make {dir:?}"), error));
        }
        _ => {}
    }
    let found = fs::symlink_metadata(&dir).doing(|| format!("look at {dir:?}"))?;
    match found.is_dir() && found.uid() == own && found.mode() & 0o077 == 0 {
        true => Ok(dir),
        false => Err(Error::new(format!(
            "{dir:?} is not a directory that only its owner {own} may use: remove it, or set XDG_RUNTIME_DIR"
        ))),
    }
}

fn locked(path: &Path, how: FlockOperation) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let open = || {
        let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?;
        loop {
            match rustix::fs::flock(&file, how) {
                Err(Errno::INTR) => {}
                done => return done.map(|()| file),
            }
        }
    };
    open().doing(|| format!("lock {path:?}"))
}

/// The keeper, if it lives.
fn living(dir: &Path) -> Option<ProcessId> {
    let bytes = fs::read(dir.join("keeper")).ok()?;
    let keeper: ProcessId = serde_json::from_slice(&bytes).ok()?;
    keeper.runs().then_some(keeper)
}

/// Starts a keeper, and the program that leads out of its host.
fn make(dir: &Path) -> Result<(ProcessId, Option<String>)> {
    let way = WayOut::find();
    let (mut channel, theirs) = Channel::pair()?;
    let (end, kept) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).doing(|| "make a pipe")?;
    let passed = [theirs.socket().as_fd(), kept.as_fd()];
    let mut child = process::helper(VERB, &passed, |command| {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null());
    })?;
    drop((theirs, kept));
    let made = furnish(&mut channel, child.id(), dir, way).and_then(|pid| {
        let gone = || Error::new("the keeper of the user's own host ended");
        let keeper = ProcessId::of(pid).ok_or_else(gone)?;
        let note = way.open(pid, dir, &end).err();
        let text = serde_json::to_vec(&keeper).doing(|| "encode the keeper")?;
        let path = dir.join("keeper");
        fs::write(&path, text).doing(|| format!("write {path:?}"))?;
        Ok((keeper, note))
    });
    // The keeper's own parent has ended, or the keeper sees the end of the channel.
    let _ = child.wait();
    made
}

/// Has a keeper make the host. Returns the keeper's number.
fn furnish(channel: &mut Channel, starter: u32, dir: &Path, way: WayOut) -> Result<i32> {
    channel.send(&Setup {
        dir: dir.to_owned(),
        name_server: way.name_server(),
    })?;
    answered(channel)?;
    ids::map(starter)?;
    channel.send(&Answer::Done)?;
    let keeper = answered(channel)?;
    answered(channel)?;
    keeper.ok_or_else(|| Error::new("the keeper of the user's own host has no number"))
}

fn answered(channel: &mut Channel) -> Result<Option<i32>> {
    match channel.receive::<Answer>()? {
        Some(Answer::Done) => Ok(None),
        Some(Answer::Keeper(pid)) => Ok(Some(pid)),
        Some(Answer::Failed(words)) => Err(Error::new(format!("without root: {words}"))),
        None => Err(Error::new("the keeper of the user's own host was killed")),
    }
}

/// Moves this process into the keeper's namespaces.
fn join(keeper: ProcessId) -> Result<()> {
    let here = std::env::current_dir();
    let kinds = [
        ("user", LinkNameSpaceType::User),
        ("mnt", LinkNameSpaceType::Mount),
        ("net", LinkNameSpaceType::Network),
        // That of children.
        ("pid", LinkNameSpaceType::ProcessID),
    ];
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let opened = kinds.map(|(name, kind)| {
        let path = format!("/proc/{}/ns/{name}", keeper.pid);
        let namespace = rustix::fs::open(&path, flags, Mode::empty());
        namespace
            .map(|it| (it, kind))
            .doing(|| format!("open {path:?}"))
    });
    // They are the keeper's, if it lives still.
    if !keeper.runs() {
        return Err(Error::new("the user's own host has just ended: try again"));
    }
    for namespace in opened {
        let (namespace, kind) = namespace?;
        move_into_link_name_space(namespace.as_fd(), Some(kind))
            .doing(|| "enter the user's own host")?;
    }
    // What the host covers is no place to be.
    let back = here.and_then(std::env::set_current_dir);
    back.or_else(|_| std::env::set_current_dir("/"))
        .doing(|| "enter \"/\"")
}
