//! The owner index: a cache that spares reading every reservation.
//!
//! It is the directory `<dataDir>/.netloom/<network>`, beside the reservations and hidden, because
//! other programs read every file under `<dataDir>/<network>`:
//!
//! - for every owner a symbolic link `<container id>:<interface name>` to the comma-separated list
//!   of its addresses, so that a look-up is one system call;
//! - the blocks of taken addresses, see [`blocks`](super::blocks).
//!
//! **When it counts.** After each change, and under the lock, both directories get a modification
//! time of the current second and random nanoseconds: `n` for the reservations, and the mirror
//! image `999,999,999 - n` for the index. It counts only while the two times are such a pair.
//! Whatever else makes, renames or removes a name in either directory sets its time to the clock's:
//! another program, a person, or this one when it was killed half way. The mirror image is
//! there because a single rename from one directory into the other sets both times to the same
//! moment, and a sum of two equal numbers is never odd. A filesystem that cuts off nanoseconds
//! never yields a pair either.
//!
//! A content that was changed in place does not show in the times. So an answer is verified where
//! it matters: the store reads a reservation before it is reported or removed.

use super::blocks::{self, Blocks};
use super::directory::Directory;
use super::listing::Listing;
use super::owner::Owner;
use rustix::io::Errno;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// A link while it is made.
const LINK_DRAFT: &str = ".linking";
/// A reservation before it is published.
pub(super) const RESERVATION_DRAFT: &str = ".reserving";
/// The longest list of addresses that goes into a link; some filesystems allow 1023 bytes.
const TARGET_LIMIT: usize = 1000;
/// In place of a longer list: the reservations must be read.
const TOO_MANY: &str = "*";
const MIRROR: u32 = 999_999_999;

/// The index of one network.
#[derive(Debug)]
pub(super) struct Index {
    directory: Directory,
    blocks: Blocks,
}

impl Index {
    pub(super) fn open(path: PathBuf) -> Result<Self, Errno> {
        Directory::open(path).map(Self::new)
    }

    /// Opens the index and makes it if there is none. Other users may not see who owns what, as
    /// they may not read the reservations.
    pub(super) fn create(path: PathBuf) -> Result<Self, Errno> {
        Directory::create(path, 0o700).map(Self::new)
    }

    fn new(directory: Directory) -> Self {
        Self {
            directory,
            blocks: Blocks::default(),
        }
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Whether the index is what the reservations are.
    pub(super) fn counts_for(&self, reservations: &Directory) -> bool {
        match (reservations.modified(), self.directory.modified()) {
            (Ok((seconds, n)), Ok((own_seconds, mirrored))) => {
                seconds == own_seconds && u64::from(n) + u64::from(mirrored) == u64::from(MIRROR)
            }
            _ => false,
        }
    }

    /// Declares that the index is what the reservations are.
    pub(super) fn stamp(&self, reservations: &Directory) -> Result<(), Errno> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let seconds = i64::try_from(now.as_secs()).unwrap_or_default();
        // The standard library seeds its hash maps from the kernel's random numbers.
        let random = RandomState::new().hash_one(now.as_nanos());
        let n = u32::try_from(random % u64::from(MIRROR + 1)).unwrap_or_default();
        self.directory.set_modified((seconds, MIRROR - n))?;
        reservations.set_modified((seconds, n))
    }

    /// The names of the owner's reservations; `None` if the reservations must be read to know.
    pub(super) fn names_of(&self, owner: &Owner) -> Result<Option<Vec<String>>, Errno> {
        let target = self.directory.link(&owner.file_name())?;
        Ok(match target.as_deref() {
            None => Some(Vec::new()),
            Some(TOO_MANY) => None,
            Some(list) => Some(list.split(',').map(str::to_owned).collect()),
        })
    }

    /// Notes the names of the owner's reservations.
    pub(super) fn record(&self, owner: &Owner, names: &[String]) -> Result<(), Errno> {
        if names.is_empty() {
            return self.directory.remove(&owner.file_name()).map(drop);
        }
        self.directory
            .set_link(&owner.file_name(), &target(names), LINK_DRAFT)
    }

    /// The first address from `from` to `to`, both included, that is not noted as taken.
    pub(super) fn first_free(&mut self, from: IpAddr, to: IpAddr) -> Option<IpAddr> {
        self.blocks.first_clear(&self.directory, from, to)
    }

    /// Notes that an address is taken or free, see [`Blocks::mark`].
    pub(super) fn mark(&mut self, address: IpAddr, taken: bool, create: bool) -> Result<(), Errno> {
        self.blocks.mark(&self.directory, address, taken, create)
    }

    /// Makes the index say what `listing` says, changing only what differs.
    pub(super) fn rebuild(&mut self, listing: &Listing) -> Result<(), Errno> {
        let owners = listing.owners.iter();
        let mut links: HashMap<String, String> = owners
            .map(|(owner, names)| (owner.file_name(), target(names)))
            .collect();
        for name in self.directory.names()? {
            if name.starts_with(blocks::PREFIX) {
                continue;
            }
            match links.get(&name) {
                None => drop(self.directory.remove(&name)?),
                // What is no link, or unreadable, is replaced below.
                Some(target)
                    if self.directory.link(&name).ok().flatten().as_ref() == Some(target) =>
                {
                    links.remove(&name);
                }
                Some(_) => {}
            }
        }
        for (name, target) in links {
            self.directory.set_link(&name, &target, LINK_DRAFT)?;
        }
        self.rebuild_blocks(listing.taken.iter().copied())
    }

    /// Makes the blocks say that just these addresses are taken.
    pub(super) fn rebuild_blocks(
        &mut self,
        taken: impl Iterator<Item = IpAddr>,
    ) -> Result<(), Errno> {
        let written = self.blocks.write_all(&self.directory, taken)?;
        for name in self.directory.names()? {
            if name.starts_with(blocks::PREFIX) && !written.contains(&name) {
                self.directory.remove(&name)?;
            }
        }
        Ok(())
    }
}

/// The same names give the same text, in whatever order they were found.
fn target(names: &[String]) -> String {
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    let list = names.join(",");
    if list.len() > TARGET_LIMIT {
        TOO_MANY.to_owned()
    } else {
        list
    }
}
