//! nf_tables over netlink: what `nft` does, without executing it.
//!
//! A [`Batch`] is a transaction: all of it or nothing. It reads like a script for `nft`, and `nft
//! list ruleset` prints what it made as if `nft` had made it, comments included.
//!
//! ```no_run
//! use netloom_kernel::nft::{Chain, Family, Hook, Rule, Socket, Table, priority};
//!
//! # fn main() -> Result<(), netloom_kernel::Error> {
//! const TABLE: Table<'_> = Table::new(Family::Inet, "example");
//! let socket = Socket::open()?;
//! let mut batch = socket.batch();
//! batch
//!     .ensure_table(&TABLE.comment("made by an example"))
//!     .ensure_chain(&TABLE, &Chain::new("post").nat(Hook::Postrouting, priority::SRCNAT))
//!     .add_rule(&TABLE, "post", &Rule::new()
//!         .saddr_eq([10, 1, 0, 5].into())
//!         .daddr_not_in("10.1.0.0/16".parse().expect("a network"))
//!         .masquerade()
//!         .comment("pod 1"));
//! batch.commit()?;
//! # Ok(())
//! # }
//! ```
//!
//! The first base chain of a hook costs the kernel an RCU grace period of some 10 ms: make base
//! chains once, and then only rules or, better, elements of sets and maps.

mod batch;
mod chain;
mod element;
mod expression;
mod field;
mod message;
mod monitor;
mod read;
mod rule;
mod set;
mod socket;
mod table;
mod userdata;
mod verdict;

pub use batch::Batch;
pub use chain::{CHAIN_NAME_MAX, Chain, ChainInfo, ChainKind, Hook, Policy, priority};
pub use element::{Element, ElementInfo, Key, Value};
pub use field::{Field, Protocol};
pub use monitor::{Changed, Message, Monitor};
pub use rule::{CtState, Fate, Rule, RuleInfo};
pub use set::{KeyType, Set, SetInfo};
pub use socket::Socket;
pub use table::{Family, Table, TableInfo};
pub use userdata::COMMENT_MAX;
pub use verdict::Verdict;

use message::SUBSYSTEM;

/// The kernel's `struct nfgenmsg`.
fn header(family: Family) -> [u8; 4] {
    [family.to_wire(), 0, 0, 0]
}
