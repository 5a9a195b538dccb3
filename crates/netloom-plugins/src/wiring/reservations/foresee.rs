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

/// The addresses that have a file, within what may be given.
struct Given<'l> {
    taken: &'l mut BTreeSet<IpAddr>,
    /// First and last address of each part, in ascending order.
    parts: &'l [(IpAddr, IpAddr)],
}

impl Pool for Given<'_> {
    type Error = Infallible;

    fn first_free(&mut self, from: IpAddr, to: IpAddr) -> Option<IpAddr> {
        let inside = (self.parts.iter()).filter(|(start, end)| *end >= from && *start <= to);
        for (start, end) in inside {
            let mut next = Some(from.max(*start));
            while let Some(address) = next.filter(|address| *address <= to.min(*end)) {
                if !self.taken.contains(&address) {
                    return Some(address);
                }
                next = super::address::successor(address);
            }
        }
        None
    }

    fn take(&mut self, address: IpAddr) -> Result<bool, Infallible> {
        Ok(self.taken.insert(address))
    }
}

/// A look at the reservations of a network.
pub(crate) struct Look {
    files: Option<Directory>,
    taken: BTreeSet<IpAddr>,
}

impl Look {
    /// At what is in a directory now, if there is one.
    pub(crate) fn at(path: PathBuf) -> Self {
        let files = Directory::open(path).ok();
        let names = files.as_ref().and_then(|files| files.names().ok());
        let taken = taken(&names.unwrap_or_default()).collect();
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
        let ranges = set.ranges().iter();
        let whole: Vec<_> = ranges.map(|it| (it.start(), it.end())).collect();
        self.next_within(number, set, &whole)
    }

    /// The same, of these parts of the set alone: first and last address of each, in ascending order.
    pub(crate) fn next_within<'s>(
        &mut self,
        number: usize,
        set: &'s RangeSet,
        parts: &[(IpAddr, IpAddr)],
    ) -> Option<(IpAddr, &'s Range)> {
        let last = self.files.as_ref().and_then(|files| {
            let content = files.read(&last_reserved_name(number)).ok()?;
            std::str::from_utf8(&content).ok()?.trim().parse().ok()
        });
        let taken = &mut self.taken;
        take_next(set, last, &mut Given { taken, parts }).unwrap_or_default()
    }
}
