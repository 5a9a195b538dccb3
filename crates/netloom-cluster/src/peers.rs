//! The other hosts of a pod network: whom to believe, how each is reached, and what the kernel must
//! change for it.
//!
//! Nothing here does I/O or knows the time. A round goes
//! [`Memory`] (records that the store has, or had a moment ago) → [`judge`] (which of them can be true
//! together) → [`wanted`] (neighbours, forwarding, routes) → [`difference`] (what to change, in order).

mod difference;
mod judge;
mod memory;
mod wanted;

pub use difference::{Change, Foreign, Seen, SeenRoute, difference};
pub(crate) use judge::is_of_a_host;
pub use judge::{Judged, Own, Part, Peer, Refusal, judge};
pub use memory::{Memory, Record};
pub use wanted::{Forwarding, Neighbour, Route, Tunnels, Unreachable, Wanted, wanted};
