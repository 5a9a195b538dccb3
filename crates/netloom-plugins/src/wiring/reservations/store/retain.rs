//! Removing whatever is not to be kept, whoever has it.

use super::super::boot;
use super::super::directory::Directory;
use super::super::listing::{Reservation, taken_by};
use super::super::owner::Owner;
use super::{Store, StoreError};

impl Store {
    /// Removes every reservation whose owner is not to be kept. Goes on past an error.
    pub(crate) fn retain(
        &mut self,
        keep: impl Fn(&str, &Owner) -> bool,
    ) -> Result<(), Vec<StoreError>> {
        self.retain_those(|_, reservation| keep(&reservation.name, &reservation.owner))
            .map(drop)
    }

    /// Every reservation and whose it is.
    pub(crate) fn holders(&self) -> Result<Vec<(String, Owner)>, StoreError> {
        let all = self.read_all()?.reservations;
        Ok(all.into_iter().map(|it| (it.name, it.owner)).collect())
    }

    /// The reservations that are known to be of earlier runs of the kernel.
    pub(crate) fn of_earlier_boots(&self, boot: &str) -> Result<Vec<String>, StoreError> {
        let listing = self.read_all()?;
        let names = listing.reservations.into_iter().map(|it| it.name);
        Ok(names
            .filter(|name| is_earlier(&self.reservations, name, boot))
            .collect())
    }

    /// Removes the reservations that are known to be of earlier runs of the kernel, and tells
    /// which. Goes on past an error.
    pub(crate) fn reclaim(&mut self, boot: &str) -> Result<Vec<String>, Vec<StoreError>> {
        let removed = self.retain_those(|directory, reservation| {
            !is_earlier(directory, &reservation.name, boot)
        })?;
        boot::set_reclaimed(self.reservations.fd(), boot);
        Ok(removed)
    }

    /// The same, but for the first time in a run only.
    pub(crate) fn reclaim_once(&mut self, boot: &str) -> Result<Vec<String>, Vec<StoreError>> {
        if boot::is_reclaimed(self.reservations.fd(), boot) {
            return Ok(Vec::new());
        }
        self.reclaim(boot)
    }

    fn retain_those(
        &mut self,
        keep: impl Fn(&Directory, &Reservation) -> bool,
    ) -> Result<Vec<String>, Vec<StoreError>> {
        let index = self.index.take();
        let mut listing = self.read_all().map_err(|error| vec![error])?;
        let mut errors = Vec::new();
        let mut gone = Vec::new();
        listing.reservations.retain(|reservation| {
            let (owner, name) = (&reservation.owner, &reservation.name);
            if keep(&self.reservations, reservation) {
                return true;
            }
            match self.remove(owner, name) {
                Ok(()) => {
                    taken_by(name).map(|address| listing.taken.remove(&address));
                    gone.push(name.clone());
                    false
                }
                Err(error) => {
                    errors.push(error);
                    true
                }
            }
        });
        self.adopt(listing, index);
        if errors.is_empty() {
            Ok(gone)
        } else {
            Err(errors)
        }
    }
}

fn is_earlier(reservations: &Directory, name: &str, boot: &str) -> bool {
    let file = reservations.open_for_reading(name);
    file.is_ok_and(|file| boot::is_earlier(file, boot))
}
