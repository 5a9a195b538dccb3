//! Hears of reservations that plugins make and remove.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use netloom_cluster::SpaceName;
use netloom_cluster::grants::Usage;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;

use super::disk;

/// Watches a folder of spaces and each of them.
pub(super) struct Reservations {
    root: PathBuf,
    events: AsyncFd<OwnedFd>,
    watched: BTreeMap<i32, SpaceName>,
    /// What was counted last: most changes concern one space.
    counted: BTreeMap<SpaceName, Usage>,
    /// Something has changed since.
    stale: bool,
}

impl Reservations {
    pub(super) fn watch(root: &Path) -> Result<Self> {
        let failed = || format!("cannot watch {}", root.display());
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        let events = events.with_context(failed)?;
        inotify::add_watch(&events, root, WatchFlags::CREATE | WatchFlags::ONLYDIR)
            .with_context(failed)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe, for descriptors that change; an OwnedFd does not"
        )]
        let events = AsyncFd::new(events).with_context(failed)?;
        let mut reservations = Self {
            root: root.to_owned(),
            events,
            watched: BTreeMap::new(),
            counted: BTreeMap::new(),
            stale: true,
        };
        while reservations.look()?.is_some() {}
        Ok(reservations)
    }

    /// What is reserved in each space.
    pub(super) fn all(&self) -> BTreeMap<SpaceName, Usage> {
        self.counted.clone()
    }

    /// Watches spaces that are new, and counts all; returns one that differs from the count before.
    fn look(&mut self) -> Result<Option<(SpaceName, Usage)>> {
        let flags = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVED_TO;
        let mut changed = None;
        for space in disk::names(&self.root)? {
            if !self.watched.values().any(|known| *known == space) {
                let folder = self.root.join(space.as_str());
                let watch = inotify::add_watch(self.events.get_ref(), &folder, flags)
                    .with_context(|| format!("cannot watch {}", folder.display()))?;
                self.watched.insert(watch, space.clone());
            }
            let usage = disk::usage(&self.root, &space)?;
            if self.counted.get(&space) != Some(&usage) {
                if changed.is_some() {
                    // Told by the next look.
                    continue;
                }
                self.counted.insert(space.clone(), usage.clone());
                changed = Some((space, usage));
            }
        }
        Ok(changed)
    }

    /// Waits for a change.
    pub(super) async fn changed(&mut self) -> (SpaceName, Usage) {
        loop {
            if self.stale {
                match self.look() {
                    Ok(Some(changed)) => return changed,
                    Ok(None) => {}
                    Err(error) => note!("{error:#}"),
                }
                self.stale = false;
            }
            let Ok(mut ready) = self.events.readable().await else {
                return std::future::pending().await;
            };
            let mut buffer = [0; 4096];
            // Which file it was does not matter: what is there is counted.
            while rustix::io::read(self.events.get_ref(), &mut buffer).is_ok() {}
            ready.clear_ready();
            self.stale = true;
        }
    }
}
