//! Where the search for a free address goes on: `last_reserved_ip.<number of the range set>`.

use super::{Store, StoreError, failed};
use std::net::IpAddr;

impl Store {
    /// The address that was reserved last in a range set.
    ///
    /// It is a hint: what cannot be read is the same as nothing.
    pub(crate) fn last_reserved(&self, set: usize) -> Option<IpAddr> {
        let content = self.reservations.read(&last_reserved_name(set)).ok()?;
        let address: IpAddr = std::str::from_utf8(&content).ok()?.trim().parse().ok()?;
        Some(address.to_canonical())
    }

    /// Notes the address that was reserved last in a range set.
    ///
    /// Written in place: if this is interrupted the file is empty or has digits too many, and the
    /// next search begins elsewhere, which does no harm. A rename would be one more change of the
    /// directory for nothing.
    pub(crate) fn set_last_reserved(
        &mut self,
        set: usize,
        address: IpAddr,
    ) -> Result<(), StoreError> {
        self.touched = true;
        let name = last_reserved_name(set);
        self.reservations
            .overwrite(&name, address.to_string().as_bytes())
            .map(drop)
            .map_err(failed("write", &self.reservations.path().join(&name)))
    }
}

fn last_reserved_name(set: usize) -> String {
    format!("last_reserved_ip.{set}")
}
