//! The way out of a user's own host: slirp4netns or pasta, programs that make of its packets connections
//! of the user's.

use std::fs::File;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::io::FdFlags;
use serde_json::{Value, json};

use super::{INSIDE, is_inside};
use crate::error::{Doing, Error, Result};
use crate::{Port, Protocol};

const TUN: &str = "/dev/net/tun";
const SOCKET: &str = "slirp4netns.sock";
/// The host's address in the network of slirp4netns, and its name server there.
const OWN: &str = "10.0.2.100";
const NAME_SERVER: &str = "10.0.2.3";
/// More than any answer of slirp4netns.
const LONGEST: u64 = 1 << 20;

/// Which program there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WayOut {
    /// It leads ports too, at any time.
    Slirp,
    Pasta,
    None,
}

impl WayOut {
    pub(super) fn find() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let is_there = |name| std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
        match (is_there("slirp4netns"), is_there("pasta")) {
            (true, _) => Self::Slirp,
            (false, true) => Self::Pasta,
            (false, false) => Self::None,
        }
    }

    pub(super) fn name_server(self) -> Option<String> {
        (self == Self::Slirp).then(|| NAME_SERVER.to_owned())
    }

    /// Starts it; it ends with the keeper, which has the other end of `end`. What there is not is said.
    pub(super) fn open(self, keeper: i32, dir: &Path, end: &OwnedFd) -> Result<(), String> {
        let no_way = "pods reach each other, and nothing else";
        if self != Self::None {
            // What both make their interface of. They say less about it.
            let tun = File::options().read(true).write(true).open(TUN);
            tun.map_err(|error| format!("{no_way}: open {TUN:?}: {error}"))?;
        }
        match self {
            Self::Slirp => slirp(keeper, dir, end).map_err(|error| format!("{no_way}: {error}")),
            Self::Pasta => pasta(keeper).map_err(|error| format!("{no_way}: {error}")),
            Self::None => Err(format!(
                "{no_way}: install slirp4netns for that (Debian: apt install slirp4netns)"
            )),
        }
    }
}

fn slirp(keeper: i32, dir: &Path, end: &OwnedFd) -> Result<()> {
    let socket = dir.join(SOCKET);
    let _ = std::fs::remove_file(&socket);
    let flags = rustix::pipe::PipeFlags::CLOEXEC;
    let (ready, write) = rustix::pipe::pipe_with(flags).doing(|| "make a pipe")?;
    let mut command = Command::new("slirp4netns");
    command.args(["--configure", "--mtu=65520", "--disable-host-loopback"]);
    command.arg(format!("--ready-fd={}", write.as_raw_fd()));
    command.arg(format!("--exit-fd={}", end.as_raw_fd()));
    command.arg("--api-socket").arg(&socket);
    command.arg(keeper.to_string()).arg("tap0");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::null()).process_group(0);
    let pass = |fd: BorrowedFd<'_>, flags| rustix::io::fcntl_setfd(fd, flags);
    let both = |flags| pass(write.as_fd(), flags).and_then(|()| pass(end.as_fd(), flags));
    both(FdFlags::empty()).doing(|| "hand on a pipe")?;
    let started = command.spawn();
    both(FdFlags::CLOEXEC).doing(|| "hand on a pipe")?;
    started.doing(|| "execute \"slirp4netns\"")?;
    drop(write);
    let mut byte = [0];
    match File::from(ready).read(&mut byte) {
        Ok(1) => Ok(()),
        _ => Err(Error::new("slirp4netns ended at once")),
    }
}

fn pasta(keeper: i32) -> Result<()> {
    let mut command = Command::new("pasta");
    // Without the last, the gateway's address would lead to what listens on the loopback of the real host.
    command.args(["--config-net", "-q", "--no-map-gw"]);
    command.args(["-t", "none", "-u", "none", "-T", "none", "-U", "none"]);
    command.arg(keeper.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let output = command.output().doing(|| "execute \"pasta\"")?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let words = String::from_utf8_lossy(&output.stderr);
            Err(Error::new(format!("pasta: {}", words.trim())))
        }
    }
}

/// Has ports of the real host lead to those of the user's own host; does nothing elsewhere.
pub(crate) fn publish(ports: &[Port]) -> Result<()> {
    if !is_inside() {
        return Ok(());
    }
    for port in ports {
        let asked = json!({
            "proto": port.protocol.as_str(),
            "host_addr": port.host_ip.map_or("0.0.0.0".to_owned(), |ip| ip.to_string()),
            "host_port": port.host, "guest_addr": OWN, "guest_port": port.host,
        });
        let refused = |why: String| {
            let number = port.host;
            Error::new(format!(
                "-p: port {number} of the host cannot be published without root: {why}"
            ))
        };
        if port.protocol == Protocol::Sctp {
            return Err(refused("slirp4netns leads TCP and UDP".to_owned()));
        }
        let socket = connect().map_err(|error| refused(error.words))?;
        ask(socket, "add_hostfwd", &asked).map_err(|error| {
            let low = if port.host < 1024 {
                ", or it is below 1024"
            } else {
                ""
            };
            refused(format!("{error} (another program may have it{low})"))
        })?;
    }
    Ok(())
}

/// The other way round, whoever published them. What is not there is no failure.
pub(crate) fn withdraw(ports: &[Port]) -> Result<()> {
    if !is_inside() || ports.is_empty() {
        return Ok(());
    }
    // Where it does not run there is nothing of it.
    let Ok(socket) = connect() else {
        return Ok(());
    };
    let listed = ask(socket, "list_hostfwd", &json!({}))?;
    for entry in listed["entries"].as_array().into_iter().flatten() {
        let is_one = |port: &&Port| {
            entry["host_port"] == port.host && entry["proto"] == port.protocol.as_str()
        };
        if ports.iter().any(|port| is_one(&port)) {
            ask(connect()?, "remove_hostfwd", &json!({ "id": entry["id"] }))?;
        }
    }
    Ok(())
}

fn connect() -> Result<UnixStream> {
    let socket = Path::new(INSIDE).join(SOCKET);
    UnixStream::connect(socket)
        .map_err(|_| Error::new("that needs slirp4netns, which does not run"))
}

/// One request of slirp4netns's, which answers one to a connection.
fn ask(mut stream: UnixStream, what: &str, arguments: &Value) -> Result<Value> {
    let request = json!({ "execute": what, "arguments": arguments });
    let mut answer = String::new();
    let mut exchange = || {
        stream.write_all(request.to_string().as_bytes())?;
        stream.shutdown(Shutdown::Write)?;
        (&mut stream).take(LONGEST).read_to_string(&mut answer)
    };
    exchange().doing(|| "ask slirp4netns")?;
    let answer: Value = serde_json::from_str(&answer).doing(|| "read slirp4netns's answer")?;
    match answer["error"]["desc"].as_str() {
        // A list comes bare.
        None => Ok(answer.get("return").unwrap_or(&answer).clone()),
        Some(words) => Err(Error::new(format!("slirp4netns: {words}"))),
    }
}
