//! The state machine that claims grants and gives them back.
//!
//! It does nothing itself: the daemon, a test or a simulation hands [`Input`]s to
//! [`Machine::handle`], carries out every [`Output`] and hands the replies back. The machine says by
//! [`Machine::wake_at`] when it wants an [`Input::Tick`] at the latest.
//!
//! What holds, whoever dies, is cut off or restarts:
//!
//! - an address is in one grant of one record, and records change by compare-and-swap alone;
//! - a grant is on the node's disk only after it is in the record, and leaves the disk before it leaves
//!   the record;
//! - what may have happened is found out before anything else is done in that space;
//! - time ends no grant of a node: the node itself does, or whoever removes the node;
//! - after a boot nothing is given before every grant was compared with the store;
//! - a store that was wiped gets no new claim before every node that is known has told it what it holds,
//!   or is not waited for any longer.

mod context;
mod idle;
mod interface;
mod machine;
mod random;
mod search;
mod settle;
mod space;
mod window;

pub use interface::{
    Config, DiskId, DiskOp, DiskReply, Expected, Found, Input, Instant, Now, OpId, Output, StoreOp,
    StoreReply, Stored, Ticket, Usage,
};
pub use machine::Machine;
