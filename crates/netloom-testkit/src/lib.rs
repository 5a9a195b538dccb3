//! Throw-away hosts and pods, snapshots of kernel and disk state, fault injection (development only).
//!
//! A network test reads like this:
//!
//! ```no_run
//! use netloom_testkit::{Host, Plugin, PluginDir};
//! use serde_json::json;
//!
//! # let program = "/usr/bin/netloom-plugins"; // env!("CARGO_BIN_EXE_netloom-plugins") in a test
//! let Some(host) = Host::new() else { return };
//! let pod = host.pod("one");
//! let plugins = PluginDir::of(program);
//! let bridge = Plugin::ours(&plugins, "bridge");
//! let conf = json!({"cniVersion": "1.1.0", "name": "net", "type": "bridge"});
//!
//! let result = bridge.add(&conf, &pod).succeeds();
//! assert_eq!(result["interfaces"][2]["sandbox"], pod.path().to_str().unwrap());
//! bridge.del(&conf, &pod).succeeds();
//! ```
//!
//! Every function here panics with a readable message when the machine does not do what it
//! should: that is what a test wants. What the machine *cannot* do is reported with [`skip`].

#![forbid(unsafe_code)]

pub mod probe;

mod block;
mod call;
mod fault;
mod growth;
mod host;
mod namespace;
mod orders;
mod parallel;
mod plugin;
mod pod;
mod product;
mod sample;
mod skip;
mod snapshot;
mod trace;
mod traffic;
mod uplink;

pub use block::{Block, blocks};
pub use call::{Call, CniError, Outcome};
pub use fault::{
    Faults, Point, Scene, Struck, Tally, assert_del_completes, assert_no_residue,
    assert_no_residue_at_every,
};
pub use growth::assert_grows_with_the_count;
pub use host::Host;
pub use orders::ORDERS_OF_THREE;
pub use parallel::parallel;
pub use plugin::{DEBIAN_DIR, Plugin, PluginDir, link_plugins};
pub use pod::Pod;
pub use product::{CLOSED, is_release, product};
pub use sample::Sample;
pub use skip::skip;
pub use snapshot::{Difference, Snapshot};
pub use trace::{SystemCall, Trace, peak_memory};
pub use uplink::Uplink;
