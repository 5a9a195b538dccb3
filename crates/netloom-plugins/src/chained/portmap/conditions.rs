//! `conditionsV4` and `conditionsV6`: what a packet must be for its port to be mapped, in the words
//! of the packet filter.
//!
//! iptables gets its words as they are. For nf_tables nothing is executed that could read them, so
//! they are read here: addresses and incoming links, with `!=` and sets.

use super::refusal::refused;
use crate::wiring::masquerade::Backend;
use ipnet::IpNet;
use netloom_kernel::nft::Rule;
use netloom_spec::Error;

/// More alternatives than anybody writes by hand.
const MOST_ALTERNATIVES: usize = 256;

/// The conditions of one IP version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conditions {
    key: &'static str,
    v6: bool,
    tokens: Vec<String>,
}

/// One match of nf_tables.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Match {
    negated: bool,
    values: Vec<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Source(IpNet),
    Destination(IpNet),
    Link(String),
}

impl Conditions {
    /// What the key says. A line break would begin another line of a script.
    pub(super) fn new(key: &'static str, v6: bool, tokens: Vec<String>) -> Result<Self, Error> {
        if let Some(bad) = tokens.iter().find(|token| token.contains(['\n', '\0'])) {
            let message = format!("{bad:?} has a line break or NUL in it");
            return Err(refused(format!("{key}: {message}")));
        }
        // Upstream takes a list that begins with nothing for none.
        let none = tokens.first().is_none_or(String::is_empty);
        let tokens = if none { Vec::new() } else { tokens };
        Ok(Self { key, v6, tokens })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The words, for iptables.
    pub(super) fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// Whose words these are, by the first, as upstream tells them apart.
    pub(super) fn language(&self) -> Option<Backend> {
        let first = self.tokens.first()?;
        Some(if first.starts_with(['-', '!']) {
            Backend::Iptables
        } else {
            Backend::Nftables
        })
    }

    /// One beginning of a rule for each alternative; one that matches everything without conditions.
    pub(super) fn for_nftables(&self) -> Result<Vec<Rule>, Error> {
        let matches = self.read()?;
        let mut rules = vec![Rule::new()];
        for one in matches {
            if one.negated {
                rules = rules.into_iter().map(|rule| one.none_of(rule)).collect();
                continue;
            }
            rules = rules
                .iter()
                .flat_map(|rule| one.values.iter().map(|value| value.is(rule.clone())))
                .collect();
            if rules.len() > MOST_ALTERNATIVES {
                return Err(self.refuse("the sets have too many elements: write networks"));
            }
        }
        Ok(rules)
    }

    fn read(&self) -> Result<Vec<Match>, Error> {
        let text = self.tokens.join(" ");
        let spaced = text
            .replace('{', " { ")
            .replace('}', " } ")
            .replace(',', " , ");
        let mut words = spaced.split_ascii_whitespace().peekable();
        let mut matches = Vec::new();
        while let Some(word) = words.next() {
            let subject = match word {
                "ip" | "ip6" if (word == "ip6") == self.v6 => words.next().unwrap_or_default(),
                "meta" => match words.next() {
                    Some("iifname") => "iifname",
                    _ => "",
                },
                "iifname" => word,
                _ => "",
            };
            if !["saddr", "daddr", "iifname"].contains(&subject) {
                let ip = if self.v6 { "ip6" } else { "ip" };
                return Err(self.refuse(&format!(
                    "cannot read {word:?}: for nftables there may be {ip} saddr, {ip} daddr and \
                     iifname, each with != or a set"
                )));
            }
            let negated = words.next_if_eq(&"!=").is_some();
            if !negated {
                let _ = words.next_if_eq(&"==");
            }
            let mut values = Vec::new();
            if words.next_if_eq(&"{").is_some() {
                loop {
                    match words.next() {
                        Some("}") if !values.is_empty() => break,
                        Some(",") => {}
                        value => values.push(self.value(subject, value.unwrap_or_default())?),
                    }
                }
            } else {
                values.push(self.value(subject, words.next().unwrap_or_default())?);
            }
            matches.push(Match { negated, values });
        }
        Ok(matches)
    }

    fn value(&self, subject: &str, text: &str) -> Result<Value, Error> {
        if subject == "iifname" {
            let name = text.trim_matches('"');
            let plain = |c: char| c.is_ascii_graphic() && !"*{},\"'/\\".contains(c);
            if (1..=15).contains(&name.len()) && name.chars().all(plain) {
                return Ok(Value::Link(name.to_owned()));
            }
            return Err(self.refuse(&format!("{text:?} is not the name of a link")));
        }
        let net = text
            .parse::<IpNet>()
            .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
            .ok()
            .filter(|net| net.addr().is_ipv6() == self.v6);
        let Some(net) = net else {
            let version = if self.v6 { 6 } else { 4 };
            return Err(self.refuse(&format!(
                "{text:?} is not an IPv{version} address or network"
            )));
        };
        Ok(if subject == "saddr" {
            Value::Source(net)
        } else {
            Value::Destination(net)
        })
    }

    fn refuse(&self, why: &str) -> Error {
        refused(format!("{}: {why}", self.key))
    }
}

impl Match {
    /// The rule for packets that have none of the values.
    fn none_of(&self, rule: Rule) -> Rule {
        self.values.iter().fold(rule, |rule, value| match value {
            Value::Source(net) => rule.saddr_not_in(*net),
            Value::Destination(net) => rule.daddr_not_in(*net),
            Value::Link(name) => rule.iifname_ne(name),
        })
    }
}

impl Value {
    fn is(&self, rule: Rule) -> Rule {
        match self {
            Self::Source(net) => rule.saddr_in(*net),
            Self::Destination(net) => rule.daddr_in(*net),
            Self::Link(name) => rule.iifname_eq(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(v6: bool, text: &str) -> Conditions {
        let tokens = text.split(' ').map(str::to_owned).collect();
        Conditions::new("conditionsV4", v6, tokens).unwrap()
    }

    #[test]
    fn matches_follow_each_other_and_sets_become_alternatives() {
        let rules = |v6, text| conditions(v6, text).for_nftables().unwrap();
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        assert_eq!(
            rules(false, "ip saddr { 10.0.0.0/8, 192.0.2.7 } iifname != lo"),
            [
                Rule::new().saddr_in(net("10.0.0.0/8")).iifname_ne("lo"),
                Rule::new().saddr_in(net("192.0.2.7/32")).iifname_ne("lo"),
            ]
        );
        assert_eq!(
            rules(true, "ip6 daddr != {2001:db8::/32,fd00::/8}"),
            [Rule::new()
                .daddr_not_in(net("2001:db8::/32"))
                .daddr_not_in(net("fd00::/8"))]
        );
        assert_eq!(
            rules(false, "meta iifname \"eth0\""),
            [Rule::new().iifname_eq("eth0")]
        );
        assert_eq!(rules(false, ""), [Rule::new()]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, words) in [
            ("ip6 saddr ::1", "cannot read \"ip6\""),
            ("ip saddr ::1", "\"::1\" is not an IPv4"),
            ("tcp dport 80", "cannot read \"tcp\""),
            ("ip saddr", "\"\" is not an IPv4"),
            ("ip saddr { 10.0.0.1", "\"\" is not an IPv4"),
            ("iifname eth*", "\"eth*\" is not the name"),
        ] {
            let error = conditions(false, text).for_nftables().unwrap_err();
            assert!(
                error.msg.contains(words) && error.msg.contains("conditionsV4"),
                "{error}"
            );
        }
    }
}
