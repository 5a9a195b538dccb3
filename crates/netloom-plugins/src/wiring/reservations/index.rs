//! The owner index: a cache that spares reading every reservation.
//!
//! It is the directory `<dataDir>/.netloom/<network>`, beside the reservations and hidden, because
//! other programs read every file under `<dataDir>/<network>`:
//!
//! - `.owners-<boot>`: who owns which address, see [`table`](super::table). What was written
//!   before a power loss may be lost in part, so only the running kernel's counts;
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
//! An index that does not count is healed: reservations that it knows, and that were not changed
//! since, are not read again, see [`survey`](super::survey).
//!
//! A content that was changed in place does not show in the times. So an answer is verified where
//! it matters: the store reads a reservation before it is reported or removed.

use super::blocks::{self, Blocks};
use super::directory::Directory;
use super::owner::Owner;
use super::survey::{Earlier, SurveyError, survey};
use super::table::{Entry, Key, Table};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, read};
use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// How the table's file's name begins.
const TABLE_PREFIX: &str = ".owners-";
/// Names the run of the kernel.
pub(crate) const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// A reservation before it is published.
pub(crate) const RESERVATION_DRAFT: &str = ".reserving";
const MIRROR: u32 = 999_999_999;

/// The index of one network.
#[derive(Debug)]
pub(crate) struct Index {
    directory: Directory,
    /// The name of the table's file.
    name: String,
    table: Option<Table>,
    blocks: Blocks,
}

impl Index {
    pub(crate) fn open(path: PathBuf) -> Result<Self, Errno> {
        let (above, name) = parts(&path)?;
        Self::new(Directory::open(above)?.open_inside(name)?)
    }

    /// Opens the index and makes it if there is none. Other users may not see who owns what, as
    /// they may not read the reservations.
    pub(crate) fn create(path: PathBuf) -> Result<Self, Errno> {
        let (above, name) = parts(&path)?;
        Self::new(Directory::create(above, 0o700)?.create_inside(name, 0o700)?)
    }

    fn new(directory: Directory) -> Result<Self, Errno> {
        let name = format!("{TABLE_PREFIX}{}", boot_id()?);
        Ok(Self {
            // One that cannot be opened is replaced.
            table: Table::open(&directory, &name).ok(),
            directory,
            name,
            blocks: Blocks::default(),
        })
    }

    /// The id of this run of the kernel.
    pub(crate) fn boot(&self) -> &str {
        self.name.strip_prefix(TABLE_PREFIX).unwrap_or_default()
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Whether the index is what the reservations are.
    pub(crate) fn counts_for(&self, reservations: &Directory) -> bool {
        if self.table.is_none() {
            return false;
        }
        match (reservations.modified(), self.directory.modified()) {
            (Ok((seconds, n)), Ok((own_seconds, mirrored))) => {
                seconds == own_seconds && u64::from(n) + u64::from(mirrored) == u64::from(MIRROR)
            }
            _ => false,
        }
    }

    /// Declares that the index is what the reservations are.
    pub(crate) fn stamp(&self, reservations: &Directory) -> Result<(), Errno> {
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
    pub(crate) fn names_of(&mut self, owner: &Owner) -> Result<Option<Vec<String>>, Errno> {
        let table = self.table.as_mut().ok_or(Errno::NOENT)?;
        let addresses = table.addresses(owner.fingerprint())?;
        Ok(addresses.map(|all| all.iter().map(IpAddr::to_string).collect()))
    }

    /// Notes a new reservation, whose last change has this mark.
    pub(crate) fn insert(&mut self, owner: &Owner, name: &str, mark: u64) -> Result<(), Errno> {
        let table = self.table.as_mut().ok_or(Errno::NOENT)?;
        let entry = Entry {
            owner: owner.fingerprint(),
            key: Key::of_name(name),
            mark,
        };
        if table.insert(entry)? {
            return Ok(());
        }
        let (mut entries, _) = table.read()?;
        entries.push(entry);
        self.table = Some(Table::write(&self.directory, &self.name, entries)?);
        Ok(())
    }

    /// Forgets a reservation.
    pub(crate) fn remove(&mut self, owner: &Owner, name: &str) -> Result<(), Errno> {
        let table = self.table.as_mut().ok_or(Errno::NOENT)?;
        table.remove(owner.fingerprint(), Key::of_name(name))
    }

    /// What is noted.
    #[cfg(test)]
    pub(crate) fn entries(&self) -> Result<Vec<Entry>, Errno> {
        let table = self.table.as_ref().ok_or(Errno::NOENT)?;
        table.read().map(|(entries, _)| entries)
    }

    #[cfg(test)]
    pub(crate) fn table_path(&self) -> PathBuf {
        self.directory.path().join(&self.name)
    }

    /// The first address from `from` to `to`, both included, that is not noted as taken.
    pub(crate) fn first_free(&mut self, from: IpAddr, to: IpAddr) -> Option<IpAddr> {
        self.blocks.first_clear(&self.directory, from, to)
    }

    /// Notes that an address is taken or free, see [`Blocks::mark`].
    pub(crate) fn mark(&mut self, address: IpAddr, taken: bool, create: bool) -> Result<(), Errno> {
        self.blocks.mark(&self.directory, address, taken, create)
    }

    /// All reservations. Of what is in the table, only what was changed since is read.
    pub(crate) fn survey(&self, reservations: &Directory) -> Result<Vec<Entry>, SurveyError> {
        // A table that cannot be read is as good as none.
        let earlier = self.table.as_ref().and_then(|table| table.read().ok());
        let earlier = earlier.map_or_else(Earlier::default, |(entries, (written, _))| {
            Earlier::new(&entries, written)
        });
        survey(reservations, &earlier)
    }

    /// Makes the index say that these are all reservations.
    pub(crate) fn rebuild(&mut self, entries: Vec<Entry>) -> Result<(), Errno> {
        self.rebuild_blocks(entries.iter().filter_map(|entry| entry.key.address()))?;
        for name in self.directory.names()? {
            if !name.starts_with(blocks::PREFIX) && name != self.name {
                self.directory.remove(&name)?;
            }
        }
        self.table = Some(Table::write(&self.directory, &self.name, entries)?);
        Ok(())
    }

    /// Makes the blocks say that just these addresses are taken.
    pub(crate) fn rebuild_blocks(
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

/// The directory of all indexes, which no link must stand for either, and the name in it.
fn parts(path: &Path) -> Result<(PathBuf, &OsStr), Errno> {
    let above = path.parent().ok_or(Errno::INVAL)?;
    Ok((above.to_owned(), path.file_name().ok_or(Errno::INVAL)?))
}

/// Letters, digits and dashes.
pub(crate) fn boot_id() -> Result<String, Errno> {
    let file = openat(
        CWD,
        BOOT_ID,
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut text = [0; 64];
    let count = read(&file, &mut text)?;
    let text = std::str::from_utf8(text[..count].trim_ascii()).map_err(|_| Errno::ILSEQ)?;
    let is_id = !text.is_empty() && text.bytes().all(|b| b == b'-' || b.is_ascii_alphanumeric());
    is_id.then(|| text.to_owned()).ok_or(Errno::ILSEQ)
}
