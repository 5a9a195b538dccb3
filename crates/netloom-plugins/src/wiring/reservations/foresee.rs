//! Which addresses an ADD would reserve, found without the lock: another ADD may come first.

use super::allocator::{Pool, take_next};
use super::directory::Directory;
use super::listing::taken;
use super::ranges::{Range, RangeSet};
use super::store::last_reserved_name;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::IpAddr;
use std::path::PathBuf;

/// The addresses that have a file.
struct Taken(BTreeSet<IpAddr>);

impl Pool for Taken {
    type Error = Infallible;

    fn first_free(&mut self, from: IpAddr, to: IpAddr) -> Option<IpAddr> {
        let mut next = Some(from);
        while let Some(address) = next.filter(|address| *address <= to) {
            if !self.0.contains(&address) {
                return Some(address);
            }
            next = super::address::successor(address);
        }
        None
    }

    fn take(&mut self, address: IpAddr) -> Result<bool, Infallible> {
        Ok(self.0.insert(address))
    }
}

/// A look at the reservations of a network.
pub(crate) struct Look {
    files: Option<Directory>,
    taken: Taken,
}

impl Look {
    /// At what is in a directory now, if there is one.
    pub(crate) fn at(path: PathBuf) -> Self {
        let files = Directory::open(path).ok();
        let names = files.as_ref().and_then(|files| files.names().ok());
        let taken = Taken(taken(&names.unwrap_or_default()).collect());
        Self { files, taken }
    }

    /// Whether there is a directory.
    pub(crate) fn is_there(&self) -> bool {
        self.files.is_some()
    }

    /// What the next ADD would take of the set of this number.
    pub(crate) fn next<'s>(
        &mut self,
        number: usize,
        set: &'s RangeSet,
    ) -> Option<(IpAddr, &'s Range)> {
        let last = self.files.as_ref().and_then(|files| {
            let content = files.read(&last_reserved_name(number)).ok()?;
            std::str::from_utf8(&content).ok()?.trim().parse().ok()
        });
        take_next(set, last, &mut self.taken).unwrap_or_default()
    }
}
