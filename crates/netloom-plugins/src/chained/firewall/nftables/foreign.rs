//! The chains of others that see forwarded packets too, and may drop them.
//!
//! In nf_tables every base chain of a hook must let a packet pass: what one accepts, the next may
//! drop. So packets of pods are marked before, each well-known chain lets what is marked pass by
//! one rule for all pods, and the mark is taken away behind. Iptables shows and saves such a rule
//! as one of its own.

use netloom_kernel::Result;
use netloom_kernel::nft::{Batch, Family, Rule, Socket, Table, Verdict};

/// `CNIF`. No packet that already has a mark gets it, so that no other mark is lost.
pub(in super::super) const MARK: u32 = 0x434e_4946;
const COMMENT: &str = "CNI firewall plugin rules";

/// A base chain that somebody else owns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Foreign {
    pub(super) table: Table<'static>,
    pub(super) chain: &'static str,
}

const fn chain(family: Family, table: &'static str, chain: &'static str) -> Foreign {
    Foreign {
        table: Table::new(family, table),
        chain,
    }
}

/// Those of iptables, and the one of the configuration file that distributions deliver.
const CHAINS: [Foreign; 3] = [
    chain(Family::Ip, "filter", "FORWARD"),
    chain(Family::Ip6, "filter", "FORWARD"),
    chain(Family::Inet, "filter", "forward"),
];

/// The chains that are there and do not let marked packets pass. Asked for by name: what else
/// there is in nf_tables does not matter.
pub(super) fn missing(socket: &Socket) -> Result<Vec<Foreign>> {
    let mut missing = Vec::new();
    for foreign in CHAINS {
        let found = socket.get_chain(&foreign.table, foreign.chain)?;
        if found.is_none_or(|chain| chain.kind.as_deref() != Some("filter")) {
            continue;
        }
        let rules = socket.list_rules(&foreign.table, foreign.chain)?;
        let passes = rules
            .iter()
            .any(|rule| rule.compares_mark(MARK) && rule.verdict() == Some(&Verdict::Accept));
        if !passes {
            missing.push(foreign);
        }
    }
    Ok(missing)
}

/// Lets marked packets pass in the chain.
pub(super) fn open(batch: &mut Batch<'_>, foreign: Foreign) {
    let rule = Rule::new().mark_eq(MARK).accept().comment(COMMENT);
    batch.insert_rule(&foreign.table, foreign.chain, &rule);
}

/// For messages: `chain FORWARD of table ip filter`.
pub(super) fn describe(foreign: Foreign) -> String {
    let Foreign { table, chain } = foreign;
    format!(
        "chain {chain} of table {} {}",
        table.family().name(),
        table.name()
    )
}
