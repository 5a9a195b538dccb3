//! Entering and leaving namespaces from a test thread.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

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
