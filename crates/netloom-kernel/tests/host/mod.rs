//! A throw-away host for each test: the test's thread leaves for namespaces of its own.
#![allow(dead_code, reason = "each test program uses some of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use netloom_kernel::netns::{self, Netns};
use netloom_kernel::rtnl::{LinkChange, Socket};
use netloom_kernel::unshare::{self, Isolation};

static PODS: AtomicU32 = AtomicU32::new(0);

/// Leaves for a new host; `false`, with a note, if the machine does not allow it.
pub(crate) fn enter() -> bool {
    match unshare::host(Isolation {
        mounts: true,
        ..Isolation::default()
    }) {
        Ok(()) => {}
        Err(error) if error.is_denied() => {
            skip(&format!("namespaces: {error}"));
            return false;
        }
        Err(error) => panic!("{error}"),
    }
    unshare::mount_tmpfs("/run").unwrap();
    Socket::open()
        .unwrap()
        .set_link("lo", &LinkChange::new().up())
        .unwrap();
    true
}

/// Says that a test cannot run here, and counts it where `cargo xtask test` looks.
pub(crate) fn skip(reason: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    println!("SKIPPED {test}: {reason}");
    if let Some(path) = std::env::var_os("NETLOOM_SKIPS") {
        use std::io::Write;
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap();
        writeln!(file, "{test}: {reason}").unwrap();
    }
}

/// A pod: a bound network namespace with `lo` up, and a socket in it.
pub(crate) fn pod() -> (Netns, Socket) {
    let number = PODS.fetch_add(1, Ordering::Relaxed);
    let netns = netns::create_at(format!("/run/netns/pod{number}")).unwrap();
    let socket = Socket::open_in(&netns).unwrap();
    socket.set_link("lo", &LinkChange::new().up()).unwrap();
    (netns, socket)
}

/// Executes a program in the current namespaces and returns what it prints.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
