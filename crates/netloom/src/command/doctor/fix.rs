//! `--fix`: what doctor recommends and what can do no harm, done.
//!
//! That is a GC which keeps everybody who lives, and a sysctl that every ADD of the network would set as
//! well. What removes a file or a link, installs a program or needs to know more than doctor stays for
//! people.

use anyhow::{Context, Result};
use netloom_kernel::sysctl;

use super::finding::{Finding, Mend};
use crate::causes;
use crate::cli::Gc;
use crate::command::{Caller, gc};
use crate::options::Options;

/// Does what is safe, each once, and tells which were done. One that fails does not keep the others from
/// being done: the second look finds what is left.
pub(super) fn safe(options: &Options, findings: &[Finding]) -> Vec<String> {
    let mut tried: Vec<&Mend> = Vec::new();
    let mut done = Vec::new();
    for mend in findings.iter().map(|it| &it.mend) {
        if tried.contains(&mend) {
            continue;
        }
        tried.push(mend);
        match carry_out(options, mend) {
            Some(Ok(())) => done.push(mend.to_string()),
            Some(Err(error)) => note!("netloom: {mend}: {}", causes::told(&error)),
            None => {}
        }
    }
    done
}

/// Nothing where it is for people to do.
fn carry_out(options: &Options, mend: &Mend) -> Option<Result<()>> {
    match mend {
        Mend::Gc(network) => {
            let network = Some(network.clone());
            let gc = Gc {
                network,
                yes: true,
                ..Gc::default()
            };
            Some(gc::run(options, &gc, Caller::Netloom))
        }
        Mend::Sysctl { key, value } => {
            let set = sysctl::set(&key.replace('.', "/"), value);
            Some(set.with_context(|| format!("set {key} to {value}")))
        }
        Mend::Say(_) => None,
    }
}
