//! Sets of pod addresses in nf_tables. An element belongs to the attachment that its comment
//! names, so that an address which went on to another pod is not taken from it.

use super::owner::{Owner, network_hash};
use netloom_kernel::Result;
use netloom_kernel::nft::{Batch, Element, ElementInfo, Key, RuleInfo, Socket, Table};
use netloom_spec::Attachment;

/// True when a comment starts with the hash or hashes that tell owners apart.
pub(crate) fn has_prefix(comment: Option<&str>, prefix: &str) -> bool {
    comment.is_some_and(|comment| comment.starts_with(prefix))
}

/// The rules that have a set's name as their comment, which are those that look into it.
pub(crate) fn rules_of<'r>(
    rules: &'r [RuleInfo],
    set: &'r str,
) -> impl Iterator<Item = &'r RuleInfo> {
    rules
        .iter()
        .filter(move |rule| rule.comment.as_deref() == Some(set))
}

/// Whether a comment names an attachment of the network that is not valid any more.
pub(crate) fn staleness(network: &str, valid: &[Attachment]) -> impl Fn(&str) -> bool {
    let own = format!("{}-", network_hash(network));
    let valid: Vec<String> = valid
        .iter()
        .map(|attachment| Owner::of(network, attachment).nft_prefix())
        .collect();
    move |comment| {
        comment.starts_with(&own) && !valid.iter().any(|valid| comment.starts_with(valid))
    }
}

/// Deletes the elements of a set whose comment says so; returns how many others there are.
pub(crate) fn delete_elements(
    socket: &Socket,
    batch: &mut Batch<'_>,
    table: &Table<'_>,
    set: &str,
    is_stale: impl Fn(&str) -> bool,
) -> Result<usize> {
    let found = socket.list_elements(table, set)?;
    let stale: Vec<Element> = found
        .iter()
        .filter(|element| element.comment.as_deref().is_some_and(&is_stale))
        .filter_map(|element| key_of(element).map(Element::new))
        .collect();
    batch.delete_elements(table, set, &stale);
    Ok(found.len() - stale.len())
}

/// Deletes the rules whose comment says so.
pub(crate) fn delete_rules(
    batch: &mut Batch<'_>,
    table: &Table<'_>,
    chain: &str,
    rules: &[RuleInfo],
    is_stale: impl Fn(&str) -> bool,
) {
    for rule in rules {
        if rule.comment.as_deref().is_some_and(&is_stale) {
            batch.delete_rule(table, chain, rule.handle);
        }
    }
}

/// The key of an element that was read, to delete it by.
fn key_of(found: &ElementInfo) -> Option<Key> {
    let ip = match found.key.len() {
        4 => <[u8; 4]>::try_from(found.key.as_slice()).ok()?.into(),
        16 => <[u8; 16]>::try_from(found.key.as_slice()).ok()?.into(),
        _ => return None,
    };
    Some(Key::new().ip(ip))
}
