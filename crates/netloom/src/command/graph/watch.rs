//! When a picture is to be drawn anew: when the kernel tells of a change, or an attachment is cached.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result};
use netloom_kernel::rtnl::{Group, Subscription};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use crate::graph::places::Places;
use crate::options::Options;

/// What a picture shows of a namespace.
const GROUPS: [Group; 5] = [
    Group::Links,
    Group::AddressesV4,
    Group::AddressesV6,
    Group::RoutesV4,
    Group::RoutesV6,
];

/// An ADD makes twenty events within some milliseconds, and is told by the cache at its end: the
/// picture waits until it has been quiet for so long, but no longer than so many times.
const QUIET: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};
const AT_MOST: usize = 20;

/// Listens in every namespace of a picture, and to the directories with names.
pub(super) struct Watch {
    ears: Vec<Subscription>,
    files: OwnedFd,
}

impl Watch {
    pub(super) fn begin(options: &Options, places: &Places) -> Result<Self> {
        let mut ears = Vec::new();
        for socket in places.sockets()? {
            ears.push(Subscription::open(&socket, &GROUPS)?);
        }
        let files = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        let files = files.context("watch directories")?;
        let results = options.cache_dir.join("results");
        for directory in [&*results, &*options.conf_dir, "/run/netns".as_ref()] {
            let events = WatchFlags::CLOSE_WRITE
                | WatchFlags::CREATE
                | WatchFlags::DELETE
                | WatchFlags::MOVED_TO;
            // One that is not there is not watched: what comes into it comes with links.
            let _ = inotify::add_watch(&files, directory, events);
        }
        Ok(Self { ears, files })
    }

    /// Waits for a change, and until it is quiet again.
    pub(super) fn wait(self) -> Result<()> {
        let mut timeout = None;
        for _ in 0..AT_MOST {
            if !self.hear(timeout.as_ref())? {
                break;
            }
            timeout = Some(QUIET);
        }
        Ok(())
    }

    /// Whether something came within the time.
    fn hear(&self, timeout: Option<&Timespec>) -> Result<bool> {
        let ears = self.ears.iter().map(AsFd::as_fd);
        let all: Vec<BorrowedFd<'_>> = ears.chain([self.files.as_fd()]).collect();
        let mut fds: Vec<PollFd<'_>> = all
            .iter()
            .map(|fd| PollFd::new(fd, PollFlags::IN))
            .collect();
        let count = loop {
            match poll(&mut fds, timeout) {
                Err(Errno::INTR) => {}
                other => break other.context("wait for a change")?,
            }
        };
        let mut heard = false;
        for (ear, fd) in self.ears.iter().zip(&fds) {
            if !fd.revents().is_empty() {
                ear.clear()?;
                heard = true;
            }
        }
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.files, &mut buffer);
        while reader.next().is_ok() {
            heard = true;
        }
        Ok(heard || count > 0)
    }
}
