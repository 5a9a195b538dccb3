//! Entering and leaving namespaces from a test thread.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;

use rustix::mount::{UnmountFlags, unmount};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

/// Opens a namespace file.
pub(crate) fn open(path: impl AsRef<Path>) -> File {
    let path = path.as_ref();
    File::open(path).unwrap_or_else(|error| panic!("cannot open namespace {path:?}: {error}"))
}

/// Moves the calling thread into namespaces of its own; children and threads that it starts
/// afterwards inherit them.
#[expect(
    deprecated,
    reason = "only CLONE_FILES makes unshare unsafe, and no caller passes it"
)]
pub(crate) fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    debug_assert!(!flags.contains(UnshareFlags::FILES));
    rustix::thread::unshare(flags)
}

/// Runs `work` in a thread of its own inside the network namespace `netns`, and gives back what
/// it returns. A panic in it goes on in the caller.
pub(crate) fn run_in<T: Send>(netns: &File, work: impl FnOnce() -> T + Send) -> T {
    let name = std::thread::current().name().map(str::to_owned);
    let outcome = std::thread::scope(|scope| {
        let mut builder = std::thread::Builder::new();
        if let Some(name) = name {
            builder = builder.name(name);
        }
        let thread = builder
            .spawn_scoped(scope, || {
                move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network))
                    .unwrap_or_else(|error| panic!("cannot enter a network namespace: {error}"));
                work()
            })
            .unwrap_or_else(|error| panic!("cannot start a thread: {error}"));
        thread.join()
    });
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Unmounts without waiting for users; what is not mounted is left alone.
pub(crate) fn detach(path: &Path) {
    let _ = unmount(path, UnmountFlags::DETACH);
}

/// Runs a shell line in the namespaces of the calling thread; panics if it fails.
pub(crate) fn shell(line: &str) -> String {
    let output = Command::new("/bin/sh")
        .args(["-c", line])
        .output()
        .unwrap_or_else(|error| panic!("cannot run a shell: {error}"));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "`{line}` failed: {}\n{stdout}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    stdout
}
