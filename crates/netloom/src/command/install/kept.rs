//! What an installation replaced, in a directory beside the plugins.
//!
//! `origin/NAME` is what had the name before netloom. `last/NAME` is what the last installation
//! replaced, and the lines of `last/.names` are all the names it wrote: those without a file were new.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

const DIR: &str = ".netloom";
const NAMES: &str = ".names";

/// The directory, locked.
pub(super) struct Kept {
    bin: PathBuf,
    dir: PathBuf,
    _lock: File,
}

impl Kept {
    pub(super) fn is_in(bin: &Path) -> bool {
        bin.join(DIR).is_dir()
    }

    /// Makes it where it is not there, and waits for whoever installs there now.
    pub(super) fn open(bin: &Path) -> Result<Self> {
        let dir = bin.join(DIR);
        let lock = || -> std::io::Result<File> {
            fs::create_dir_all(&dir)?;
            let lock = File::open(&dir)?;
            flock(&lock, FlockOperation::LockExclusive)?;
            // It may have been removed while this process waited.
            fs::create_dir_all(&dir)?;
            Ok(lock)
        };
        let lock = lock().with_context(|| format!("keep in {} what is replaced", dir.display()))?;
        Ok(Self {
            bin: bin.to_owned(),
            dir,
            _lock: lock,
        })
    }

    /// Where a file is written before it gets its name.
    pub(super) fn draft(&self) -> PathBuf {
        self.dir.join("draft")
    }

    /// Keeps what has these names, before they are given to others. What is `ours` is kept for
    /// [`Self::roll_back`] only.
    pub(super) fn begin(&self, names: &[&str], ours: impl Fn(&str) -> bool) -> Result<()> {
        let (last, origin) = (self.dir.join("last"), self.dir.join("origin"));
        let begin = || -> std::io::Result<()> {
            remove_dir(&last)?;
            fs::create_dir_all(&last)?;
            fs::create_dir_all(&origin)?;
            for name in names {
                let path = self.bin.join(name);
                if fs::symlink_metadata(&path).is_err() {
                    continue;
                }
                self.keep(&path, &last.join(name))?;
                if !ours(name) {
                    self.keep(&path, &origin.join(name))?;
                }
            }
            fs::write(last.join(NAMES), names.join("\n"))
        };
        begin().with_context(|| format!("keep in {} what is replaced", self.dir.display()))
    }

    /// A second name for what is at `path`, a link as a link; a whole copy where there can be none.
    fn keep(&self, path: &Path, as_name: &Path) -> std::io::Result<()> {
        remove(as_name)?;
        if fs::hard_link(path, as_name).is_ok() {
            return Ok(());
        }
        if let Ok(target) = fs::read_link(path) {
            return std::os::unix::fs::symlink(target, as_name);
        }
        let draft = self.draft();
        fs::copy(path, &draft)?;
        fs::rename(draft, as_name)
    }

    /// The names that the last installation wrote, if it was not taken back.
    pub(super) fn last(&self) -> Vec<String> {
        let names = fs::read_to_string(self.dir.join("last").join(NAMES)).unwrap_or_default();
        names.lines().map(str::to_owned).collect()
    }

    /// Brings back what the last installation replaced, and removes what was new. Returns the names,
    /// and those that are not `ours` any more, which stay as they are.
    pub(super) fn roll_back(
        &self,
        ours: impl Fn(&str) -> bool,
    ) -> Result<(Vec<String>, Vec<String>)> {
        let last = self.dir.join("last");
        let (back, left): (Vec<_>, Vec<_>) = self
            .last()
            .into_iter()
            .partition(|name| ours(name) || fs::symlink_metadata(self.bin.join(name)).is_err());
        for name in &back {
            restore(&last.join(name), &self.bin.join(name))?;
            // What was there before netloom is there again.
            if !ours(name) {
                remove(&self.dir.join("origin").join(name))?;
            }
        }
        remove_dir(&last)?;
        Ok((back, left))
    }

    /// Brings back what had the name before netloom, or removes what has it; returns which.
    pub(super) fn restore_origin(&self, name: &str) -> Result<bool> {
        restore(&self.dir.join("origin").join(name), &self.bin.join(name))
    }

    /// Forgets what is not needed once nothing of ours is left. What was there before netloom, and
    /// whose name somebody else has now, stays.
    pub(super) fn close(self) -> Result<()> {
        let close = || -> std::io::Result<()> {
            remove_dir(&self.dir.join("last"))?;
            remove(&self.draft())?;
            let _ = fs::remove_dir(self.dir.join("origin"));
            let _ = fs::remove_dir(&self.dir);
            Ok(())
        };
        close().with_context(|| format!("remove {}", self.dir.display()))
    }
}

/// Gives the name back to what is `kept`, or to nothing; returns which.
fn restore(kept: &Path, path: &Path) -> Result<bool> {
    let is_kept = fs::symlink_metadata(kept).is_ok();
    let done = match is_kept {
        true => fs::rename(kept, path),
        false => remove(path),
    };
    done.with_context(|| format!("bring back {}", path.display()))?;
    Ok(is_kept)
}

fn remove(path: &Path) -> std::io::Result<()> {
    absent_is_success(fs::remove_file(path))
}

fn remove_dir(path: &Path) -> std::io::Result<()> {
    absent_is_success(fs::remove_dir_all(path))
}

fn absent_is_success(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
