//! What is there already of the rules that all mappings share.

use super::rules::{
    DEFAULT_MARK, DNAT, GUARD, MASQ, SETMARK, guard_jump, jumps, mark_rule, masquerade_jump,
    masquerade_rule,
};
use crate::wiring::SetupError;
use crate::wiring::iptables::{Saved, presence};
use crate::wiring::nftables::Nftables;
use netloom_kernel::Result;
use netloom_kernel::iptables::Family;
use netloom_kernel::nft::{Socket, Verdict};

/// What needs not to be made.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) dnat: bool,
    pub(super) prerouting: bool,
    pub(super) output: bool,
    pub(super) setmark: bool,
    pub(super) mark_rule: bool,
    pub(super) masq: bool,
    pub(super) masquerade_rule: bool,
    pub(super) postrouting: bool,
    pub(super) guard_chain: bool,
    /// Its rules.
    pub(super) guard: bool,
    pub(super) guard_jump: bool,
    /// What leads to this container's chain, from an ADD whose DEL was lost.
    pub(super) own: Vec<Vec<String>>,
}

impl Seen {
    /// For a container's chain and its mark, without executing anything, which only the iptables that is built on nf_tables allows. `None`
    /// where that does not tell enough.
    pub(super) fn by_netlink(
        nftables: &Nftables,
        family: Family,
        chain: &str,
        mark: u32,
    ) -> std::result::Result<Option<Self>, SetupError> {
        // What a rule marks with cannot be read this way: only that of the default is taken for granted.
        if presence::has_legacy_nat_table(family) || mark != DEFAULT_MARK {
            return Ok(None);
        }
        let look = |socket: &Socket| look(socket, family, chain);
        nftables.with(look).map_err(SetupError::kernel(
            "failed to look for the port mappings of iptables",
        ))
    }

    /// The same from what `iptables-save` printed.
    pub(super) fn of_saved(text: &str, chain: &str, mark: u32) -> Self {
        let (nat, raw) = (Saved::parse(text, "nat"), Saved::parse(text, "raw"));
        let leads = |from: &str, to: &str| jumps(&nat, from, to).next().is_some();
        Self {
            dnat: nat.declares(DNAT),
            prerouting: leads("PREROUTING", DNAT),
            output: leads("OUTPUT", DNAT),
            setmark: nat.declares(SETMARK),
            mark_rule: nat.has(&mark_rule(mark)),
            masq: nat.declares(MASQ),
            masquerade_rule: nat.has(&masquerade_rule(mark)),
            postrouting: nat.has(&masquerade_jump()),
            guard_chain: raw.declares(GUARD),
            guard: raw.of_chain(GUARD).count() >= 2,
            guard_jump: raw.has(&guard_jump()),
            own: jumps(&nat, DNAT, chain).map(<[_]>::to_vec).collect(),
        }
    }
}

fn look(socket: &Socket, family: Family, chain: &str) -> Result<Option<Seen>> {
    let nat = presence::table(family, "nat");
    let raw = presence::table(family, "raw");
    let leads = |table, from: &str, to: &str| -> Result<bool> {
        let rules = socket.list_rules(table, from)?;
        Ok(rules.iter().any(|rule| is_jump(rule.verdict(), to)))
    };
    if leads(&nat, DNAT, chain)? {
        // To be replaced: what they say must be known.
        return Ok(None);
    }
    let (marking, masquerading) = (
        socket.list_rules(&nat, SETMARK)?,
        socket.list_rules(&nat, MASQ)?,
    );
    let is_default = masquerading
        .iter()
        .all(|rule| rule.compares_mark_bits(DEFAULT_MARK));
    if !is_default || marking.len() > masquerading.len() {
        // Other networks have bits of their own.
        return Ok(None);
    }
    let has = |name: &str| -> Result<bool> { Ok(socket.get_chain(&nat, name)?.is_some()) };
    let filled = |table, chain: &str, least: usize| -> Result<bool> {
        Ok(socket.list_rules(table, chain)?.len() >= least)
    };
    Ok(Some(Seen {
        dnat: has(DNAT)?,
        prerouting: leads(&nat, "PREROUTING", DNAT)?,
        output: leads(&nat, "OUTPUT", DNAT)?,
        setmark: has(SETMARK)?,
        mark_rule: !marking.is_empty(),
        masq: has(MASQ)?,
        masquerade_rule: !masquerading.is_empty(),
        postrouting: leads(&nat, "POSTROUTING", MASQ)?,
        guard_chain: socket.get_chain(&raw, GUARD)?.is_some(),
        guard: filled(&raw, GUARD, 2)?,
        guard_jump: leads(&raw, "PREROUTING", GUARD)?,
        own: Vec::new(),
    }))
}

fn is_jump(verdict: Option<&Verdict>, to: &str) -> bool {
    matches!(verdict, Some(Verdict::Jump(chain)) if chain == to)
}
