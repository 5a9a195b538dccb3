//! Linux networking for netloom: namespaces, rtnetlink, nf_tables, iptables, sysctl. Knows nothing of CNI.
//!
//! Everything here is a thin, typed way to say one thing to the kernel:
//!
//! * [`netns`]: open a network namespace, run a closure in it, make and remove bound ones;
//! * [`unshare`]: throw-away hosts for tests and demonstrations;
//! * [`rtnl`]: links, addresses, routes, rules, neighbours, traffic control over one blocking socket per
//!   namespace;
//! * [`nft`]: nf_tables transactions and filtered reads over netlink, without executing `nft`;
//! * [`conntrack`]: entries of the connection tracking table, found by filter, deleted one by one;
//! * [`iptables`]: one `iptables-restore` transaction per family;
//! * [`sysctl`]: values under `/proc/sys`;
//! * [`selinux`]: in which context a program is executed;
//! * [`tuntap`]: tap devices, which are made through a file of their own;
//! * [`heap`]: the allocator of programs that live for milliseconds;
//! * [`announce`]: gratuitous ARP and unsolicited neighbour advertisements;
//! * [`packet`]: packet sockets with a filter;
//! * [`reaper`]: children that wait for the kernel when a program has nothing left to do;
//! * [`signals`]: signals that are passed on to the child that a program waits for;
//! * [`signal_fd`]: signals as something to wait for beside other descriptors;
//! * [`daemon`]: signals as a descriptor, and sockets inherited from a service manager.
//!
//! Every failed call is one [`Error`]: what was attempted, on what, the errno and the kernel's own
//! words. Verbs are contracts: `create_` and `add_` fail when the object exists, `replace_` and
//! `set_` do not care, `remove_` treats an absent object as success and says whether there was one.
//!
//! A socket talks to the network namespace it was opened in for all of its life, whatever the
//! thread does later. Keep one per namespace.
//!
//! This is the only crate of the workspace with `unsafe` code; each block says why it is sound.

pub mod announce;
pub mod c_library;
pub mod child;
pub mod conntrack;
pub mod daemon;
mod error;
pub mod executions;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod heap;
pub mod iptables;
#[cfg(any(netloom_musl, all(target_env = "musl", target_feature = "crt-static")))]
mod main_stack;
#[cfg(netloom_musl)]
mod musl;
mod netlink;
pub mod netns;
pub mod nft;
pub mod packet;
pub mod reaper;
pub mod rtnl;
pub mod selinux;
pub mod signal_fd;
pub mod signals;
pub mod stdio;
pub mod sysctl;
pub mod tuntap;
pub mod unshare;

pub use error::{Error, Result};

/// A hardware (MAC-48) address, as on the wire.
pub type MacAddress = [u8; 6];
