//! One call of the command, with or without a fault in it.

use std::fmt;

use netloom_testkit::{Call, DEBIAN_DIR, Outcome};

use crate::network::{NOW, THEN, capabilities};

pub(crate) const NETLOOM: &str = env!("CARGO_BIN_EXE_netloom");
pub(crate) const PLUGINS: &str = "/run/plugins";

/// What happens to the first process that makes a system call so often.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Kill(&'static str, usize),
    Fail(&'static str, usize, &'static str),
}

/// System calls at whose beginning a process may die, the runtime's as a plugin's.
const MORTAL: [&str; 18] = [
    "sendto",
    "recvmsg",
    "recvfrom",
    "openat",
    "write",
    "rename",
    "renameat2",
    "unlink",
    "mkdir",
    "socket",
    "close",
    "execve",
    "flock",
    "fdatasync",
    "read",
    "poll",
    "exit_group",
    "linkat",
];
/// Those that may fail.
const FALLIBLE: [&str; 14] = [
    "sendto",
    "recvmsg",
    "recvfrom",
    "openat",
    "write",
    "pwrite64",
    "rename",
    "renameat2",
    "mkdir",
    "socket",
    "flock",
    "fdatasync",
    "read",
    "poll",
];
const ERRORS: [&str; 4] = ["ENOSPC", "EIO", "ENOMEM", "EMFILE"];

impl Fault {
    pub(crate) fn any(random: &mut crate::random::Random) -> Self {
        let when = 1 + random.below(3) * random.below(8);
        if random.percent(65) {
            return Self::Kill(random.one_of(&MORTAL), when);
        }
        Self::Fail(random.one_of(&FALLIBLE), when, random.one_of(&ERRORS))
    }

    /// Each process of the call is counted for itself, iptables-restore too.
    fn put_into(self, call: &Call) -> Call {
        let (name, inject) = match self {
            Self::Kill(name, when) => (name, format!("inject={name}:signal=SIGKILL:when={when}")),
            Self::Fail(name, when, errno) => {
                (name, format!("inject={name}:error={errno}:when={when}"))
            }
        };
        let trace = format!("trace={name}");
        let options = ["-f", "-qq", "-o", "/dev/null", "-e"];
        let options = [&options[..], &[&trace, "-e", "signal=none", "-e", &inject]].concat();
        call.under("strace", &options)
    }
}

/// Whose plugins are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hand {
    Ours,
    Go,
}

/// A verb for one attachment.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) verb: &'static str,
    pub(crate) slot: usize,
    pub(crate) network: &'static str,
    pub(crate) id: String,
    pub(crate) netns: String,
    pub(crate) hand: Hand,
    pub(crate) fault: Option<Fault>,
}

impl Operation {
    pub(crate) fn run(&self) -> Outcome {
        let call = netloom(self.hand)
            .env("CAP_ARGS", capabilities(self.slot))
            .arg(self.verb)
            .arg(self.network)
            .arg(&self.netns)
            .arg("--container-id")
            .arg(&self.id);
        match self.fault {
            None => call.run(),
            Some(fault) => fault.put_into(&call).run(),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.verb, self.network, self.id)?;
        if self.hand == Hand::Go {
            write!(f, " by Go")?;
        }
        match self.fault {
            Some(fault) => write!(f, " {fault:?}"),
            None => Ok(()),
        }
    }
}

/// The command with its errors as CNI error objects.
pub(crate) fn netloom(hand: Hand) -> Call {
    let (plugins, configurations) = match hand {
        Hand::Ours => (PLUGINS, NOW),
        Hand::Go => (DEBIAN_DIR, THEN),
    };
    Call::new(NETLOOM)
        .env("CNI_PATH", plugins)
        .env("NETCONFPATH", configurations)
        .arg("--json")
}

/// `netloom gc` of all networks or one, which finds out itself who lives.
pub(crate) fn gc(network: Option<&str>, fault: Option<Fault>) -> Outcome {
    let call = netloom(Hand::Ours).arg("gc").arg("--yes");
    let call = network.into_iter().fold(call, |call, name| call.arg(name));
    match fault {
        None => call.run(),
        Some(fault) => fault.put_into(&call).run(),
    }
}

/// `netloom gc` of one network, told who lives.
pub(crate) fn gc_keeping(network: &str, ids: &[String]) -> Outcome {
    let call = netloom(Hand::Ours).arg("gc").arg("--yes").arg(network);
    if ids.is_empty() {
        return call.arg("--all").run();
    }
    let keep = |call: Call, id: &String| call.arg("--keep").arg(format!("{id}/eth0"));
    ids.iter().fold(call, keep).run()
}
