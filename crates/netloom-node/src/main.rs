//! `netloom-node`: the daemon of a cluster's node.
//!
//! It takes a part of the cluster's pod network for this host, tells the others in etcd, and keeps the
//! kernel's routes, forwarding and neighbours as the others' records say. `netloom node …` executes it.
//!
//! Three parts talk by messages: the store ([`store`], tasks of one thread), the kernel ([`kernel`], a
//! thread of its own that blocks), and between them the engine ([`engine`]), which alone decides. Addresses for
//! the plugin `cluster` ([`grants`]) are a state machine of netloom-cluster, driven beside, as are links for
//! the plugin `ratchet` ([`links`]).

#![forbid(unsafe_code)]

/// Says a line on stderr, which the service manager keeps.
macro_rules! note {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let words = format!($($words)*);
        let _ = writeln!(std::io::stderr(), "netloom-node: {}", netloom_spec::terminal::lines(&words));
    }};
}

mod cli;
mod conflist;
mod engine;
mod files;
mod grants;
mod http;
mod identity;
mod kernel;
mod links;
mod misuse;
mod remembered;
mod status;
mod store;
mod uplink;
mod verbs;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match verbs::run(&cli) {
        Ok(code) => code,
        Err(error) => {
            note!("{error:#}");
            match error.is::<misuse::Misuse>() {
                true => ExitCode::from(2),
                false => ExitCode::FAILURE,
            }
        }
    }
}
