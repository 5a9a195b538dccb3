//! The daemon on real stores: hosts are namespaces, packets cross real links.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod demo;
mod flannel;
mod grants;
mod killed;
mod kubernetes;
mod lab;
mod lies;
mod links;
mod members;
mod misuse;
mod outage;
mod reach;
mod secure;
mod struck;
mod upgrade;
mod words;
