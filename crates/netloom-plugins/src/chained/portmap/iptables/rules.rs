//! The chains and rules that all mappings share, in the reference's words.

use crate::wiring::iptables::{Saved, value_of};

pub(super) const DNAT: &str = "CNI-HOSTPORT-DNAT";
pub(super) const SETMARK: &str = "CNI-HOSTPORT-SETMARK";
pub(super) const MASQ: &str = "CNI-HOSTPORT-MASQ";
/// In the table `raw`, which is before any translation: it is the addresses on the wire that are
/// seen there.
pub(super) const GUARD: &str = "CNI-HOSTPORT-LOCALNET";
pub(super) const DEFAULT_MARK: u32 = 0x2000;

pub(super) type Rule = Vec<String>;

/// The rules that guard.
pub(super) fn guard() -> Vec<Rule> {
    let drop = |side| words(&["-A", GUARD, side, "127.0.0.0/8", "-j", "DROP"]);
    vec![drop("-s"), drop("-d"), guard_jump()]
}

pub(super) fn guard_jump() -> Rule {
    let comment = "CNI portfwd spoofed localhost";
    let head = [
        "-A",
        "PREROUTING",
        "!",
        "-i",
        "lo",
        "-m",
        "comment",
        "--comment",
    ];
    words(&[&head[..], &[comment, "-j", GUARD]].concat())
}

pub(super) fn mark_rule(mark: u32) -> Rule {
    let comment = "CNI portfwd masquerade mark";
    let head = ["-A", SETMARK, "-m", "comment", "--comment", comment];
    words(&[&head[..], &["-j", "MARK", "--set-xmark", &masked(mark)]].concat())
}

pub(super) fn masquerade_rule(mark: u32) -> Rule {
    words(&[
        "-A",
        MASQ,
        "-m",
        "mark",
        "--mark",
        &masked(mark),
        "-j",
        "MASQUERADE",
    ])
}

pub(super) fn masquerade_jump() -> Rule {
    let comment = "CNI portfwd requiring masquerade";
    words(&[
        "-A",
        "POSTROUTING",
        "-m",
        "comment",
        "--comment",
        comment,
        "-j",
        MASQ,
    ])
}

pub(super) fn dnat_jump(from: &str) -> Rule {
    words(&[
        "-A",
        from,
        "-m",
        "addrtype",
        "--dst-type",
        "LOCAL",
        "-j",
        DNAT,
    ])
}

fn masked(mark: u32) -> String {
    format!("{mark:#x}/{mark:#x}")
}

pub(super) fn words(words: &[&str]) -> Rule {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The rules of one chain that jump to another.
pub(super) fn jumps<'s>(
    saved: &'s Saved,
    from: &'s str,
    to: &'s str,
) -> impl Iterator<Item = &'s [String]> {
    let leads = move |rule: &&[String]| value_of(rule, "-j") == Some(to);
    saved.of_chain(from).filter(leads)
}
