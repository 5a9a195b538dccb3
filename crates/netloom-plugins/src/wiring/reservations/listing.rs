//! Everything a directory of reservations holds, read file by file.

use super::directory::Directory;
use super::owner::Owner;
use super::store_error::is_transient;
use super::table::{Entry, Key};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// A reservation.
#[derive(Debug)]
pub(crate) struct Reservation {
    pub(crate) name: String,
    pub(crate) owner: Owner,
    /// See [`Change::mark`](super::directory::Change::mark).
    mark: u64,
}

/// All reservations of a network.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) reservations: Vec<Reservation>,
    /// Every address that has a file.
    pub(crate) taken: BTreeSet<IpAddr>,
    /// A file that could not be read, if there is one. Its address stays taken.
    pub(crate) unreadable: Option<(String, Errno)>,
}

impl Listing {
    pub(crate) fn read(directory: &Directory) -> Result<Self, Errno> {
        let names = directory.names()?;
        let mut listing = Self {
            reservations: Vec::new(),
            taken: taken(&names).collect(),
            unreadable: None,
        };
        for name in names.into_iter().filter(|name| is_reservation(name)) {
            match directory.read_with_change(&name) {
                Ok((content, change)) => listing.reservations.push(Reservation {
                    name,
                    owner: Owner::read(&content),
                    mark: change.mark(),
                }),
                Err(Errno::NOENT) => {}
                Err(errno) if is_transient(errno) => return Err(errno),
                // One bad file must not take the network down.
                Err(errno) => listing.unreadable = Some((name, errno)),
            }
        }
        Ok(listing)
    }

    /// The names of the owner's reservations.
    pub(crate) fn names_of(&self, owner: &Owner) -> Vec<String> {
        let theirs = self.reservations.iter().filter(|r| r.owner == *owner);
        theirs.map(|r| r.name.clone()).collect()
    }

    /// The reservations as the index keeps them.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let entries = self.reservations.iter().map(|reservation| Entry {
            owner: reservation.owner.fingerprint(),
            key: Key::of_name(&reservation.name),
            mark: reservation.mark,
        });
        entries.collect()
    }
}

/// The addresses that are taken by files of these names.
pub(crate) fn taken(names: &[String]) -> impl Iterator<Item = IpAddr> {
    names.iter().filter_map(|name| taken_by(name))
}

/// The address that is taken by a file of this name.
pub(crate) fn taken_by(name: &str) -> Option<IpAddr> {
    let address: IpAddr = name.parse().ok()?;
    // A file under another spelling of an address does not keep us from making the usual one.
    // Only IPv6 addresses have others.
    (address.is_ipv4() || address.to_string() == *name).then_some(address)
}

/// Whether the name is that of an address. `lock` and `last_reserved_ip.N` stand for none.
pub(crate) fn is_reservation(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_files_named_by_an_address_are_reservations() {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in [
            ("10.0.0.2", "a\r\neth0"),
            ("fd00::2", "a\r\neth0"),
            ("FD00::3", "a\r\neth0"),
            ("10.0.0.3", "b"),
            ("10.0.0.4", ""),
            ("lock", "a\r\neth0"),
            ("last_reserved_ip.0", "10.0.0.3"),
            ("010.0.0.5", "a\r\neth0"),
        ] {
            fs::write(dir.path().join(name), content).unwrap();
        }
        fs::create_dir(dir.path().join("10.0.0.9")).unwrap();
        let listing = Listing::read(&Directory::open(dir.path().to_owned()).unwrap()).unwrap();
        let mut names = listing.names_of(&Owner::attachment("a", "eth0"));
        names.sort();
        assert_eq!(names, ["10.0.0.2", "FD00::3", "fd00::2"]);
        assert_eq!(listing.names_of(&Owner::container("b")), ["10.0.0.3"]);
        assert_eq!(listing.names_of(&Owner::container("")), ["10.0.0.4"]);
        let taken: Vec<String> = listing.taken.iter().map(IpAddr::to_string).collect();
        assert_eq!(taken, ["10.0.0.2", "10.0.0.3", "10.0.0.4", "fd00::2"]);
        assert_eq!(listing.unreadable, None);
    }
}
