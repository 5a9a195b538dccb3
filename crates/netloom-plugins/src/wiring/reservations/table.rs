//! Who owns which address, in one file of the index.
//!
//! A hash table of buckets of one page each. A container's entries are all in one bucket, so that
//! a look-up reads one page and a change writes one entry of 32 bytes. It names owners by hashes:
//! whoever is told an address reads the reservation to see whose it is.
//!
//! An entry also keeps a mark of the reservation's change time and inode number. By it, and by the
//! time at which the table was last written, a survey tells which reservations it need not read
//! again, see [`survey`](super::survey).

use super::directory::{Directory, modified};
use super::owner::Fingerprint;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{Errno, pread, pwrite};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::OwnedFd;

const BUCKET: usize = 4096;
const ENTRY: usize = 32;
/// How many entries a bucket of a new table has on average, of the 128 that fit.
const LOAD: usize = 64;
/// Of so many addresses of one container, none is noted: the reservations must be read.
const MANY: usize = 32;
/// A table that is still too small when doubled so often has hashes that no table can part.
const DOUBLINGS: usize = 5;
const DRAFT: &str = ".owners";

/// The address of a reservation as the table keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key(u128);

impl Key {
    /// In place of what the table cannot keep.
    const READ_ALL: Self = Self(0);

    /// The key of the address that `name` is the usual spelling of.
    pub(crate) fn of_name(name: &str) -> Self {
        let is_usual = |address: &IpAddr| match address {
            IpAddr::V4(_) => true,
            IpAddr::V6(v6) => v6.to_ipv4_mapped().is_none() && v6.to_string() == name,
        };
        let address = name.parse().ok().filter(is_usual);
        address.map_or(Self::READ_ALL, Self::of)
    }

    fn of(address: IpAddr) -> Self {
        Self(match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
            IpAddr::V6(v6) => v6.to_bits(),
        })
    }

    pub(crate) fn address(self) -> Option<IpAddr> {
        (self != Self::READ_ALL).then(|| IpAddr::from(Ipv6Addr::from_bits(self.0)).to_canonical())
    }
}

/// One reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) owner: Fingerprint,
    pub(crate) key: Key,
    /// See [`Change::mark`](super::directory::Change::mark).
    pub(crate) mark: u64,
}

impl Entry {
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (owner, rest) = bytes.split_first_chunk()?;
        let (key, rest) = rest.split_first_chunk()?;
        let (mark, _) = rest.split_first_chunk()?;
        Some(Self {
            // A free slot is all zero.
            owner: Fingerprint::from_bits(u64::from_le_bytes(*owner))?,
            key: Key(u128::from_le_bytes(*key)),
            mark: u64::from_le_bytes(*mark),
        })
    }

    fn to_bytes(self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[..8].copy_from_slice(&self.owner.bits().to_le_bytes());
        bytes[8..24].copy_from_slice(&self.key.0.to_le_bytes());
        bytes[24..].copy_from_slice(&self.mark.to_le_bytes());
        bytes
    }
}

/// An open table.
#[derive(Debug)]
pub(crate) struct Table {
    file: OwnedFd,
    buckets: usize,
    loaded: HashMap<usize, Vec<u8>>,
}

