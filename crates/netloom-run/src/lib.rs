//! Pods: one process in namespaces of its own, on CNI networks.
//!
//! A pod has three processes of this program. The *foreground* is what the user called; it sends the
//! [`PodSpec`] to the *shim* and hands signals and a terminal on. The shim, in a session of its own,
//! makes the network namespace, has the networks added, and starts the pod's first process, of which it
//! is the parent. That one makes the pod's mounts, gives up privileges and executes the command.
//! Whoever dies, the networks are deleted: by the shim when the foreground or the command is gone, and
//! by the next call of anybody ([`recover::finish_dead`]) when the shim is.
//!
//! State is below `/run/netloom/pods`, a directory for each pod ([`Store`]). What ADD is about to make is
//! written there before each ADD, so that DEL needs nothing else.
//!
//! This is a tool to run programs on networks, not a wall around hostile ones: there is no seccomp filter
//! and no LSM profile, and root in the pod is root of the host with fewer capabilities.

#![forbid(unsafe_code)]

mod channel;
pub mod client;
mod end;
mod engine;
pub mod enter;
mod error;
mod files;
pub mod image;
mod life;
mod log;
pub mod net_argument;
pub mod network;
mod ports;
pub mod private_host;
mod process;
pub mod recover;
pub mod sandbox;
pub mod shim;
mod spec;
mod state;
mod terminal;

pub use end::{Ended, finish, remove};
pub use error::{Error, Result, status};
pub use life::{connect, disconnect};
pub use process::ProcessId;
pub use spec::{
    Attachment, CniPlace, DnsOptions, EngineCall, Entry, NetworkMode, PodSpec, Port, Protocol,
    Root, Runtime, Volume,
};
pub use state::{Held, Phase, Pod, PodState, Store};

/// How a [`Cni`](netloom_runtime::Cni) is made of what a pod remembers about it: which execution engine
/// plugins get is the caller's.
pub type Engine<'a> = &'a dyn Fn(&CniPlace) -> netloom_runtime::Cni;
