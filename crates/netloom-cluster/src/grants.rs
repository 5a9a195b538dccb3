//! The state machine that claims grants and gives them back.
//!
//! It does nothing itself: the daemon, a test or a simulation hands [`Input`]s to
//! [`Machine::handle`], carries out every [`Output`] and hands the replies back. The machine says by
//! [`Machine::wake_at`] when it wants an [`Input::Tick`] at the latest.

mod interface;
mod machine;

pub use interface::{
    Config, DiskId, DiskOp, DiskReply, Expected, Found, Input, Instant, Now, OpId, Output, StoreOp,
    StoreReply, Stored, Ticket, Usage,
};
pub use machine::Machine;
