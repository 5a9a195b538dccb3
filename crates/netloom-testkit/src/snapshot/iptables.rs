//! What nf_tables' own listing does not tell: the rules of iptables, of both its variants.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use super::{Found, Kind, listing};
use crate::probe;

/// The families of the legacy tables, and the files that name those which are there.
const LEGACY: [(&str, &str); 2] = [("ip", "ip_tables_names"), ("ip6", "ip6_tables_names")];

/// Whether there is a legacy table, of which nf_tables knows nothing.
pub(super) fn has_legacy_tables() -> bool {
    LEGACY.iter().any(|(_, names)| has_names(names))
}

/// Listing a legacy table that is not there yet would make it.
fn has_names(file: &str) -> bool {
    let tables = fs::read_to_string(format!("/proc/thread-self/net/{file}"));
    tables.is_ok_and(|names| !names.trim().is_empty())
}

/// The rules of each chain: those of the legacy tables, which nf_tables knows nothing of, and,
/// if `nft` met extensions, those of the nf_tables variant: it cannot print what is in them.
pub(super) fn observe(extensions: bool) -> Found {
    let mut found = Found::new();
    for (family, names) in LEGACY {
        if has_names(names) {
            save(family, "legacy", &mut found);
        }
        if extensions {
            save(family, "nft", &mut found);
        }
    }
    found
}

fn save(family: &str, variant: &str, found: &mut Found) {
    let program = format!("{family}tables-{variant}-save");
    if !probe::has_program(&program) {
        return;
    }
    let text = listing(&program, &[], "").unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut table = "";
    let mut chains: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        } else if let Some(chain) = line.strip_prefix(':') {
            let (chain, rest) = chain.split_once(' ').unwrap_or((chain, ""));
            let policy = rest.split(' ').next().unwrap_or_default();
            let name = format!("{family} {variant} {table} {chain}");
            chains
                .entry(name)
                .or_default()
                .push(json!(format!("policy {policy}")));
        } else if let Some(rule) = line.strip_prefix("-A ") {
            let chain = rule.split(' ').next().unwrap_or_default();
            let name = format!("{family} {variant} {table} {chain}");
            chains.entry(name).or_default().push(json!(rule));
        }
    }
    for (name, lines) in chains {
        found.push((Kind::IptablesChain, name, Value::Array(lines)));
    }
}
