//! The reservations of one network on disk.
//!
//! `<dataDir>/<network>` is shared with the reference's host-local and read by people and scripts,
//! so it holds exactly the reference's files:
//!
//! - `<address>`, mode 0600: the container id, CR LF, the interface name. This is the reservation;
//! - `last_reserved_ip.<number of the range set>`, mode 0600: where the round robin stands;
//! - `lock`: whoever reads or changes anything holds flock(2) on it.
//!
//! A reservation is written under another name in the index and then renamed to its address
//! without replacing (renameat2(2)): there is no moment at which it is half written, and of two
//! who want the same address one fails. Nothing is flushed to the medium: after a power loss no
//! container is left whose address would matter, and GC frees what remains.

mod draft;
mod retain;
mod round_robin;

use super::directory::Directory;
use super::index::Index;
use super::listing::{self, Listing, is_reservation};
use super::owner::Owner;
use super::sandbox::Sandbox;
use super::store_error::{StoreError, failed};
use super::survey::SurveyError;
use super::table::Entry;
use crate::wiring::lock;
use rustix::fs::{FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Where a network's files are.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) data_dir: PathBuf,
    pub(crate) network: String,
}

impl Place {
    pub(crate) fn reservations(&self) -> PathBuf {
        self.data_dir.join(&self.network)
    }

    /// No network's name begins with a dot.
    pub(crate) fn index(&self) -> PathBuf {
        self.data_dir.join(".netloom").join(&self.network)
    }
}

/// What the store is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// To look. Not even the index is written.
    Read,
    /// To remove reservations.
    Release,
    /// To make reservations; the directories are made if they are absent.
    Reserve,
}

/// Who chose an address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    Ours,
    Requested,
}

/// The reservations of one network, locked.
pub(crate) struct Store {
    reservations: Directory,
    _lock: OwnedFd,
    access: Access,
    /// Only while it counts.
    index: Option<Index>,
    /// Instead of an index that does not count, as soon as it is needed.
    listing: Option<Listing>,
    /// The reservations of the owners that were asked for, as they are now.
    known: HashMap<Owner, Vec<String>>,
    /// Where the attachment is that reservations are made for, as far as that is known.
    pub(crate) sandbox: Option<Sandbox>,
    /// Whether the stamps have to be renewed.
    touched: bool,
    trouble: Option<StoreError>,
}

impl Store {
    /// Opens and locks the store, waiting for the lock for at most `limit`. `None` if nothing shall
    /// be reserved and nothing is: the network has no directory, or one on a full disk that not even
    /// got its lock, which is made before the first reservation.
    pub(crate) fn open(
        place: &Place,
        access: Access,
        limit: Duration,
    ) -> Result<Option<Self>, StoreError> {
        let path = place.reservations();
        let deadline = Instant::now() + limit;
        loop {
            let opened = match access {
                Access::Reserve => Directory::create(path.clone(), 0o755),
                Access::Read | Access::Release => Directory::open(path.clone()),
            };
            let reservations = match opened {
                Err(Errno::NOENT) if access != Access::Reserve => return Ok(None),
                outcome => outcome.map_err(failed("open", &path))?,
            };
            let left = deadline.saturating_duration_since(Instant::now());
            let taken = match locked(&reservations, left) {
                Err(error) if error.is_for_want_of_room() && access != Access::Reserve => {
                    match reservations.names() {
                        Ok(names) if !names.iter().any(|name| is_reservation(name)) => {
                            return Ok(None);
                        }
                        _ => return Err(error),
                    }
                }
                taken => taken?,
            };
            if let Some(lock) = taken {
                return Self::locked(place, access, reservations, lock).map(Some);
            }
        }
    }

    fn locked(
        place: &Place,
        access: Access,
        reservations: Directory,
        lock: OwnedFd,
    ) -> Result<Self, StoreError> {
        let index = match access {
            Access::Read => Index::open(place.index()),
            Access::Release | Access::Reserve => Index::create(place.index()),
        };
        let mut store = Self {
            reservations,
            _lock: lock,
            access,
            index: None,
            listing: None,
            known: HashMap::new(),
            sandbox: None,
            touched: false,
            trouble: None,
        };
        match index {
            Ok(index) if index.counts_for(&store.reservations) => store.index = Some(index),
            Ok(index) => store.heal(index),
            // Whoever only looks does not make an index, and does not complain that there is none.
            Err(_) if access == Access::Read => {}
            Err(errno) => store.trouble = Some(failed("open index", &place.index())(errno)),
        }
        Ok(store)
    }

