//! Removal without executing iptables, where it is built on nf_tables: a rule goes by its number,
//! whatever its words are and whichever release wrote it.

use super::super::SetupError;
use super::super::nftables::Nftables;
use super::super::transaction::atomically;
use super::presence;
use netloom_kernel::Result;
use netloom_kernel::iptables::Family;
use netloom_kernel::nft::{Batch, RuleInfo, Socket, Table, Verdict};

/// Chains of one attachment, and where jumps to them are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chains<'a> {
    pub(crate) family: Family,
    pub(crate) table: &'a str,
    /// The shared chains that have the jumps.
    pub(crate) from: &'a [&'a str],
    pub(crate) own: &'a [String],
}

impl Chains<'_> {
    /// Removes the chains, their rules and the jumps, as one transaction. `false`, and nothing is
    /// changed, where there is a jump that is not `ours`.
    pub(crate) fn remove(
        &self,
        nftables: &Nftables,
        ours: impl Fn(&RuleInfo) -> bool,
    ) -> std::result::Result<bool, SetupError> {
        let mut all = true;
        let remove = nftables.with(|socket| {
            atomically(socket, |socket, batch| {
                all = self.plan(socket, batch, &ours)?;
                Ok(())
            })
        });
        remove.map_err(SetupError::kernel(format!(
            "failed to remove the chains of iptables ({}) from nf_tables",
            self.family
        )))?;
        Ok(all)
    }

    /// Removes those of the chains that only jumps of `ours` lead to, and these: the name of a chain
    /// does not tell for certain whose it is. Returns how many of the chains are there.
    pub(crate) fn remove_ours(
        &self,
        nftables: &Nftables,
        ours: impl Fn(&RuleInfo) -> bool,
    ) -> std::result::Result<usize, SetupError> {
        let table = presence::table(self.family, self.table);
        let mut there = 0;
        let remove = nftables.with(|socket| {
            atomically(socket, |socket, batch| {
                let chains = self.there(socket, &table)?;
                there = chains.len();
                let jumps = self.jumps(socket, &table, &chains)?;
                for chain in chains {
                    let to_it = || jumps.iter().filter(|(_, jump)| leads_to(jump, chain));
                    if to_it().all(|(_, jump)| ours(jump)) {
                        for (from, jump) in to_it() {
                            batch.delete_rule(&table, from, jump.handle);
                        }
                        batch.delete_chain(&table, chain);
                    }
                }
                Ok(())
            })
        });
        remove.map_err(SetupError::kernel(format!(
            "failed to remove the chains of iptables ({}) from nf_tables",
            self.family
        )))?;
        Ok(there)
    }

    /// The chains that are there.
    fn there(&self, socket: &Socket, table: &Table<'_>) -> Result<Vec<&String>> {
        let mut there = Vec::new();
        for chain in self.own {
            if socket.get_chain(table, chain)?.is_some() {
                there.push(chain);
            }
        }
        Ok(there)
    }

    /// Leaves the transaction empty where a jump is not `ours`.
    fn plan(
        &self,
        socket: &Socket,
        batch: &mut Batch<'_>,
        ours: &impl Fn(&RuleInfo) -> bool,
    ) -> Result<bool> {
        let table = presence::table(self.family, self.table);
        let there = self.there(socket, &table)?;
        let jumps = self.jumps(socket, &table, &there)?;
        if !jumps.iter().all(|(_, jump)| ours(jump)) {
            return Ok(false);
        }
        for (from, jump) in jumps {
            batch.delete_rule(&table, from, jump.handle);
        }
        for chain in there {
            batch.delete_chain(&table, chain);
        }
        Ok(true)
    }

    fn jumps(
        &self,
        socket: &Socket,
        table: &Table<'_>,
        there: &[&String],
    ) -> Result<Vec<(&str, RuleInfo)>> {
        let mut jumps = Vec::new();
        if there.is_empty() {
            return Ok(jumps);
        }
        for from in self.from {
            let rules = socket.list_rules(table, from)?;
            let leading = rules.into_iter().filter(|rule| match rule.verdict() {
                Some(Verdict::Jump(to)) => there.contains(&to),
                _ => false,
            });
            jumps.extend(leading.map(|rule| (*from, rule)));
        }
        Ok(jumps)
    }
}

fn leads_to(jump: &RuleInfo, chain: &str) -> bool {
    matches!(jump.verdict(), Some(Verdict::Jump(to)) if to == chain)
}

/// The chains that jumps from some shared chains lead to, where a jump is `ours`. Reads all jumps.
pub(crate) fn led_to(
    nftables: &Nftables,
    family: Family,
    from: &[&str],
    ours: impl Fn(&RuleInfo) -> bool,
) -> std::result::Result<Vec<String>, SetupError> {
    let table = presence::table(family, "nat");
    let look = |socket: &Socket| {
        let mut chains = Vec::new();
        for chain in from {
            for jump in socket.list_rules(&table, chain)? {
                match jump.verdict() {
                    Some(Verdict::Jump(to)) if ours(&jump) && !chains.contains(to) => {
                        chains.push(to.clone());
                    }
                    _ => {}
                }
            }
        }
        Ok(chains)
    };
    nftables.with(look).map_err(SetupError::kernel(
        "failed to look for the chains of iptables",
    ))
}
