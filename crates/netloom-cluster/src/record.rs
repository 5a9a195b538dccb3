//! The records in the store. Whoever wrote one is a stranger.
//!
//! A parser takes exactly what the writer beside it writes: JSON of limited length, `"v": 1`, no unknown
//! field. A record that is refused is left alone: a newer release may have written it.

mod block;
mod node;
mod want;

pub use block::{BlockRecord, Entry, Keep, LONGEST_BLOCK, LONGEST_POD, Pin, PinState};
pub use node::{AliveRecord, LONGEST_NODE, NodeRecord};
pub use want::{WantRecord, WantedRange};
