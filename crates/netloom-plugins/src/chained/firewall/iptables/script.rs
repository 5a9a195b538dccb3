//! What is made for one attachment, as text for `iptables-restore`.

use super::super::plan::{Bridge, Wanted};
use super::rules::{
    ADMIN_COMMENT, APART_COMMENT, COMMENT, FORWARD, ISOLATED_COMMENT, PODS, SAME_BRIDGE_COMMENT,
    STAGE_1, STAGE_2, Shared, TABLE, Target, rules_of,
};
use super::sweep::Sweep;
use crate::wiring::iptables::{Saved, append, insert};
use crate::wiring::owner::Owner;
use ipnet::IpNet;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::IpAddr;

/// What is there of what a script needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct There {
    /// Which of [`Script::chains`].
    pub(super) chains: Vec<bool>,
    /// Which of [`Script::shared`].
    pub(super) rules: Vec<bool>,
    /// Whether anything keeps bridges apart.
    pub(super) kept_apart: bool,
    /// Lines that remove what a lost DEL left of the attachment.
    pub(super) left: String,
}

/// One family's rules of one attachment.
#[derive(Debug)]
pub(super) struct Script {
    marker: String,
    comment: String,
    ips: Vec<IpAddr>,
    chains: Vec<String>,
    shared: Vec<Shared>,
}

impl Script {
    /// Everything that is wanted; nothing in a family without addresses.
    pub(super) fn new(owner: Owner<'_>, wanted: &Wanted, v6: bool) -> Self {
        let mut script = Self::of_addresses(owner, &wanted.ips, v6);
        if !script.ips.is_empty() {
            let admin = &wanted.admin_chain;
            script.chains.extend([PODS.to_owned(), admin.clone()]);
            script.shared.push(Shared::jump(FORWARD, PODS, COMMENT));
            script.shared.push(Shared::jump(PODS, admin, ADMIN_COMMENT));
            script.keep_apart(wanted);
        }
        script
    }

    /// Only what keeps bridges apart, for a firewall that has no such thing itself.
    pub(super) fn apart(owner: Owner<'_>, wanted: &Wanted, v6: bool) -> Self {
        let mut script = Self::of_addresses(owner, &[], v6);
        if wanted.of_family(v6).next().is_some() {
            script.keep_apart(wanted);
        }
        script
    }

    /// Only the rules of the addresses.
    pub(super) fn of_addresses(owner: Owner<'_>, ips: &[IpAddr], v6: bool) -> Self {
        Self {
            marker: owner.firewall_chain(),
            comment: owner.firewall_comment(),
            ips: ips
                .iter()
                .copied()
                .filter(|ip| ip.is_ipv6() == v6)
                .collect(),
            chains: Vec::new(),
            shared: Vec::new(),
        }
    }

    fn keep_apart(&mut self, wanted: &Wanted) {
        let Some(Bridge { name, isolated }) = &wanted.bridge else {
            return;
        };
        let comment = if *isolated {
            ISOLATED_COMMENT
        } else {
            SAME_BRIDGE_COMMENT
        };
        self.chains.extend([STAGE_1.to_owned(), STAGE_2.to_owned()]);
        self.shared
            .push(Shared::jump(FORWARD, STAGE_1, APART_COMMENT));
        self.shared.push(Shared {
            from: Some(name.clone()),
            to: Some((false, name.clone())),
            ..Shared::jump(STAGE_1, STAGE_2, comment)
        });
        if *isolated {
            self.shared.push(Shared {
                from: Some(name.clone()),
                to: Some((true, name.clone())),
                target: Target::Drop,
                ..Shared::jump(STAGE_1, "", comment)
            });
        }
        self.shared.push(Shared::return_(STAGE_1));
        self.shared.push(Shared {
            to: Some((true, name.clone())),
            target: Target::Drop,
            ..Shared::jump(STAGE_2, "", APART_COMMENT)
        });
        self.shared.push(Shared::return_(STAGE_2));
    }

    /// True when there is nothing to do in this family.
    pub(super) fn is_empty(&self) -> bool {
        self.ips.is_empty() && self.shared.is_empty()
    }

