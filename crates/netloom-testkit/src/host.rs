//! A machine that a test may do anything to: namespaces of the test's own thread.

use std::fs::File;
use std::marker::PhantomData;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{chroot, fchdir};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use crate::namespace::{self, shell};
use crate::pod::{self, Pod};
use crate::skip;

/// Directories that hold state of plugins and tools; each host gets them empty.
const PRIVATE_DIRECTORIES: [&str; 4] = ["/run", "/var/run", "/var/lib/cni", "/etc/cni"];

/// A throw-away host: network, mount and UTS namespaces of the calling thread, with loopback up
/// and empty `/run`, `/var/lib/cni` and `/etc/cni`.
///
/// Programs and threads started by the test's thread live in it too. Each `#[test]` runs in its
/// own thread and so has its own host. Dropping it takes the thread back to where it was.
pub struct Host {
    net: File,
    outer: Outer,
    // Namespaces belong to the thread: a host cannot be handed to another one.
    _stays_in_thread: PhantomData<*const ()>,
}

/// The namespaces to go back to.
struct Outer {
    net: File,
    mnt: File,
    uts: File,
    /// Its root directory: whoever enters a mount namespace is at the root of that, outside of what it
    /// was confined to.
    root: File,
}

impl Host {
    /// Makes a host of the calling thread, or says through [`skip`] why that cannot be.
    #[must_use]
    pub fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skip("needs root to make network and mount namespaces");
            return None;
        }
        let outer = Outer {
            net: namespace::open("/proc/thread-self/ns/net"),
            mnt: namespace::open("/proc/thread-self/ns/mnt"),
            uts: namespace::open("/proc/thread-self/ns/uts"),
            root: namespace::open("/"),
        };
        let flags = UnshareFlags::NEWNET | UnshareFlags::NEWNS | UnshareFlags::NEWUTS;
        if let Err(error) = namespace::unshare(flags) {
            skip(&format!("cannot unshare namespaces: {error}"));
            return None;
        }
        mount_change(
            "/",
            MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
        )
        .unwrap_or_else(|error| panic!("cannot make mounts private: {error}"));
        // sysfs shows the network namespace it was mounted in.
        mount("sysfs", "/sys", "sysfs", MountFlags::empty(), None)
            .unwrap_or_else(|error| panic!("cannot mount /sys anew: {error}"));
        for directory in PRIVATE_DIRECTORIES {
            make_private(Path::new(directory));
        }
        pod::create_directory();
        let host = Self {
            net: namespace::open("/proc/thread-self/ns/net"),
            outer,
            _stays_in_thread: PhantomData,
        };
        host.ip("link set lo up");
        Some(host)
    }

    /// Makes a pod: a network namespace at `/run/netns/NAME`, as `ip netns add NAME` does.
    #[must_use]
    pub fn pod(&self, name: &str) -> Pod {
        Pod::create(name)
    }

    /// Runs `ip` with these blank-separated arguments in the host; panics if it fails.
    pub fn ip(&self, arguments: &str) -> String {
        self.sh(&format!("ip {arguments}"))
    }

    /// Runs a shell line in the host and gives back its stdout; panics if it fails.
    pub fn sh(&self, line: &str) -> String {
        shell(line)
    }

    /// A file that stands for the host's network namespace.
    #[must_use]
    pub fn netns(&self) -> &File {
        &self.net
    }

    /// A path to the host's own network namespace, good for as long as the host lives.
    #[must_use]
    pub fn netns_path(&self) -> String {
        use std::os::fd::AsRawFd;
        format!("/proc/{}/fd/{}", std::process::id(), self.net.as_raw_fd())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Under `--test-threads=1` the next test runs in this same thread. A thread that was joined
        // may still be ending in the kernel, and shares its working directory with this one till
        // then: the kernel gives nobody another mount namespace who shares it.
        if let Err(error) = namespace::unshare(UnshareFlags::FS) {
            eprintln!("cannot have a working directory of one's own: {error}");
        }
        let back = [
            (&self.outer.net, LinkNameSpaceType::Network),
            (&self.outer.mnt, LinkNameSpaceType::Mount),
            (&self.outer.uts, LinkNameSpaceType::HostNameAndNISDomainName),
        ];
        for (namespace, kind) in back {
            if let Err(error) = move_into_link_name_space(namespace.as_fd(), Some(kind)) {
                eprintln!("cannot go back to the outer {kind:?} namespace: {error}");
            }
        }
        if let Err(error) = fchdir(&self.outer.root).and_then(|()| chroot(".")) {
            eprintln!("cannot go back to the outer root directory: {error}");
        }
    }
}

/// Puts an empty tmpfs over a directory. One that does not exist yet is made, empty, on the real
/// disk, because a mount needs a place; a symbolic link is left alone: its target is covered.
fn make_private(directory: &Path) {
    if directory.is_symlink() {
        return;
    }
    std::fs::create_dir_all(directory)
        .unwrap_or_else(|error| panic!("cannot make {directory:?}: {error}"));
    let options = c"mode=0755";
    mount(
        "tmpfs",
        directory,
        "tmpfs",
        MountFlags::empty(),
        Some(options),
    )
    .unwrap_or_else(|error| panic!("cannot mount a tmpfs on {directory:?}: {error}"));
}
