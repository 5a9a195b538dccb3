//! A directory of a host whose root is not this process's: of a node, seen from a container on it, or of
//! a tree that is to become one.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::Signal;

use netloom_kernel::signal_fd::SignalFd;

/// Where `dir` of the host with its root at `root` is. Links on the way lead where they lead on that
/// host, and nowhere outside of it. What is not there yet is to be made.
pub(super) fn within(root: &Path, dir: &Path) -> Result<PathBuf> {
    let has_up = dir.components().any(|part| part == Component::ParentDir);
    ensure!(
        dir.is_absolute() && !has_up,
        "--bin-dir {} is not a path from the root of the host, which --host wants",
        dir.display()
    );
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let host = openat(CWD, root, flags, Mode::empty())
        .with_context(|| format!("--host {}: open the host's root", root.display()))?;
    let mut there = dir;
    loop {
        match openat2(&host, there, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
            Ok(found) => {
                let link = format!("/proc/self/fd/{}", found.as_raw_fd());
                let real = fs::read_link(&link)
                    .with_context(|| format!("read {link}: is /proc mounted?"))?;
                let rest = dir.strip_prefix(there)?;
                // Joining nothing would add a slash.
                return Ok(match rest.as_os_str().is_empty() {
                    true => real,
                    false => real.join(rest),
                });
            }
            Err(Errno::NOENT) => match there.parent() {
                Some(parent) => there = parent,
                None => bail!("{} is not there", root.display()),
            },
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("find {} in the host at {}", there.display(), root.display())
                });
            }
        }
    }
}

/// Waits for the signals that end a container.
pub(super) struct Stay(SignalFd);

impl Stay {
    /// Those that come from now on count: process 1 of a container does not even die of them.
    pub(super) fn listen() -> Result<Self> {
        Ok(Self(SignalFd::listen(&[Signal::TERM, Signal::INT])?))
    }

    pub(super) fn until_asked_to_end(self) -> Result<()> {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        retry_on_intr(|| poll(&mut fds, None))?;
        // Taken, so that it does not end the process when it is let through again.
        let _ = self.0.next();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_lead_where_they_lead_on_the_host() {
        let root = tempfile::tempdir().unwrap();
        let (root, real) = (root.path(), root.path().canonicalize().unwrap());
        fs::create_dir_all(root.join("var/opt")).unwrap();
        symlink("/var/opt", root.join("opt")).unwrap();
        let found = |dir: &str| within(root, Path::new(dir)).unwrap();
        assert_eq!(found("/opt/cni/bin"), real.join("var/opt/cni/bin"));
        symlink("../../../../../../../../..", root.join("var/out")).unwrap();
        assert_eq!(found("/var/out/var"), real.join("var"));
        for bad in ["opt/cni/bin", "/opt/../../bin"] {
            let error = within(root, Path::new(bad)).unwrap_err().to_string();
            assert!(error.contains(bad), "{error}");
        }
        let error = within(Path::new("/none/such"), Path::new("/opt")).unwrap_err();
        assert!(error.to_string().contains("--host /none/such"), "{error}");
    }
}
