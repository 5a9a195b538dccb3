//! How a reservation comes and goes: by a draft, which gets its name or is what had one.

use super::super::boot;
use super::super::directory::Directory;
use super::super::index::{self, Index, RESERVATION_DRAFT};
use super::super::owner::Owner;
use super::Store;
use rustix::fs::{AtFlags, RenameFlags, linkat, renameat_with};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

impl Store {
    /// Gives the owner the reservation; false if the name is taken.
    pub(crate) fn publish(&self, name: &str, owner: &Owner) -> Result<bool, Errno> {
        let index = self.index.as_ref();
        let drafts = index.map_or(&self.reservations, Index::directory);
        let mark = |draft: &OwnedFd| {
            match index.map(Index::boot) {
                Some(boot) => boot::mark(draft, boot),
                // Without an index it is not known yet. An older draft may bear another run's mark.
                None => drop(index::boot_id().map(|boot| boot::mark(draft, &boot))),
            }
            if let Some(sandbox) = &self.sandbox {
                sandbox.mark(draft, owner);
            }
        };
        match publish(drafts, &self.reservations, name, owner, mark) {
            // The directory of reservations may be a mount of its own.
            Err(Errno::XDEV) => publish(&self.reservations, &self.reservations, name, owner, mark),
            outcome => outcome,
        }
    }

    /// Takes a reservation away. Its file becomes the draft of the next one: to delete a file and
    /// make another costs more, and on ext4 the more the more files were deleted lately.
    pub(crate) fn withdraw(&self, name: &str) -> Result<(), Errno> {
        if let Some(drafts) = self.index.as_ref().map(Index::directory) {
            let (from, to) = (self.reservations.fd(), drafts.fd());
            let kept = renameat_with(from, name, to, RESERVATION_DRAFT, RenameFlags::NOREPLACE);
            if kept.is_ok() {
                return Ok(());
            }
        }
        self.reservations.remove(name).map(drop)
    }
}

/// Writes a reservation to a draft in `drafts` and gives it its name; false if the name is taken.
fn publish(
    drafts: &Directory,
    reservations: &Directory,
    name: &str,
    owner: &Owner,
    mark: impl FnOnce(&OwnedFd),
) -> Result<bool, Errno> {
    let draft = drafts.overwrite(RESERVATION_DRAFT, owner.content())?;
    mark(&draft);
    drop(draft);
    let (from, to) = (drafts.fd(), reservations.fd());
    let published = match renameat_with(from, RESERVATION_DRAFT, to, name, RenameFlags::NOREPLACE) {
        Ok(()) => return Ok(true),
        // Not every filesystem knows the flag, but link(2) never replaces.
        Err(Errno::INVAL | Errno::NOSYS) => {
            linkat(from, RESERVATION_DRAFT, to, name, AtFlags::empty())
        }
        Err(errno) => Err(errno),
    };
    let removed = drafts.remove(RESERVATION_DRAFT);
    match published {
        // A draft that stays behind is removed by the next one to write one.
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => removed.map(|_| false),
        Err(errno) => Err(errno),
    }
}
