//! The iptables masquerade as text: what is fed to `iptables-restore --noflush`, and
//! what is read from `iptables-save`. Chain, comments and rules are those of the Go
//! reference plugins.

use super::super::iptables::{Saved, append, delete, value_of};
use super::super::owner::Owner;
use ipnet::IpNet;
use netloom_kernel::nft::RuleInfo;
use netloom_plugin::host::{Claimant, ClaimedAddress};
use netloom_spec::Attachment;
use std::fmt::Write as _;
use std::net::IpAddr;

/// The chain of all jumps.
pub(super) const HOOK: &str = "POSTROUTING";

/// One family's masquerade of one owner.
#[derive(Debug, Clone)]
pub(super) struct Script {
    chain: String,
    comment: String,
    v6: bool,
    nets: Vec<IpNet>,
}

impl Script {
    /// `nets` are the container's addresses with their prefixes; those of the other
    /// family are left out.
    pub(super) fn new(owner: Owner<'_>, v6: bool, nets: &[IpNet]) -> Self {
        let nets = nets
            .iter()
            .copied()
            .filter(|net| net.addr().is_ipv6() == v6)
            .collect();
        Self {
            chain: owner.iptables_chain(),
            comment: owner.iptables_comment(),
            v6,
            nets,
        }
    }

    /// The owner's chain in table `nat`.
    pub(super) fn chain(&self) -> &str {
        &self.chain
    }

    /// True when no address of this family is known.
    pub(super) fn is_empty(&self) -> bool {
        self.nets.is_empty()
    }

    /// Makes everything; the chain does not exist yet.
    pub(super) fn create(&self) -> String {
        let mut script = format!("*nat\n:{} - [0:0]\n", self.chain);
        for rule in self.rules() {
            append(&mut script, &rule);
        }
        script.push_str("COMMIT\n");
        script
    }

    /// Makes what is missing from `saved`; `None` when nothing is.
    pub(super) fn complete(&self, saved: &str) -> Option<String> {
        let saved = Saved::parse(saved, "nat");
        let missing: Vec<_> = self
            .rules()
            .into_iter()
            .filter(|rule| !saved.has(rule))
            .collect();
        if missing.is_empty() {
            return None;
        }
        let mut script = String::from("*nat\n");
        if !saved.declares(&self.chain) {
            let _ = writeln!(script, ":{} - [0:0]", self.chain);
        }
        // An exemption appended after the masquerade rule would come too late.
        let masquerade = self.masquerade_rule();
        let behind = saved.has(&masquerade) && missing.iter().any(|rule| rule[1] == self.chain);
        if behind {
            delete(&mut script, &masquerade);
        }
        for rule in missing.iter().filter(|rule| rule[1] == self.chain) {
            append(&mut script, rule);
        }
        if behind {
            append(&mut script, &masquerade);
        }
        for rule in missing.iter().filter(|rule| rule[1] != self.chain) {
            append(&mut script, rule);
        }
        script.push_str("COMMIT\n");
        Some(script)
    }

    /// Removes everything, provided that all of it and nothing else is there.
    pub(super) fn remove(&self) -> String {
        let mut script = String::from("*nat\n");
        for net in &self.nets {
            delete(&mut script, &self.jump_rule(net.addr()));
        }
        let _ = write!(script, "-F {0}\n-X {0}\nCOMMIT\n", self.chain);
        script
    }

    /// Removes what is really there; `None` when nothing is. Jumps from other addresses stay, and
    /// with them the chain: it is shared by the attachments of one container to one network.
    /// Unless the addresses are `certain`, all jumps go when none of them is from these.
    pub(super) fn sweep(&self, saved: &str, certain: bool) -> Option<String> {
        let saved = Saved::parse(saved, "nat");
        let (mut gone, mut kept): (Vec<_>, Vec<_>) =
            jumps_to(&saved, &self.chain).partition(|jump| self.owns(jump));
        if gone.is_empty() && !certain {
            std::mem::swap(&mut gone, &mut kept);
        }
        if gone.is_empty() && !saved.declares(&self.chain) {
            return None;
        }
        let mut script = String::from("*nat\n");
        for jump in &gone {
            delete(&mut script, jump);
        }
        if kept.is_empty() && saved.declares(&self.chain) {
            let _ = write!(script, "-F {0}\n-X {0}\n", self.chain);
        } else if gone.is_empty() {
            return None;
        }
        script.push_str("COMMIT\n");
        Some(script)
    }

    /// The first rule that `saved` lacks, in iptables' words.
    pub(super) fn missing_from(&self, saved: &str) -> Option<String> {
        let saved = Saved::parse(saved, "nat");
        self.rules()
            .iter()
            .find(|rule| !saved.has(rule))
            .map(|rule| rule.join(" "))
    }

