//! The files of a project, and whether they change.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

/// A watch of a directory and all below it, but for what builds make.
pub(super) struct Watch {
    inotify: OwnedFd,
    root: PathBuf,
    ignored: Vec<String>,
    /// The watched directories by the kernel's numbers.
    places: BTreeMap<i32, PathBuf>,
}

impl Watch {
    pub(super) fn new(root: &Path) -> Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .context("watch the project")?;
        let mut watch = Self {
            inotify,
            root: root.to_owned(),
            ignored: ignored(root),
            places: BTreeMap::new(),
        };
        watch.add(root)?;
        Ok(watch)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    fn add(&mut self, dir: &Path) -> Result<()> {
        let events = WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::ATTRIB
            | WatchFlags::ONLYDIR;
        let number = match inotify::add_watch(&self.inotify, dir, events) {
            Ok(number) => number,
            // It is gone again.
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(Errno::NOSPC) => anyhow::bail!(
                "watch {}: there are too many watches (sysctl fs.inotify.max_user_watches)",
                dir.display()
            ),
            Err(error) => return Err(error).context(format!("watch {}", dir.display())),
        };
        self.places.insert(number, dir.to_owned());
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let is_dir = entry.file_type().is_ok_and(|it| it.is_dir());
            if is_dir && self.matters(dir, &entry.file_name()) {
                self.add(&entry.path())?;
            }
        }
        Ok(())
    }

    /// What changed since the last time, as the name of one of the files.
    pub(super) fn read(&mut self) -> Result<Option<String>> {
        let mut changed = None;
        let mut fresh = Vec::new();
        let mut buffer = [MaybeUninit::uninit(); 16384];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error).context("watch the project"),
            };
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                changed = Some("much".to_owned());
                continue;
            }
            let (Some(dir), Some(name)) = (self.places.get(&event.wd()), event.file_name()) else {
                continue;
            };
            let name = OsStr::from_bytes(name.to_bytes());
            if !matters(&self.root, &self.ignored, dir, name) {
                continue;
            }
            let path = dir.join(name);
            let is_new = event
                .events()
                .intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
            if event.events().contains(ReadFlags::ISDIR) {
                if is_new {
                    fresh.push(path.clone());
                }
            } else if event.events().contains(ReadFlags::CREATE) {
                // It is told again when it has been written.
                continue;
            }
            let path = path.strip_prefix(&self.root).unwrap_or(&path);
            changed = Some(path.display().to_string());
        }
        for dir in fresh {
            self.add(&dir)?;
        }
        Ok(changed)
    }

    fn matters(&self, dir: &Path, name: &OsStr) -> bool {
        matters(&self.root, &self.ignored, dir, name)
    }
}

fn matters(root: &Path, ignored: &[String], dir: &Path, name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    // Of version control, and what editors write beside a file.
    if name.starts_with('.') || name.ends_with('~') || name == "4913" {
        return false;
    }
    let is_top = dir == root;
    if is_top && name == "target" {
        return false;
    }
    !ignored.iter().any(|pattern| fits(pattern, &name, is_top))
}

/// The patterns of `.gitignore` that are one name, with a star at its beginning or end at most.
fn ignored(root: &Path) -> Vec<String> {
    let text = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with(['#', '!']));
    let one_name = |line: &&str| !line.trim_matches('/').contains('/');
    lines
        .filter(one_name)
        .map(|line| line.trim_end_matches('/').to_owned())
        .collect()
}

fn fits(pattern: &str, name: &str, is_top: bool) -> bool {
    let (pattern, is_of_top) = match pattern.strip_prefix('/') {
        Some(rest) => (rest, true),
        None => (pattern, false),
    };
    if is_of_top && !is_top {
        return false;
    }
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => name.ends_with(end),
        (_, Some(start)) => name.starts_with(start),
        _ => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_builds_and_editors_write_does_not_matter() {
        let root = Path::new("/p");
        let ignored: Vec<String> = ["*.o", "/out", "tmp*"].map(str::to_owned).to_vec();
        let is_seen =
            |dir: &str, name: &str| matters(root, &ignored, Path::new(dir), OsStr::new(name));
        for (dir, name) in [
            ("/p", "target"),
            ("/p", ".git"),
            ("/p", ".main.rs.swp"),
            ("/p", "main.rs~"),
            ("/p", "4913"),
            ("/p/src", "a.o"),
            ("/p", "out"),
            ("/p/src", "tmp7"),
        ] {
            assert!(!is_seen(dir, name), "{dir}/{name}");
        }
        for (dir, name) in [
            ("/p", "src"),
            ("/p/src", "target"),
            ("/p/src", "out"),
            ("/p", "hello"),
        ] {
            assert!(is_seen(dir, name), "{dir}/{name}");
        }
    }
}
