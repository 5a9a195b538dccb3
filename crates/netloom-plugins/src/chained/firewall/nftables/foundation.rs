//! What all pods of a host share: the table, its base chains, and their rules.

use super::super::plan::Bridge;
use super::foreign::MARK;
use super::table::TABLE;
use super::wires;
use crate::wiring::owner::network_hash;
use netloom_kernel::Result;
use netloom_kernel::nft::{
    Batch, Chain, Element, ElementInfo, Field, Hook, Key, KeyType, Rule, RuleInfo, Set, Socket,
    priority,
};

const FORWARD: &str = "forward";
/// The administrators' chains, each jumped to from here.
const OVERRIDES: &str = "overrides";
/// The rules of the networks.
pub(super) const PODS: &str = "pods";
/// Where packets go that may pass.
pub(super) const PASS: &str = "pass";
const UNMARK: &str = "unmark";
/// Before those who may drop.
const BEFORE: i32 = priority::FILTER - 10;
/// Behind all of them.
const AFTER: i32 = 1000;

/// Bridges with a policy; pairs of each with itself; and of those whose pods are isolated.
pub(super) const BRIDGES: &str = "bridges";
const WITHIN: &str = "within";
const ISOLATED: &str = "isolated";
const PAIR: [Field; 2] = [Field::Iifname, Field::Oifname];

/// The rules of the base chains, each named by its comment.
fn rules() -> [(&'static str, &'static str, Rule); 9] {
    let [wires4, wires6] = wires::rules();
    let apart = Rule::new()
        .in_set(&[Field::Iifname], BRIDGES)
        .in_set(&[Field::Oifname], BRIDGES)
        .not_in_set(&PAIR, WITHIN);
    [
        (
            FORWARD,
            "pods of one isolated bridge",
            Rule::new().in_set(&PAIR, ISOLATED).drop(),
        ),
        (FORWARD, "pods of two bridges with a policy", apart.drop()),
        (
            FORWARD,
            "administrators come first",
            Rule::new().jump(OVERRIDES),
        ),
        (FORWARD, wires4.0, wires4.1),
        (FORWARD, wires6.0, wires6.1),
        (FORWARD, "traffic of pods", Rule::new().jump(PODS)),
        (
            PASS,
            "tell other chains",
            Rule::new().mark_eq(0).mark_set(MARK),
        ),
        (PASS, "traffic of pods", Rule::new().accept()),
        (
            UNMARK,
            "nobody else's business",
            Rule::new().mark_eq(MARK).mark_set(0),
        ),
    ]
}

/// The first rule of the base chains that is not there, by chain and comment; of those that commit
/// 17b6fbc made already, if `former`.
pub(super) fn missing(
    socket: &Socket,
    former: bool,
) -> Result<Option<(&'static str, &'static str)>> {
    let newer = wires::rules().map(|(comment, _)| comment);
    let mut read: Vec<(&str, Vec<RuleInfo>)> = Vec::with_capacity(3);
    for (chain, comment, _) in rules() {
        if former && newer.contains(&comment) {
            continue;
        }
        if read.last().is_none_or(|(of, _)| *of != chain) {
            read.push((chain, socket.list_rules(&TABLE, chain)?));
        }
        let there = read.last().is_some_and(|(_, rules)| {
            rules
                .iter()
                .any(|rule| rule.comment.as_deref() == Some(comment))
        });
        if !there {
            return Ok(Some((chain, comment)));
        }
    }
    Ok(None)
}

/// Makes all of it, around what is there.
pub(super) fn lay(batch: &mut Batch<'_>) {
    let base = |name, order| Chain::new(name).filter(Hook::Forward, order);
    batch.ensure_table(&TABLE);
    for chain in [OVERRIDES, PODS, PASS] {
        batch.ensure_chain(&TABLE, &Chain::new(chain));
    }
    batch
        .ensure_chain(&TABLE, &base(FORWARD, BEFORE))
        .ensure_chain(&TABLE, &base(UNMARK, AFTER));
    let link = [KeyType::Ifname; 2];
    for set in [
        Set::new(BRIDGES, &link[..1]),
        Set::new(WITHIN, &link),
        Set::new(ISOLATED, &link),
    ] {
        batch.ensure_set(&TABLE, &set);
    }
    wires::ensure(batch);
    for chain in [FORWARD, PASS, UNMARK] {
        batch.flush_chain(&TABLE, chain);
    }
    for (chain, comment, rule) in rules() {
        batch.add_rule(&TABLE, chain, &rule.comment(comment));
    }
}

/// Whether an administrators' chain is jumped to.
pub(super) fn has_override(socket: &Socket, chain: &str) -> Result<bool> {
    let rules = socket.list_rules(&TABLE, OVERRIDES)?;
    Ok(rules
        .iter()
        .any(|rule| rule.comment.as_deref() == Some(chain)))
}

/// Makes an administrators' chain and the jump to it.
pub(super) fn add_override(batch: &mut Batch<'_>, chain: &str) {
    let comment = "CNI firewall plugin admin overrides";
    batch
        .ensure_chain(&TABLE, &Chain::new(chain).comment(comment))
        .add_rule(&TABLE, OVERRIDES, &Rule::new().jump(chain).comment(chain));
}

/// The elements by which a bridge is kept apart, and the sets they are in.
pub(super) fn apart(bridge: &Bridge, network: &str) -> Vec<(&'static str, Element)> {
    let name = || Key::new().link(&bridge.name);
    let pair = || name().link(&bridge.name);
    let mut elements = vec![(BRIDGES, name()), (WITHIN, pair())];
    if bridge.isolated {
        elements.push((ISOLATED, pair()));
    }
    let comment = comment(network);
    let with_comment = |(set, key)| (set, Element::new(key).comment(comment.as_str()));
    elements.into_iter().map(with_comment).collect()
}

/// The keys of the same, to look them up.
pub(super) fn apart_keys(bridge: &Bridge) -> Vec<(&'static str, Key)> {
    let name = || Key::new().link(&bridge.name);
    let pair = || name().link(&bridge.name);
    let mut keys = vec![(BRIDGES, name()), (WITHIN, pair())];
    if bridge.isolated {
        keys.push((ISOLATED, pair()));
    }
    keys
}

/// What a bridge's elements say: the network that gave it its policy first.
fn comment(network: &str) -> String {
    format!("{}, net: {network}", network_hash(network))
}

/// The bridges to which this network gave a policy.
pub(super) fn bridges_of(socket: &Socket, network: &str) -> Result<Vec<String>> {
    let own = comment(network);
    let found = socket.list_elements(&TABLE, BRIDGES)?;
    let is_own = |element: &ElementInfo| element.comment.as_deref() == Some(&own);
    Ok(found
        .into_iter()
        .filter(is_own)
        .map(|element| link_name(&element.key))
        .collect())
}

/// Forgets a bridge that is gone.
pub(super) fn forget(socket: &Socket, batch: &mut Batch<'_>, name: &str) -> Result<()> {
    let bridge = Bridge {
        name: name.to_owned(),
        isolated: true,
    };
    for (set, key) in apart_keys(&bridge) {
        if socket.get_element(&TABLE, set, &key)?.is_some() {
            batch.delete_elements(&TABLE, set, &[Element::new(key)]);
        }
    }
    Ok(())
}

fn link_name(key: &[u8]) -> String {
    let end = key.iter().position(|byte| *byte == 0).unwrap_or(key.len());
    String::from_utf8_lossy(&key[..end]).into_owned()
}