    /// The attachment's own chain.
    pub(super) fn marker(&self) -> &str {
        &self.marker
    }

    /// How many rules that chain has, if this release made it.
    pub(super) fn claims(&self) -> usize {
        self.ips.len() * 2
    }

    /// The chains that all pods share.
    pub(super) fn chains(&self) -> impl Iterator<Item = &str> {
        self.chains.iter().map(String::as_str)
    }

    /// The rules that all pods share.
    pub(super) fn shared(&self) -> &[Shared] {
        &self.shared
    }

    /// Makes what is not there; `None` if all is.
    pub(super) fn create(&self, there: &There) -> Option<String> {
        let mut script = format!("*{TABLE}\n");
        for (chain, _) in self
            .chains()
            .zip(&there.chains)
            .filter(|(_, there)| !**there)
        {
            // Not `:CHAIN`, which would empty one that another ADD has made meanwhile.
            let _ = writeln!(script, "-N {chain}");
        }
        script.push_str(&there.left);
        for (rule, _) in self
            .shared
            .iter()
            .zip(&there.rules)
            .filter(|(_, there)| !**there)
        {
            if rule.first {
                insert(&mut script, &rule.words());
            } else {
                append(&mut script, &rule.words());
            }
            let is_entry = rule.chain == FORWARD && rule.target == Target::Chain(PODS.to_owned());
            if is_entry && there.kept_apart {
                // What keeps bridges apart stays ahead of what lets pass.
                insert(
                    &mut script,
                    &Shared::jump(FORWARD, STAGE_1, APART_COMMENT).words(),
                );
            }
        }
        if !self.ips.is_empty() {
            let _ = writeln!(script, "-N {}", self.marker);
        }
        for ip in &self.ips {
            for rule in rules_of(*ip) {
                append(&mut script, &rule);
            }
            for claim in self.claims_of(*ip) {
                append(&mut script, &claim);
            }
        }
        let is_empty = script.lines().count() == 1;
        script.push_str("COMMIT\n");
        (!is_empty).then_some(script)
    }

    /// What the attachment has.
    pub(super) fn whole(&self) -> Sweep {
        Sweep::whole(&self.marker, &self.ips)
    }

    /// What is there of the attachment.
    pub(super) fn sweep(&self, saved: &Saved) -> Sweep {
        Sweep::of(saved, &self.marker, &self.ips)
    }

    /// The first thing that `saved` lacks, in iptables' words.
    pub(super) fn missing_from(&self, saved: &Saved) -> Option<String> {
        if let Some(chain) = self.chains().find(|chain| !saved.declares(chain)) {
            return Some(format!("chain {chain}"));
        }
        let shared = self
            .shared
            .iter()
            .find(|rule| !rule.is_in(saved))
            .map(Shared::words);
        // Each rule is read once: a pod may have many addresses, and a host many pods.
        let there: HashSet<&[String]> = saved.rules.iter().map(Vec::as_slice).collect();
        // An attachment of another release, or of the Go plugin, has no claim to a published port.
        let is_published = |ip: &IpAddr| there.contains(self.claims_of(*ip)[1].as_slice());
        let own = || {
            let mut own = self.ips.iter().flat_map(|ip| {
                let [answers, sent, published] = rules_of(*ip);
                let published = is_published(ip).then_some(published);
                [answers, sent].into_iter().chain(published)
            });
            own.find(|rule| !there.contains(rule.as_slice()))
        };
        shared
            .or_else(own)
            .map(|rule| format!("rule {}", rule.join(" ")))
    }

    /// The rules that say whose the address is, and that its published ports are let in. They do
    /// nothing. Former netloom knows the first alone.
    fn claims_of(&self, ip: IpAddr) -> [Vec<String>; 2] {
        let net = IpNet::from(ip).to_string();
        ["-s", "-d"].map(|side| {
            let comment = ["-m", "comment", "--comment", &self.comment];
            let words = ["-A", &self.marker, side, &net].into_iter();
            words.chain(comment).map(str::to_owned).collect()
        })
    }
}

#[cfg(test)]
mod tests;