    /// Exemptions, masquerade, jumps: as `iptables-save` prints them.
    fn rules(&self) -> Vec<Vec<String>> {
        let mut rules: Vec<Vec<String>> = Vec::new();
        for net in &self.nets {
            let exempt = self.rule(
                &["-A", &self.chain, "-d", &net.trunc().to_string()],
                "ACCEPT",
            );
            if !rules.contains(&exempt) {
                rules.push(exempt);
            }
        }
        rules.push(self.masquerade_rule());
        rules.extend(self.nets.iter().map(|net| self.jump_rule(net.addr())));
        rules
    }

    fn masquerade_rule(&self) -> Vec<String> {
        let multicast = if self.v6 { "ff00::/8" } else { "224.0.0.0/4" };
        self.rule(&["-A", &self.chain, "!", "-d", multicast], "MASQUERADE")
    }

    fn jump_rule(&self, ip: IpAddr) -> Vec<String> {
        self.rule(
            &["-A", HOOK, "-s", &IpNet::from(ip).to_string()],
            &self.chain,
        )
    }

    fn rule(&self, head: &[&str], target: &str) -> Vec<String> {
        let tail = ["-m", "comment", "--comment", &self.comment, "-j", target];
        head.iter()
            .chain(&tail)
            .map(|word| (*word).to_owned())
            .collect()
    }

    /// True for a jump from one of the owner's addresses, in today's form (the bare
    /// address) or in the old one (address and prefix, which iptables masks).
    fn owns(&self, jump: &[String]) -> bool {
        let source = value_of(jump, "-s").and_then(|source| source.parse::<IpNet>().ok());
        let Some(source) = source else {
            return false;
        };
        self.nets
            .iter()
            .any(|net| source == IpNet::from(net.addr()) || source == net.trunc())
    }

    /// The same of a jump in nf_tables, in today's form alone.
    pub(super) fn owns_stored(&self, jump: &RuleInfo) -> bool {
        self.nets.iter().any(|net| jump.compares_saddr(net.addr()))
    }

    /// Whether a jump says that it is the owner's: two owners can have a chain of one name.
    pub(super) fn is_named_by(&self, jump: &RuleInfo) -> bool {
        jump.iptables_comment()
            .is_none_or(|comment| comment == self.comment)
    }
}

/// Removes the masquerade of every container of the network that has no valid attachment;
/// `None` when there is none. Who owns a chain is read from the comments of its jumps.
pub(super) fn stale(text: &str, network: &str, valid: &[Attachment]) -> Option<String> {
    let saved = Saved::parse(text, "nat");
    let mut script = String::from("*nat\n");
    let mut done: Vec<String> = Vec::new();
    for jump in saved.of_chain(HOOK) {
        let Some(container_id) = container_of(jump, network) else {
            continue;
        };
        let owner = Owner {
            network,
            container_id,
            if_name: "",
        };
        let chain = owner.iptables_chain();
        let kept = valid
            .iter()
            .any(|attachment| attachment.container_id == container_id);
        if kept || !jump.contains(&chain) {
            continue;
        }
        delete(&mut script, jump);
        if saved.declares(&chain) && !done.contains(&chain) {
            done.push(chain);
        }
    }
    for chain in &done {
        let _ = write!(script, "-F {chain}\n-X {chain}\n");
    }
    script.push_str("COMMIT\n");
    (script.contains("-D")).then_some(script)
}

/// The network's containers that jumps lead to the chains of, each with its address.
pub(super) fn claims_in(text: &str, network: &str) -> Vec<ClaimedAddress> {
    let saved = Saved::parse(text, "nat");
    let claim = |jump: &[String]| {
        let container = container_of(jump, network)?.to_owned();
        let source: IpNet = value_of(jump, "-s")?.parse().ok()?;
        Some(ClaimedAddress {
            claimant: Claimant::Container(container),
            address: source.addr(),
        })
    };
    saved.of_chain(HOOK).filter_map(claim).collect()
}

/// The container id in the comment of a rule of this network's masquerade.
fn container_of<'a>(rule: &'a [String], network: &str) -> Option<&'a str> {
    let rest = value_of(rule, "--comment")?
        .strip_prefix("name: \"")?
        .strip_prefix(network)?;
    rest.strip_prefix("\" id: \"")?.strip_suffix('"')
}

