//! What is left of attachments, found in a saved table, and how it is removed.

use super::rules::{MARKER_PREFIX, PODS, TABLE, rules_of};
use super::tables::{has_legacy_table, table};
use crate::wiring::SetupError;
use crate::wiring::iptables::{Saved, delete, value_of};
use crate::wiring::nftables::Nftables;
use crate::wiring::owner::Owner;
use crate::wiring::transaction::atomically;
use ipnet::IpNet;
use netloom_kernel::iptables::Family;
use netloom_kernel::nft::{RuleInfo, Socket, Table, Verdict};
use netloom_spec::Attachment;
use std::fmt::Write as _;
use std::net::IpAddr;

/// What is to be removed.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    rules: Vec<Left>,
    /// The own chains of attachments.
    markers: Vec<String>,
}

/// One rule of an address.
#[derive(Debug)]
struct Left {
    words: Vec<String>,
    ip: IpAddr,
    /// It is about what the address sends, not what it gets.
    sent: bool,
    /// It is about published ports.
    published: bool,
}

impl Sweep {
    /// What is there of one attachment. Without a chain of its own, rules of its addresses are
    /// taken for the Go plugin's, unless others have a claim to them.
    pub(super) fn of(saved: &Saved, marker: &str, ips: &[IpAddr]) -> Self {
        let mut sweep = Self::default();
        if saved.declares(marker) {
            sweep.take(saved, marker, &[marker]);
        } else {
            for ip in ips {
                sweep.take_unclaimed(saved, *ip, &[]);
            }
        }
        sweep
    }

    /// What one attachment has as long as nobody took any of it away.
    pub(super) fn whole(marker: &str, ips: &[IpAddr]) -> Self {
        Self {
            rules: ips.iter().flat_map(|ip| Left::all(*ip)).collect(),
            markers: vec![marker.to_owned()],
        }
    }

    /// What is there of every attachment of the network that is not valid any more.
    pub(super) fn stale(saved: &Saved, network: &str, valid: &[Attachment]) -> Self {
        let own = Owner::firewall_comment_prefix(network);
        let valid: Vec<String> = valid
            .iter()
            .map(|attachment| Owner::of(network, attachment).firewall_chain())
            .collect();
        let is_own = |chain: &str| {
            let rules = saved.of_chain(chain);
            let mut comments = rules.filter_map(|rule| value_of(rule, "--comment"));
            comments.any(|comment| comment.starts_with(&own))
        };
        let gone: Vec<&str> = saved
            .chains()
            .filter(|chain| chain.starts_with(MARKER_PREFIX))
            .filter(|chain| is_own(chain) && !valid.iter().any(|valid| valid == chain))
            .collect();
        let mut sweep = Self::default();
        for chain in &gone {
            sweep.take(saved, chain, &gone);
        }
        sweep
    }

    /// An attachment's own chain, and one copy of the rules of each address that it names. The chains
    /// in `gone` go too, and claim nothing.
    fn take(&mut self, saved: &Saved, marker: &str, gone: &[&str]) {
        for claim in saved.of_chain(marker) {
            let net = value_of(claim, "-s").and_then(|net| net.parse::<IpNet>().ok());
            if let Some(net) = net {
                self.take_unclaimed(saved, net.addr(), gone);
            }
        }
        self.markers.push(marker.to_owned());
    }

    /// One copy of an address's rules, if there are more than others have a claim to.
    fn take_unclaimed(&mut self, saved: &Saved, ip: IpAddr, gone: &[&str]) {
        let net = IpNet::from(ip).to_string();
        let claims = |side: &str| {
            let is_claim = |rule: &&Vec<String>| {
                let of = |chain: &String| {
                    chain.starts_with(MARKER_PREFIX) && !gone.contains(&chain.as_str())
                };
                rule.get(1).is_some_and(of) && value_of(rule, side) == Some(&net)
            };
            saved.rules.iter().filter(is_claim).count()
        };
        // What an older release made has no claim to published ports.
        let (all, published) = (claims("-s"), claims("-d"));
        for left in Left::all(ip) {
            let claims = if left.published { published } else { all };
            let taken = self.rules.iter().filter(|it| it.words == left.words);
            if saved.count(&left.words) > claims + taken.count() {
                self.rules.push(left);
            }
        }
    }

    /// The own chains of the attachments.
    pub(super) fn markers(&self) -> &[String] {
        &self.markers
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.markers.is_empty()
    }

    /// As lines of a larger script.
    pub(super) fn lines(&self) -> String {
        let mut lines = String::new();
        for rule in &self.rules {
            delete(&mut lines, &rule.words);
        }
        for marker in &self.markers {
            let _ = write!(lines, "-F {marker}\n-X {marker}\n");
        }
        lines
    }

    /// Removes it: by their numbers in nf_tables, or where only iptables can see them, by that.
    pub(super) fn run(&self, nftables: &Nftables, family: Family) -> Result<(), SetupError> {
        if self.is_empty() {
            return Ok(());
        }
        if has_legacy_table(family) {
            return super::restore(family, &format!("*{TABLE}\n{}COMMIT\n", self.lines()));
        }
        self.run_by_number(nftables, family, false).map(drop)
    }

    /// Without executing anything. `false`, and with `strict` nothing has changed then, when some of
    /// it is not there.
    pub(super) fn run_by_number(
        &self,
        nftables: &Nftables,
        family: Family,
        strict: bool,
    ) -> Result<bool, SetupError> {
        let table = table(family);
        let mut all = true;
        let remove = nftables.with(|socket| {
            atomically(socket, |socket, batch| {
                let found = self.find(socket, &table)?;
                all = found.len() == self.rules.len();
                if strict && !all {
                    return Ok(());
                }
                for handle in found {
                    batch.delete_rule(&table, PODS, handle);
                }
                for marker in &self.markers {
                    if socket.get_chain(&table, marker)?.is_some() {
                        batch.delete_chain(&table, marker);
                    }
                }
                Ok(())
            })
        });
        remove.map_err(SetupError::kernel(format!(
            "failed to remove the firewall rules of {family} from nf_tables"
        )))?;
        Ok(all)
    }

    /// The numbers of the rules, a copy for each.
    fn find(&self, socket: &Socket, table: &Table<'_>) -> netloom_kernel::Result<Vec<u64>> {
        let mut rules = socket.list_rules(table, PODS)?;
        let found = self.rules.iter().filter_map(|left| {
            let at = rules.iter().position(|rule| left.is(rule))?;
            Some(rules.remove(at).handle)
        });
        Ok(found.collect())
    }
}

impl Left {
    /// Those of one address.
    fn all(ip: IpAddr) -> [Self; 3] {
        rules_of(ip).map(|words| Self {
            sent: value_of(&words, "-s").is_some(),
            published: value_of(&words, "--ctstate") == Some("DNAT"),
            words,
            ip,
        })
    }

    fn is(&self, rule: &RuleInfo) -> bool {
        rule.verdict() == Some(&Verdict::Accept)
            && rule.compares_saddr(self.ip) == self.sent
            && rule.compares_daddr(self.ip) != self.sent
            && rule.is_of_translated() == self.published
    }
}
