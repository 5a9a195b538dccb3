//! Reservations whose files do not tell whose they are any more.

use super::listing::is_reservation;
use super::owner::Owner;
use super::store::{Place, Store};
use super::store_error::{StoreError, failed};
use netloom_plugin::DelRequest;
use rustix::io::Errno;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

/// Frees the addresses in the result of ADD whose files are damaged.
pub(super) fn release(
    store: &mut Store,
    place: &Place,
    request: &DelRequest<'_>,
) -> Result<(), Vec<StoreError>> {
    let own = Owner::attachment(request.container_id.as_str(), request.if_name.as_str());
    let made = request.prev_result().unwrap_or_default();
    for address in made.ips.iter().map(|ip| ip.address.addr().to_canonical()) {
        match store.holder(address) {
            Ok(Some(found)) if found.is_damaged(&own) => {
                let name = address.to_string();
                let file = place.reservations().join(&name);
                request.warn(&format!(
                    "{} is damaged: freed, as prevResult has the address",
                    file.display()
                ));
                store.release_names(&found, &[name])?;
            }
            Ok(_) => {}
            Err(error) => request.warn(&error.to_string()),
        }
    }
    Ok(())
}

/// What has the name of a reservation, and is no file: it keeps an address from being given.
pub(super) fn no_files(place: &Place) -> Result<Vec<PathBuf>, StoreError> {
    let directory = place.reservations();
    let list = || -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let is_address = entry.file_name().to_str().is_some_and(is_reservation);
            if is_address && !entry.file_type()?.is_file() {
                found.push(entry.path());
            }
        }
        Ok(found)
    };
    match list() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            failed("list", &directory)(errno)
        }),
    }
}
