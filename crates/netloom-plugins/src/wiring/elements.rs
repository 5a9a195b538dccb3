//! Sets of pod addresses in nf_tables. An element belongs to the attachment that its comment
//! names, so that an address which went on to another pod is not taken from it.

use super::claims::{Place, Stack, withdraw};
use super::owner::{Owner, named_by, network_hash, prefix_of_instance};
use super::transaction::atomically;
use netloom_kernel::Result;
use netloom_kernel::nft::{Batch, Key, RuleInfo, Socket, Table};
use netloom_spec::Attachment;

/// Adds elements. Usually that is all that an ADD lacks, and one small transaction. Where something
/// else is missing, or an element of the same key is there, nothing has changed, and `complete` adds
/// whatever is missing.
pub(crate) fn create(
    socket: &Socket,
    add: impl FnOnce(&mut Batch<'_>),
    complete: impl FnMut(&Socket, &mut Batch<'_>) -> Result<()>,
) -> Result<()> {
    let mut batch = socket.batch();
    add(&mut batch);
    match batch.commit() {
        // In a map, the element may have another value.
        Err(error) if error.is_absent() || error.is_exists() || error.is_busy() => {
            atomically(socket, complete)
        }
        outcome => outcome,
    }
}

/// Where an attachment has its elements: sets of one table, and keys in them.
pub(crate) struct Elements<'e> {
    pub(crate) table: &'e Table<'e>,
    pub(crate) owner: Owner<'e>,
    /// Each with its set.
    pub(crate) keys: Vec<(String, Key)>,
}

/// The sets in which an attachment may have elements that its keys do not lead to.
pub(crate) struct Sets {
    /// Those of its network.
    pub(crate) own: Vec<String>,
    /// Those of other networks, as its own may have been called otherwise at ADD, each with the keys
    /// that would be in it; no keys if none are known.
    pub(crate) others: Vec<(String, Vec<Key>)>,
}

impl Elements<'_> {
    fn place<'p>(&'p self, set: &'p str, key: &'p Key) -> Place<'p> {
        let table = self.table;
        Place { table, set, key }
    }

    /// Removes the elements by their keys; where those do not lead to all, by looking through `sets`.
    /// Returns whether the keys led to all.
    pub(crate) fn remove(
        &self,
        socket: &Socket,
        batch: &mut Batch<'_>,
        sets: impl FnOnce() -> Result<Sets>,
    ) -> Result<bool> {
        let found = self.remove_known(socket, batch)?;
        let is_all = found > 0 && found == self.keys.len();
        if !is_all {
            self.remove_others(socket, batch, sets()?)?;
        }
        Ok(is_all)
    }

    /// Returns how many there were.
    fn remove_known(&self, socket: &Socket, batch: &mut Batch<'_>) -> Result<usize> {
        let prefix = self.owner.nft_prefix();
        let is_own = |comment: &str| comment.starts_with(&prefix);
        let mut found = 0;
        for (set, key) in &self.keys {
            let stack = self.place(set, key).read(socket)?;
            if stack.claim(is_own).is_some() {
                found += 1;
                self.place(set, key).leave(batch, &stack, is_own);
            }
        }
        Ok(found)
    }

    fn remove_others(&self, socket: &Socket, batch: &mut Batch<'_>, sets: Sets) -> Result<()> {
        let (prefix, instance) = (self.owner.nft_prefix(), self.owner.nft_instance());
        for set in &sets.own {
            // What was found by its key is on the way out already.
            let is_known = |bytes: &[u8]| {
                let mut keys = self.keys.iter();
                keys.any(|(other, key)| other == set && key.bytes() == bytes)
            };
            let is_own = |key: &[u8], comment: &str| comment.starts_with(&prefix) && !is_known(key);
            withdraw(socket, batch, self.table, set, is_own)?;
        }
        if !batch.is_empty() {
            return Ok(());
        }
        let is_own = |comment: &str| prefix_of_instance(comment, &instance).is_some();
        for (set, keys) in &sets.others {
            if self.keys.is_empty() {
                let is_own = |_: &[u8], comment: &str| is_own(comment);
                withdraw(socket, batch, self.table, set, is_own)?;
            }
            for key in keys {
                let stack = self.place(set, key).read(socket)?;
                self.place(set, key).leave(batch, &stack, is_own);
            }
        }
        Ok(())
    }

    /// How the attachment's claim on a key stands.
    pub(crate) fn look(&self, socket: &Socket, set: &str, key: &Key) -> Result<Standing> {
        let stack = self.place(set, key).read(socket)?;
        Ok(Standing::of(&stack, &self.owner.nft_prefix()))
    }
}

/// How an attachment's claim on a key stands.
pub(crate) enum Standing {
    /// It is in force.
    InForce,
    /// Another one is, in words.
    Shadowed(String),
    /// There is none on the key.
    Absent,
}

impl Standing {
    fn of(stack: &Stack, prefix: &str) -> Self {
        let newest = stack.newest().and_then(|claim| claim.comment.as_deref());
        match newest {
            Some(comment) if comment.starts_with(prefix) => Self::InForce,
            Some(comment) => Self::Shadowed(named_by(comment)),
            None => Self::Absent,
        }
    }
}

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