    /// Makes the index count again, unless we only look. Without an index everything is done
    /// as well, by reading all reservations.
    fn heal(&mut self, index: Index) {
        if self.access == Access::Read {
            return;
        }
        match index.survey(&self.reservations) {
            Ok(entries) => self.rebuild(index, entries),
            Err(SurveyError::Directory(errno)) => {
                let path = self.reservations.path();
                self.trouble = Some(failed("read directory", path)(errno));
            }
            Err(SurveyError::Reservation(name, errno)) => self.unreadable(&name, errno),
        }
    }

    fn rebuild(&mut self, mut index: Index, entries: Vec<Entry>) {
        match index.rebuild(entries) {
            Ok(()) => {
                self.touched = true;
                self.index = Some(index);
            }
            Err(errno) => self.give_up("rebuild index", &index, errno),
        }
    }

    fn unreadable(&mut self, name: &str, errno: Errno) {
        let path = self.reservations.path().join(name);
        self.trouble = Some(failed("read reservation", &path)(errno));
    }

    /// Reads all reservations.
    fn read_all(&self) -> Result<Listing, StoreError> {
        let path = self.reservations.path();
        Listing::read(&self.reservations).map_err(failed("read directory", path))
    }

    /// Takes what was read for the truth, and makes the index anew from it.
    fn adopt(&mut self, listing: Listing, index: Option<Index>) {
        if let Some((name, errno)) = &listing.unreadable {
            self.unreadable(name, *errno);
        } else if let Some(index) = index.filter(|_| self.access != Access::Read) {
            self.rebuild(index, listing.entries());
        }
        self.listing = Some(listing);
    }

    /// The index could not be written: it does not count from here on, which its time shows,
    /// and what was asked for is done without it.
    fn give_up(&mut self, operation: &'static str, index: &Index, errno: Errno) {
        self.trouble = Some(failed(operation, index.directory().path())(errno));
    }

    /// The names of the owner's reservations.
    pub(crate) fn held_by(&mut self, owner: &Owner) -> Result<Vec<String>, StoreError> {
        if let Some(names) = self.known.get(owner) {
            return Ok(names.clone());
        }
        let names = match self.names_in_index(owner) {
            Some(names) => names,
            None => self.names_in_listing(owner)?,
        };
        self.known.insert(owner.clone(), names.clone());
        Ok(names)
    }

    /// What the index says, if that is true.
    fn names_in_index(&mut self, owner: &Owner) -> Option<Vec<String>> {
        let names = self.index.as_mut()?.names_of(owner).ok().flatten()?;
        names
            .iter()
            .all(|name| self.holds(owner, name))
            .then_some(names)
    }

    fn names_in_listing(&mut self, owner: &Owner) -> Result<Vec<String>, StoreError> {
        Ok(self.listing()?.names_of(owner))
    }

    /// Everything, read when it is needed for the first time.
    fn listing(&mut self) -> Result<&Listing, StoreError> {
        if self.listing.is_none() {
            let index = self.index.take();
            let listing = self.read_all()?;
            self.adopt(listing, index);
        }
        Ok(self.listing.get_or_insert_default())
    }

    fn holds(&self, owner: &Owner, name: &str) -> bool {
        self.reservations
            .read(name)
            .is_ok_and(|content| Owner::read(&content) == *owner)
    }

