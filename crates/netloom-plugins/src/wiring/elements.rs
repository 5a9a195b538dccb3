//! Sets of pod addresses in nf_tables. An element belongs to the attachment that its comment
//! names, so that an address which went on to another pod is not taken from it.

use super::owner::{Owner, network_hash};
use netloom_kernel::nft::{Batch, RuleInfo, Table};
use netloom_spec::Attachment;

/// True when a comment starts with the hash or hashes that tell owners apart.
pub(crate) fn has_prefix(comment: Option<&str>, prefix: &str) -> bool {
    comment.is_some_and(|comment| comment.starts_with(prefix))
}

/// The rules that look into a set: they have its name as their comment.
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

/// Deletes the rules whose comment is stale.
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
