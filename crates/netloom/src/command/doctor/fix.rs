//! `--fix`: what doctor recommends and what can do no harm, done.
//!
//! That is a GC which keeps everybody who lives, and a sysctl that every ADD of the network would set as
//! well. What removes a file or a link, installs a program or needs to know more than doctor stays for
//! people.

use anyhow::{Context, Result};
use netloom_kernel::sysctl;

use super::finding::Finding;
use super::quoted;
use crate::cli::{Gc, Options};
use crate::command::{Caller, gc};

/// Does what is safe, each command once, and tells which were done. One that fails does not keep the
/// others from being done: the second look finds what is left.
pub(super) fn safe(options: &Options, findings: &[Finding]) -> Vec<String> {
    let mut done: Vec<String> = Vec::new();
    let mut failed: Vec<&str> = Vec::new();
    for it in findings {
        let is_new = !done.contains(&it.mend) && !failed.contains(&it.mend.as_str());
        if let (true, Some(fix)) = (is_new, Fix::of(it)) {
            match fix.carry_out(options) {
                Ok(()) => done.push(it.mend.clone()),
                Err(error) => {
                    note!("netloom: {}: {error:#}", it.mend);
                    failed.push(&it.mend);
                }
            }
        }
    }
    done
}

enum Fix<'a> {
    Gc(&'a str),
    Sysctl(&'a str, &'a str),
}

impl<'a> Fix<'a> {
    fn of(it: &'a Finding) -> Option<Self> {
        // With `--all` nobody would be kept.
        if it.mend == format!("netloom gc {} --yes", quoted(&it.network)) {
            return Some(Self::Gc(&it.network));
        }
        let (key, value) = it.mend.strip_prefix("sysctl -w ")?.split_once('=')?;
        (it.kind == "sysctl").then_some(Self::Sysctl(key, value))
    }

    fn carry_out(&self, options: &Options) -> Result<()> {
        match self {
            Self::Gc(network) => gc::run(
                options,
                &Gc {
                    network: Some((*network).to_owned()),
                    yes: true,
                    ..Gc::default()
                },
                Caller::Netloom,
            ),
            Self::Sysctl(key, value) => sysctl::set(&key.replace('.', "/"), value)
                .with_context(|| format!("set {key} to {value}")),
        }
    }
}