    /// Who has the address.
    pub(crate) fn holder(&self, address: IpAddr) -> Result<Option<Owner>, StoreError> {
        let name = address.to_string();
        match self.reservations.read(&name) {
            Ok(content) => Ok(Some(Owner::read(&content))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(failed("read", &self.reservations.path().join(name))(errno)),
        }
    }

    /// Reserves the address; false if somebody has it.
    pub(crate) fn reserve(
        &mut self,
        address: IpAddr,
        owner: &Owner,
        choice: Choice,
    ) -> Result<bool, StoreError> {
        // Before, because the name is in the directory afterwards.
        let mut names = self.held_by(owner)?;
        let name = address.to_string();
        let path = self.reservations.path().join(&name);
        self.touched = true;
        let reserved = self
            .publish(&name, owner)
            .map_err(failed("reserve", &path))?;
        self.mark(address, true, choice == Choice::Ours);
        if reserved {
            self.insert(owner, &name);
            names.push(name);
            self.known.insert(owner.clone(), names);
        }
        Ok(reserved)
    }

    /// Removes every reservation of the owner that `goes`; false if there was none at all.
    ///
    /// Goes on past an error; all of them are returned.
    pub(crate) fn release(
        &mut self,
        owner: &Owner,
        mut goes: impl FnMut(&str) -> bool,
    ) -> Result<bool, Vec<StoreError>> {
        let mut names = self.held_by(owner).map_err(|error| vec![error])?;
        let any = !names.is_empty();
        names.retain(|name| goes(name));
        self.release_names(owner, &names)?;
        Ok(any)
    }

    /// Removes those of these reservations that are the owner's. Goes on past an error.
    pub(crate) fn release_names(
        &mut self,
        owner: &Owner,
        names: &[String],
    ) -> Result<(), Vec<StoreError>> {
        let mut errors = Vec::new();
        let mut left = Vec::new();
        for name in self.held_by(owner).map_err(|error| vec![error])? {
            let removed = names.contains(&name).then(|| self.remove(owner, &name));
            if !matches!(removed, Some(Ok(()))) {
                left.push(name);
            }
            errors.extend(removed.and_then(Result::err));
        }
        self.known.insert(owner.clone(), left);
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }

    fn remove(&mut self, owner: &Owner, name: &str) -> Result<(), StoreError> {
        self.touched = true;
        let path = self.reservations.path().join(name);
        self.withdraw(name).map_err(failed("remove", &path))?;
        self.write_index(|index| index.remove(owner, name));
        if let Ok(address) = name.parse() {
            self.mark(address, false, false);
        }
        Ok(())
    }

    /// Notes a reservation that was just made.
    fn insert(&mut self, owner: &Owner, name: &str) {
        // Without an index there is no need to ask.
        let change = self.index.as_ref().map(|_| self.reservations.change(name));
        self.write_index(|index| match change {
            Some(change) => index.insert(owner, name, change?.mark()),
            None => Ok(()),
        });
    }

    fn mark(&mut self, address: IpAddr, taken: bool, create: bool) {
        self.write_index(|index| index.mark(address, taken, create));
    }

    fn write_index(&mut self, write: impl FnOnce(&mut Index) -> Result<(), Errno>) {
        if let Some(mut index) = self.index.take() {
            match write(&mut index) {
                Ok(()) => self.index = Some(index),
                Err(errno) => self.give_up("write index", &index, errno),
            }
        }
    }

    /// The first address from `from` to `to`, both included, that is not known to be taken.
    pub(crate) fn first_free(&mut self, from: IpAddr, to: IpAddr) -> Option<IpAddr> {
        if let Some(index) = &mut self.index {
            return index.first_free(from, to);
        }
        // If they cannot be read, nothing is known, and each address is tried.
        let taken = self.listing().ok().map(|listing| &listing.taken);
        let mut next = Some(from);
        while let Some(address) = next.filter(|address| *address <= to) {
            if !taken.is_some_and(|taken| taken.contains(&address)) {
                return Some(address);
            }
            next = super::address::successor(address);
        }
        None
    }

    /// Looks again which addresses are taken, by their files' names, before a pool is called
    /// exhausted. False if nothing but such a look was relied on anyway.
    pub(crate) fn look_again(&mut self) -> Result<bool, StoreError> {
        let Some(mut index) = self.index.take() else {
            return Ok(false);
        };
        let names = self.reservations.names();
        let names = names.map_err(failed("read directory", self.reservations.path()))?;
        if self.access == Access::Read {
            self.listing()?;
            return Ok(true);
        }
        self.touched = true;
        match index.rebuild_blocks(listing::taken(&names)) {
            Ok(()) => self.index = Some(index),
            Err(errno) => {
                self.give_up("rebuild index", &index, errno);
                self.listing()?;
            }
        }
        Ok(true)
    }

    /// Brings the index up to date and gives back the lock.
    ///
    /// What was asked for is done before, and is not undone by trouble with the index, which makes
    /// later calls slow but not wrong. It is returned to be told to the user.
    #[must_use]
    pub(crate) fn finish(mut self) -> Option<StoreError> {
        if let Some(index) = self.index.take().filter(|_| self.touched)
            && let Err(errno) = index.stamp(&self.reservations)
        {
            self.give_up("write index", &index, errno);
        }
        self.trouble
    }
}

/// Takes the lock; `None` if it was removed, maybe with the whole directory, before it was taken.
fn locked(reservations: &Directory, limit: Duration) -> Result<Option<OwnedFd>, StoreError> {
    let path = reservations.path().join("lock");
    let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // Not blocking: it may be a fifo.
    let flags = flags | OFlags::NONBLOCK;
    let file = match openat(reservations.fd(), "lock", flags, Mode::from_raw_mode(0o750)) {
        Err(Errno::NOENT) => return Ok(None),
        outcome => outcome.map_err(failed("open", &path))?,
    };
    let file = lock::acquire(file, &path, limit)?;
    let stat = fstat(&file).map_err(failed("stat", &path))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(StoreError::NotAFile(path));
    }
    Ok((stat.st_nlink != 0).then_some(file))
}
