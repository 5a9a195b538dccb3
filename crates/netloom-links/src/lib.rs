//! Links between chosen network namespaces: a cable from one to another, or a way out of one by a
//! vxlan, a macvlan, an ipvlan or a VLAN.
//!
//! A [`Link`] says what is wanted, with each [`End`] in a [`Place`]. [`apply`] makes many of them so,
//! [`Link::apply`] one; [`Link::look`] compares, [`Link::remove`] removes, and [`remove_topology`]
//! removes all that a topology has in a place.
//!
//! * A link is made by one message at its final place: nothing is moved or renamed.
//! * Whose it is, is told by the kernel: the group, which a link has from the moment it is made, is
//!   that of its topology ([`LinkId::group`]); an alternative name tells the link and the end
//!   ([`LinkId::mark`]). There is no state on disk. What bears a wanted name without that is somebody
//!   else's: it is refused with [`Error::Foreign`], and never changed.
//! * Everything is validated before anything is changed. What fails is taken back; what was killed
//!   half-way is finished, or made anew, by the next call.
//!
//! No part of this executes anything, or reads a file but those of namespaces. It sleeps only while the
//! kernel still has a vxlan or a VLAN of a namespace that has just ended.

#![forbid(unsafe_code)]

mod apply;
mod change;
mod end;
mod error;
mod identity;
mod impairment;
mod link;
mod mirror;
mod namespace;
mod outside;
mod place;
mod present;
mod queue;
mod remove;
mod seen;
mod validate;
mod wanted;

pub use apply::{Survey, apply, apply_topology, look, plan_topology};
pub use end::{End, Interface, Route, kernel_name};
pub use error::{Error, Result};
pub use identity::{LinkId, Side, group_of, is_mark, mark_prefix};
pub use impairment::{Impairment, Probability, parse_duration, parse_rate};
pub use link::{Far, Link, Outside, Vxlan};
pub use mirror::{Direction, Mirror};
pub use namespace::{create_namespace, is_namespace_of};
pub use place::Place;
pub use queue::{impairment_of, set_impairment};
pub use remove::{Removed, remove_interface, remove_topology};
pub use seen::Seen;