impl Table {
    /// Opens a table; [`Errno::ILSEQ`] if the file cannot be one.
    pub(crate) fn open(index: &Directory, name: &str) -> Result<Self, Errno> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(index.fd(), name, flags, Mode::empty())?;
        let size = usize::try_from(rustix::fs::fstat(&file)?.st_size).unwrap_or(0);
        if size == 0 || size % BUCKET != 0 {
            return Err(Errno::ILSEQ);
        }
        Ok(Self {
            file,
            buckets: size / BUCKET,
            loaded: HashMap::new(),
        })
    }

    /// Writes a new table. The old one is removed just before, and not replaced by a rename: ext4
    /// would write the new one to the disk at once.
    pub(crate) fn write(index: &Directory, name: &str, entries: Vec<Entry>) -> Result<Self, Errno> {
        let entries = limited(entries);
        let mut buckets = entries.len().div_ceil(LOAD).max(1);
        let mut bytes = lay_out(&entries, buckets);
        for _ in 0..DOUBLINGS {
            if bytes.is_some() {
                break;
            }
            buckets *= 2;
            bytes = lay_out(&entries, buckets);
        }
        index.write_new(DRAFT, &bytes.ok_or(Errno::OVERFLOW)?)?;
        index.remove(name)?;
        index.rename(DRAFT, name)?;
        Self::open(index, name)
    }

    /// All entries, and when the table was last written. Every one was right at that moment.
    pub(crate) fn read(&self) -> Result<(Vec<Entry>, (i64, u32)), Errno> {
        let written = modified(&self.file)?;
        let mut bytes = vec![0; self.buckets * BUCKET];
        read_exact_at(&self.file, &mut bytes, 0)?;
        let mut entries = Vec::with_capacity(self.buckets * LOAD);
        for (bucket, bytes) in bytes.chunks_exact(BUCKET).enumerate() {
            let found = bytes.chunks_exact(ENTRY).filter_map(Entry::from_bytes);
            // What is in a wrong bucket would never be found by a look-up.
            entries.extend(found.filter(|entry| entry.owner.place(self.buckets) == bucket));
        }
        Ok((entries, written))
    }

    /// The addresses of an owner; `None` if the reservations must be read to know.
    pub(crate) fn addresses(&mut self, owner: Fingerprint) -> Result<Option<Vec<IpAddr>>, Errno> {
        let mut addresses = Vec::new();
        for entry in slots(self.bucket(owner)?).flatten() {
            match entry.key.address() {
                Some(address) if entry.owner == owner => addresses.push(address),
                None if entry.owner.is_of_same_container(owner) => return Ok(None),
                _ => {}
            }
        }
        addresses.sort_unstable();
        Ok(Some(addresses))
    }

    /// Notes a reservation; false if there is no room.
    pub(crate) fn insert(&mut self, entry: Entry) -> Result<bool, Errno> {
        let Some(slot) = slots(self.bucket(entry.owner)?).position(|slot| slot.is_none()) else {
            return Ok(false);
        };
        self.set(entry.owner, slot, &entry.to_bytes())?;
        Ok(true)
    }

    /// Forgets a reservation.
    pub(crate) fn remove(&mut self, owner: Fingerprint, key: Key) -> Result<(), Errno> {
        let is_it = |entry: Option<Entry>| {
            entry.is_some_and(|entry| entry.owner == owner && entry.key == key)
        };
        let slot = slots(self.bucket(owner)?).position(is_it);
        match slot {
            Some(slot) if key != Key::READ_ALL => self.set(owner, slot, &[0; ENTRY]),
            _ => Ok(()),
        }
    }

    fn set(&mut self, owner: Fingerprint, slot: usize, bytes: &[u8; ENTRY]) -> Result<(), Errno> {
        let bucket = owner.place(self.buckets);
        let at = slot * ENTRY;
        let offset = (bucket * BUCKET + at) as u64;
        if pwrite(&self.file, bytes, offset)? != ENTRY {
            return Err(Errno::IO);
        }
        if let Some(loaded) = self.loaded.get_mut(&bucket) {
            loaded[at..at + ENTRY].copy_from_slice(bytes);
        }
        Ok(())
    }

    fn bucket(&mut self, owner: Fingerprint) -> Result<&[u8], Errno> {
        use std::collections::hash_map::Entry::{Occupied, Vacant};
        let bucket = owner.place(self.buckets);
        Ok(match self.loaded.entry(bucket) {
            Occupied(loaded) => loaded.into_mut(),
            Vacant(vacant) => {
                let mut bytes = vec![0; BUCKET];
                read_exact_at(&self.file, &mut bytes, (bucket * BUCKET) as u64)?;
                vacant.insert(bytes)
            }
        })
    }
}

fn slots(bucket: &[u8]) -> impl Iterator<Item = Option<Entry>> {
    bucket.chunks_exact(ENTRY).map(Entry::from_bytes)
}

/// With one entry in place of those of a container that has very many.
fn limited(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_unstable();
    let mut limited = Vec::with_capacity(entries.len());
    for group in entries.chunk_by(|a, b| a.owner.is_of_same_container(b.owner)) {
        if group.len() > MANY || group.iter().any(|entry| entry.key == Key::READ_ALL) {
            limited.push(Entry {
                key: Key::READ_ALL,
                mark: 0,
                ..group[0]
            });
        } else {
            limited.extend_from_slice(group);
        }
    }
    limited
}

/// The table's bytes; `None` if a bucket has more entries than fit.
fn lay_out(entries: &[Entry], buckets: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; buckets * BUCKET];
    let mut used = vec![0; buckets];
    for entry in entries {
        let bucket = entry.owner.place(buckets);
        if used[bucket] == BUCKET {
            return None;
        }
        let at = bucket * BUCKET + used[bucket];
        bytes[at..at + ENTRY].copy_from_slice(&entry.to_bytes());
        used[bucket] += ENTRY;
    }
    Some(bytes)
}

fn read_exact_at(file: &OwnedFd, mut bytes: &mut [u8], mut offset: u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match pread(file, &mut *bytes, offset) {
            // It was cut off while it was read.
            Ok(0) => return Err(Errno::IO),
            Ok(count) => {
                bytes = &mut bytes[count..];
                offset += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
