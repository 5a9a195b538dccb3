//! The chains and rules of iptables, in the words of `iptables-save`: those that all pods share, and
//! those of one address.

use crate::wiring::iptables::Saved;
use ipnet::IpNet;
use std::net::IpAddr;

pub(super) const TABLE: &str = "filter";
pub(super) const FORWARD: &str = "FORWARD";
/// The chain of all pods' rules.
pub(super) const PODS: &str = "CNI-FORWARD";
pub(super) const STAGE_1: &str = "CNI-ISOLATION-STAGE-1";
pub(super) const STAGE_2: &str = "CNI-ISOLATION-STAGE-2";
pub(super) const COMMENT: &str = "CNI firewall plugin rules";
pub(super) const ADMIN_COMMENT: &str = "CNI firewall plugin admin overrides";
pub(super) const APART_COMMENT: &str =
    "CNI firewall plugin rules (ingressPolicy: same-bridge|isolated)";
pub(super) const SAME_BRIDGE_COMMENT: &str =
    "CNI firewall plugin rules (ingressPolicy: same-bridge)";
pub(super) const ISOLATED_COMMENT: &str = "CNI firewall plugin rules (ingressPolicy: isolated)";
/// How the name of an attachment's own chain begins.
pub(super) const MARKER_PREFIX: &str = "CNI-FW-";

/// Where a rule sends packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Chain(String),
    Drop,
    Return,
}

impl Target {
    pub(super) fn word(&self) -> &str {
        match self {
            Self::Chain(name) => name,
            Self::Drop => "DROP",
            Self::Return => "RETURN",
        }
    }
}

/// A rule that all pods share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shared {
    pub(super) chain: &'static str,
    /// The link that packets come in by.
    pub(super) from: Option<String>,
    /// The link that they leave by; or, with false, any other.
    pub(super) to: Option<(bool, String)>,
    pub(super) target: Target,
    pub(super) comment: &'static str,
    /// It goes to the head of its chain, or else to the end.
    pub(super) first: bool,
}

impl Shared {
    pub(super) fn jump(chain: &'static str, to: &str, comment: &'static str) -> Self {
        Self {
            chain,
            from: None,
            to: None,
            target: Target::Chain(to.to_owned()),
            comment,
            first: true,
        }
    }

    pub(super) fn return_(chain: &'static str) -> Self {
        Self {
            target: Target::Return,
            first: false,
            ..Self::jump(chain, "", APART_COMMENT)
        }
    }

    /// True in the chain that has the rules of all pods.
    pub(super) fn is_in_long_chain(&self) -> bool {
        self.chain == PODS
    }

    pub(super) fn words(&self) -> Vec<String> {
        let mut rule = vec!["-A".to_owned(), self.chain.to_owned()];
        let mut say = |words: &[&str]| rule.extend(words.iter().map(|word| (*word).to_owned()));
        if let Some(name) = &self.from {
            say(&["-i", name]);
        }
        match &self.to {
            Some((true, name)) => say(&["-o", name]),
            Some((false, name)) => say(&["!", "-o", name]),
            None => {}
        }
        say(&[
            "-m",
            "comment",
            "--comment",
            self.comment,
            "-j",
            self.target.word(),
        ]);
        rule
    }

    /// True if it is there, whatever its comment: older releases of the Go plugin have others.
    pub(super) fn is_in(&self, saved: &Saved) -> bool {
        let words = self.words();
        let wanted = without_comment(&words);
        saved
            .of_chain(self.chain)
            .any(|rule| without_comment(rule) == wanted)
    }
}

fn without_comment(rule: &[String]) -> Vec<&str> {
    let words: Vec<&str> = rule.iter().map(String::as_str).collect();
    match words
        .windows(3)
        .position(|w| w[..] == ["-m", "comment", "--comment"])
    {
        Some(at) => [&words[..at], words.get(at + 4..).unwrap_or_default()].concat(),
        None => words,
    }
}

/// What lets the traffic of an address pass: answers to it, what it sends, and connections to it
/// that somebody of this host translated, as portmap does for a published port.
pub(super) fn rules_of(ip: IpAddr) -> [Vec<String>; 3] {
    let net = IpNet::from(ip).to_string();
    let rule = |side: &str, states: Option<&str>| {
        let mut words = vec!["-A", PODS, side, &net];
        if let Some(states) = states {
            words.extend(["-m", "conntrack", "--ctstate", states]);
        }
        words.extend(["-j", "ACCEPT"]);
        words.into_iter().map(str::to_owned).collect()
    };
    [
        rule("-d", Some("RELATED,ESTABLISHED")),
        rule("-s", None),
        rule("-d", Some("DNAT")),
    ]
}
