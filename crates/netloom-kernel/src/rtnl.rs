//! rtnetlink: links, addresses, routes, rules, neighbours, traffic control.
//!
//! [`Socket`] does one thing at a time; [`Batch`] says several things in one system call. The
//! verbs are the same on both, one file per topic below.

mod address;
mod batch;
mod bridge_port;
mod bridge_vlan;
mod events;
mod forwarding;
mod link;
mod monitor;
mod namespace_id;
mod neighbour;
mod route;
mod rule;
mod socket;
pub mod tc;
mod wait;

pub use address::{Address, AddressFlags, AddressSpec};
pub use batch::{Batch, Outcome};
pub use bridge_port::{BridgePort, BridgePortChange, BridgePortState};
pub use bridge_vlan::{BridgeVlan, BridgeVlanFlags};
pub use events::{Group, Subscription};
pub use forwarding::Forwarding;
pub use link::bridge::BridgeOptions;
pub use link::change::LinkChange;
pub use link::ipvlan::{IpvlanFlag, IpvlanMode, IpvlanOptions};
pub use link::kind::{KindSpec, LinkKind};
pub use link::macvlan::{MacvlanMode, MacvlanOptions};
pub use link::spec::LinkSpec;
pub use link::tun::TunOptions;
pub use link::veth::PeerSpec;
pub use link::vlan::VlanProtocol;
pub use link::vxlan::VxlanOptions;
pub use link::{Link, LinkFlags, LinkRef, LinkSettings, OperationalState, Parent, Removal};
pub use monitor::{Changed, Happened, Monitor};
pub use neighbour::{Neighbour, NeighbourSpec, NeighbourState};
pub use route::{Family, NextHop, Route, RouteFilter, RouteKind, RouteSpec, Scope};
pub use route::{protocol, table};
pub use rule::{Rule, RuleAction, RuleSpec};
pub use socket::Socket;
pub use tc::TrafficControl;