/// The jumps from the hook to a chain.
fn jumps_to<'s>(saved: &'s Saved, chain: &'s str) -> impl Iterator<Item = &'s [String]> {
    saved
        .of_chain(HOOK)
        .filter(move |rule| rule.windows(2).any(|w| w == ["-j", chain]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner<'_> = Owner {
        network: "net",
        container_id: "c1",
        if_name: "eth0",
    };

    fn script(nets: &[&str]) -> Script {
        let nets: Vec<IpNet> = nets.iter().map(|net| net.parse().unwrap()).collect();
        Script::new(OWNER, false, &nets)
    }

    fn saved(script: &Script) -> String {
        let chain = script.chain();
        let comment = r#"-m comment --comment "name: \"net\" id: \"c1\"""#;
        format!(
            "*filter\n:{chain} - [0:0]\nCOMMIT\n*nat\n:POSTROUTING ACCEPT [1:2]\n:{chain} - [0:0]\n\
             -A POSTROUTING -s 10.1.0.5/32 {comment} -j {chain}\n\
             -A {chain} -d 10.1.0.0/16 {comment} -j ACCEPT\n\
             -A {chain} ! -d 224.0.0.0/4 {comment} -j MASQUERADE\nCOMMIT\n"
        )
    }

    #[test]
    fn creation_declares_the_chain_and_writes_three_rules() {
        let script = script(&["10.1.0.5/16", "fd00::5/64"]);
        let (chain, comment) = (
            script.chain(),
            r#"-m comment --comment "name: \"net\" id: \"c1\"""#,
        );
        assert_eq!(
            script.create(),
            format!(
                "*nat\n:{chain} - [0:0]\n-A {chain} -d 10.1.0.0/16 {comment} -j ACCEPT\n\
                 -A {chain} ! -d 224.0.0.0/4 {comment} -j MASQUERADE\n\
                 -A POSTROUTING -s 10.1.0.5/32 {comment} -j {chain}\nCOMMIT\n"
            )
        );
    }

    #[test]
    fn two_addresses_of_one_subnet_share_the_exemption() {
        let text = script(&["10.1.0.5/16", "10.1.0.6/16"]).create();
        assert_eq!(text.matches("-j ACCEPT").count(), 1);
        assert_eq!(text.matches("-A POSTROUTING").count(), 2);
    }

    #[test]
    fn nothing_is_completed_when_all_is_there() {
        let script = script(&["10.1.0.5/16"]);
        assert_eq!(script.complete(&saved(&script)), None);
        assert_eq!(script.missing_from(&saved(&script)), None);
    }

    #[test]
    fn an_exemption_that_is_missing_goes_before_the_masquerade_rule() {
        let script = script(&["10.1.0.5/16", "10.9.0.5/16"]);
        let text = script.complete(&saved(&script)).unwrap();
        let (delete, exempt, masquerade) = (
            text.find("-D CNI").unwrap(),
            text.find("-d 10.9.0.0/16").unwrap(),
            text.rfind("MASQUERADE").unwrap(),
        );
        assert!(delete < exempt && exempt < masquerade, "{text}");
        assert!(
            !text.contains(":CNI"),
            "declaring the chain would flush it: {text}"
        );
        assert!(
            script
                .missing_from(&saved(&script))
                .unwrap()
                .contains("10.9.0.0/16")
        );
    }

    #[test]
    fn removal_names_the_jump_and_the_chain() {
        let script = script(&["10.1.0.5/16"]);
        let text = script.remove();
        let chain = script.chain();
        assert!(
            text.contains("-D POSTROUTING -s 10.1.0.5/32 -m comment"),
            "{text}"
        );
        assert!(
            text.ends_with(&format!("-F {chain}\n-X {chain}\nCOMMIT\n")),
            "{text}"
        );
    }

    #[test]
    fn a_sweep_keeps_the_chain_while_another_attachment_jumps_to_it() {
        let script = script(&["10.1.0.6/16"]);
        assert_eq!(script.sweep(&saved(&script), true), None);
        let both = saved(&script).replace(
            "-A POSTROUTING",
            &format!(
                "-A POSTROUTING -s 10.1.0.6/32 -j {}\n-A POSTROUTING",
                script.chain()
            ),
        );
        let text = script.sweep(&both, true).unwrap();
        assert!(text.contains("-D POSTROUTING -s 10.1.0.6/32"), "{text}");
        assert!(!text.contains("-X") && !text.contains("10.1.0.5"), "{text}");
    }

    #[test]
    fn a_sweep_without_addresses_removes_every_jump_and_the_chain() {
        let script = script(&[]);
        let text = script.sweep(&saved(&script), false).unwrap();
        assert!(text.contains("-D POSTROUTING -s 10.1.0.5/32"), "{text}");
        assert!(text.contains("-X CNI-"), "{text}");
        assert_eq!(
            script.sweep("*nat\n:POSTROUTING ACCEPT [0:0]\nCOMMIT\n", false),
            None
        );
    }

    #[test]
    fn only_containers_of_the_network_without_a_valid_attachment_are_stale() {
        let script = script(&["10.1.0.5/16"]);
        let text = saved(&script);
        let valid = |id: &str| {
            [Attachment {
                container_id: id.into(),
                if_name: "eth0".into(),
            }]
        };
        assert_eq!(stale(&text, "net", &valid("c1")), None);
        assert_eq!(stale(&text, "ne", &[]), None);
        assert_eq!(stale(&text, "other", &[]), None);
        let removal = stale(&text, "net", &valid("c2")).unwrap();
        assert!(
            removal.contains("-D POSTROUTING -s 10.1.0.5/32"),
            "{removal}"
        );
        assert!(
            removal.ends_with(&format!("-X {}\nCOMMIT\n", script.chain())),
            "{removal}"
        );
    }
}
