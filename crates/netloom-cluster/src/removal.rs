//! `netloom node remove`: what becomes of the grants of a node that does not come back.

use crate::NodeName;
use crate::record::{BlockRecord, Entry, Keep, Pin, PinState};

/// Takes a node's grants out of a record; false if it has none there. An address that is to wait for its
/// pod stays, so that the pod gets it on another node. `now` is in seconds since 1970.
///
/// Whoever calls this promises that no pod of the node lives.
pub fn take_out(record: &mut BlockRecord, node: &NodeName, now: u64) -> bool {
    let waits = |pin: &Pin| pin.state == PinState::Kept || pin.keep != Keep::No;
    let stays = |entry: &Entry| entry.node != *node || entry.pin.as_ref().is_some_and(waits);
    let mut changed = record.retain(stays) > 0;
    for (_, holder, _, pin) in record.pins_mut() {
        if *holder == *node && pin.state == PinState::Used {
            pin.state = PinState::Kept;
            pin.until = pin.keep.until(now).flatten();
            changed = true;
        }
    }
    changed
}

/// Whether an address waited long enough for its pod, and its node is not there to say so.
pub(crate) fn has_lapsed(entry: &Entry, now: u64, is_known: impl Fn(&NodeName) -> bool) -> bool {
    let ended = |pin: &Pin| pin.state == PinState::Kept && pin.until.is_some_and(|it| it <= now);
    entry.pin.as_ref().is_some_and(ended) && !is_known(&entry.node)
}
