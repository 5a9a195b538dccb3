//! What DEL takes away, and what it leaves to whoever has it by now.

use crate::wiring::reservations::owner::Owner;
use crate::wiring::reservations::sandbox::{Sandbox, id_of};
use crate::wiring::reservations::store::{Place, Store};
use crate::wiring::reservations::store_error::StoreError;
use netloom_plugin::DelRequest;
use std::path::Path;

/// The path of the namespace that a reservation was made for, if DEL names another one and that one
/// still lives.
fn of_another(file: &Path, owner: &Owner, named: Option<&str>) -> Option<String> {
    let made_for = Sandbox::noted(file, owner).filter(|it| named != Some(it.path.as_str()))?;
    let is_another = id_of(named)? != made_for.id && made_for.lives();
    is_another.then_some(made_for.path)
}

/// DEL: releases the owner's reservations; false if there was none. Those that were made for another
/// namespace than DEL names, which lives, stay: after an ADD that was refused, because the container
/// has its addresses already, whoever called it deletes what it thinks that ADD left.
pub(super) fn reservations(
    store: &mut Store,
    place: &Place,
    owner: &Owner,
    request: &DelRequest<'_>,
) -> Result<bool, Vec<StoreError>> {
    store.release(owner, |name| {
        let file = place.reservations().join(name);
        let other = of_another(&file, owner, request.netns);
        if let Some(path) = &other {
            request.warn(&format!(
                "{name} is reserved for {owner} in {path:?}, which lives: it stays, as CNI_NETNS is \
                 {:?}",
                request.netns.unwrap_or_default()
            ));
        }
        other.is_none()
    })
}
