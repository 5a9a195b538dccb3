//! All reservations as the index keeps them, reading only what may have changed.

use super::directory::Directory;
use super::listing::is_reservation;
use super::owner::{Fingerprint, Owner};
use super::table::{Entry, Key};
use rustix::io::Errno;
use std::collections::HashMap;

/// How long before the table was written a reservation must have been changed to be known by its
/// mark. Longer than the steps of any filesystem's clock: within one step a file can be removed
/// and made anew without a trace.
const MARGIN: i64 = 3;

/// What an earlier table says of the reservations.
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    /// `None` for an address that is in it twice.
    known: HashMap<Key, Option<(Fingerprint, u64)>>,
    /// Up to when a change may have been before the table was written, in seconds.
    until: i64,
}

impl Earlier {
    /// `written` is a moment, in seconds, at which every entry was right.
    pub(crate) fn new(entries: &[Entry], written: i64) -> Self {
        let mut known = HashMap::with_capacity(entries.len());
        for entry in entries {
            known
                .entry(entry.key)
                .and_modify(|known| *known = None)
                .or_insert(Some((entry.owner, entry.mark)));
        }
        Self {
            known,
            until: written.saturating_sub(MARGIN),
        }
    }

    /// The reservation's entry, if it was not changed since.
    fn entry(&self, reservations: &Directory, name: &str, key: Key) -> Option<Entry> {
        key.address()?;
        let (owner, mark) = (*self.known.get(&key)?)?;
        let change = reservations.change(name).ok()?;
        let same = change.mark() == mark && change.seconds < self.until;
        same.then_some(Entry { owner, key, mark })
    }
}

/// Why there is no survey.
#[derive(Debug)]
pub(crate) enum SurveyError {
    /// The directory cannot be listed.
    Directory(Errno),
    /// This reservation cannot be read.
    Reservation(String, Errno),
}

impl From<Errno> for SurveyError {
    fn from(errno: Errno) -> Self {
        Self::Directory(errno)
    }
}

/// The entries of all reservations.
pub(crate) fn survey(
    reservations: &Directory,
    earlier: &Earlier,
) -> Result<Vec<Entry>, SurveyError> {
    let mut entries = Vec::with_capacity(earlier.known.len());
    reservations.each_name(|name| {
        if !is_reservation(name) {
            return Ok(());
        }
        let key = Key::of_name(name);
        if let Some(entry) = earlier.entry(reservations, name, key) {
            entries.push(entry);
            return Ok(());
        }
        match reservations.read_with_change(name) {
            Ok((content, change)) => entries.push(Entry {
                owner: Owner::read(&content).fingerprint(),
                key,
                mark: change.mark(),
            }),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(SurveyError::Reservation(name.to_owned(), errno)),
        }
        Ok(())
    })?;
    Ok(entries)
}
