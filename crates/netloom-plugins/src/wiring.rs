//! What plugins have in common: veths, addresses, gateways, masquerade, files of state. Nothing here
//! knows a plugin.
//!
//! Words that recur:
//!
//! - a *wire* is the veth between the host and a pod, with the *host's end* and the *pod's end*;
//! - `inside` is a netlink socket in the pod's namespace, `host` one in the host's;
//! - an *owner* is the attachment that an object belongs to, see [`owner`];
//! - a *record* is what the host remembers of an attachment, see [`record`];
//! - a *mark* is the alias of a link that names its owner, see [`identity`].
//!
//! The verbs are contracts. `ensure_` makes what is shared and is never undone;
//! `create_` makes what belongs to one attachment, and its caller registers the undo at
//! once; `remove_` treats what is absent as success.

pub(crate) mod announcement;
pub(crate) mod check;
pub(crate) mod choice;
pub mod claimant;
pub(crate) mod claims;
pub(crate) mod configured;
pub(crate) mod default_route;
pub(crate) mod detach;
pub(crate) mod dns;
pub(crate) mod elements;
pub(crate) mod ends;
pub(crate) mod foretell;
pub(crate) mod forwarding;
pub(crate) mod gateway;
pub(crate) mod host_address;
pub mod identity;
pub(crate) mod ipam;
pub(crate) mod iptables;
pub(crate) mod learnt;
pub(crate) mod link_kind;
pub(crate) mod listed;
pub(crate) mod lock;
pub(crate) mod mac;
pub(crate) mod masquerade;
pub(crate) mod master;
pub(crate) mod mtu;
pub(crate) mod nftables;
pub(crate) mod nobody;
pub(crate) mod owner;
pub(crate) mod place;
pub(crate) mod pod;
pub(crate) mod random;
pub mod record;
pub(crate) mod reservations;
pub(crate) mod router_advertisements;
pub(crate) mod routes;
pub(crate) mod sandbox;
pub(crate) mod setup_error;
pub(crate) mod single_link;
pub(crate) mod spoof;
pub(crate) mod state_file;
pub(crate) mod sysctls;
pub(crate) mod tables;
pub(crate) mod transaction;
pub(crate) mod veth;
pub(crate) mod vlan_id;

pub(crate) use setup_error::SetupError;
