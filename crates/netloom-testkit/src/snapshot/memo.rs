//! Listings that need not be made again: the kernel says of the namespace, byte by byte, what it
//! said when the programs were executed last.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::Found;
use super::said::Said;

type Key = [u8; 32];

/// So many listings are kept; then all are forgotten.
const AT_MOST: usize = 512;

static LISTINGS: Mutex<Option<HashMap<Key, Found>>> = Mutex::new(None);

/// What `list` finds. It is executed unless it was for the same words; and its finding is kept if
/// the words are the same after it as they were before.
pub(super) fn of(
    class: &str,
    said: &Said,
    again: impl Fn() -> Said,
    list: impl Fn() -> Found,
) -> Found {
    let key = key(class, said);
    if let Some(found) = with_listings(|listings| listings.get(&key).cloned()) {
        return found;
    }
    let found = list();
    if self::key(class, &again()) == key {
        with_listings(|listings| {
            if listings.len() >= AT_MOST {
                listings.clear();
            }
            listings.insert(key, found.clone());
        });
    }
    found
}

fn key(class: &str, said: &Said) -> Key {
    let mut digest = Sha256::new_with_prefix(class);
    digest.update(said.bytes());
    digest.finalize().into()
}

fn with_listings<T>(work: impl FnOnce(&mut HashMap<Key, Found>) -> T) -> T {
    // A test that panics elsewhere leaves whole listings.
    let mut listings = LISTINGS.lock().unwrap_or_else(PoisonError::into_inner);
    work(listings.get_or_insert_default())
}
