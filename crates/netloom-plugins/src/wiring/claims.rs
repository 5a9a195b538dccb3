//! Claims on one key of a set or map in nf_tables, such as a port: the newest is in force, and when
//! it goes the next one is again.
//!
//! ```text
//! map ports         { tcp . 8080     : 10.1.0.6 . 80 comment "b over others, …" }
//! map waiting-ports { tcp . 8080 . 0 : 10.1.0.5 . 80 comment "a, …", … }          # 0 is the oldest
//! ```
//!
//! The element itself is the newest claim. The older claims wait in a second set, under the same key and
//! a number; the numbers have no gaps. The comment of an element says if others wait below it. So an
//! attachment without rivals never looks there, and one with rivals looks at this one key. Each change
//! is one transaction, so no state in between is ever seen.

use super::claimant::{address, of_comment};
use super::owner::{network_hash, with_note};
use netloom_kernel::Result;
use netloom_kernel::nft::{Batch, Element, ElementInfo, Key, KeyType, Set, Socket, Table};
use netloom_plugin::host::ClaimedAddress;
use std::collections::BTreeMap;

/// In the comment of an element that has others below.
const NOTE: &str = " over others";

/// The name of the set in which the older claims on keys of a set wait.
pub(crate) fn waiting(set: &str) -> String {
    format!("waiting-{set}")
}

/// The types of a set's keys and values; no value type for a set that is no map.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape<'s> {
    pub(crate) key: &'s [KeyType],
    pub(crate) value: &'s [KeyType],
}

impl Shape<'_> {
    fn ensure_waiting(&self, batch: &mut Batch<'_>, table: &Table<'_>, set: &str) {
        let name = waiting(set);
        let key = [self.key, &[KeyType::Mark]].concat();
        let waiting = match self.value {
            [] => Set::new(&name, &key),
            value => Set::map(&name, &key, value),
        };
        batch.ensure_set(table, &waiting);
    }
}

/// What somebody claims, in the form of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) comment: Option<String>,
}

impl Claim {
    fn of(found: &ElementInfo) -> Self {
        let comment = found.comment.as_deref();
        Self {
            value: found.value.clone(),
            comment: comment.map(|comment| comment.replacen(NOTE, "", 1)),
        }
    }

    /// The same, with the note that others wait below.
    fn over_others(mut self) -> Self {
        self.comment = self.comment.map(|comment| with_note(&comment, NOTE));
        self
    }

    fn element(&self, key: Key) -> Element {
        let mut element = Element::new(key);
        if let Some(value) = &self.value {
            element = element.value(Key::of_bytes(value));
        }
        match &self.comment {
            Some(comment) => element.comment(comment.as_str()),
            None => element,
        }
    }

    fn is(&self, is_own: &impl Fn(&str) -> bool) -> bool {
        self.comment.as_deref().is_some_and(is_own)
    }
}

/// One key, where claims meet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'p> {
    pub(crate) table: &'p Table<'p>,
    pub(crate) set: &'p str,
    pub(crate) key: &'p Key,
}

/// All claims of one key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stack {
    /// The element as it is in the set, with the note if it has one.
    active: Option<Claim>,
    /// The oldest first.
    waiting: Vec<Claim>,
}

impl Stack {
    /// The claim that is in force.
    pub(crate) fn newest(&self) -> Option<&Claim> {
        self.active.as_ref()
    }

    /// The newest claim of an owner, in force or waiting.
    pub(crate) fn claim(&self, is_own: impl Fn(&str) -> bool) -> Option<&Claim> {
        self.all().rev().find(|claim| claim.is(&is_own))
    }

    /// The oldest first, with the note of the newest.
    fn all(&self) -> impl DoubleEndedIterator<Item = &Claim> {
        self.waiting.iter().chain(&self.active)
    }

    /// All but those that are gone, without notes.
    fn without(&self, is_gone: impl Fn(&str) -> bool) -> Vec<Claim> {
        let kept = self.all().filter(|claim| !claim.is(&is_gone));
        kept.map(|claim| Claim {
            value: claim.value.clone(),
            comment: claim.comment.as_ref().map(|it| it.replacen(NOTE, "", 1)),
        })
        .collect()
    }
}

impl Place<'_> {
    /// All claims on the key. It takes one request, unless there are several claims.
    pub(crate) fn read(&self, socket: &Socket) -> Result<Stack> {
        let found = socket.get_element(self.table, self.set, self.key)?;
        let noted =
            |found: &ElementInfo| found.comment.as_deref().is_some_and(|c| c.contains(NOTE));
        let over_others = found.as_ref().is_some_and(noted);
        let active = found.map(|found| Claim {
            value: found.value,
            comment: found.comment,
        });
        let waiting = if over_others {
            self.read_waiting(socket)?
        } else {
            Vec::new()
        };
        Ok(Stack { active, waiting })
    }

    fn read_waiting(&self, socket: &Socket) -> Result<Vec<Claim>> {
        let (set, mut waiting) = (waiting(self.set), Vec::new());
        while let Some(found) = socket.get_element(self.table, &set, &self.number(waiting.len()))? {
            waiting.push(Claim::of(&found));
        }
        Ok(waiting)
    }

    fn number(&self, number: usize) -> Key {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        self.key.clone().mark(number)
    }

    /// Makes a claim the newest. An earlier claim of the same owner goes, unless it is the same and the
    /// newest already.
    pub(crate) fn take(
        &self,
        socket: &Socket,
        batch: &mut Batch<'_>,
        shape: Shape<'_>,
        claim: &Claim,
        is_own: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let mut before = self.read(socket)?;
        if before.waiting.is_empty() && before.active.as_ref() == Some(claim) {
            return Ok(());
        }
        // Somebody who does not know of such sets may have replaced the element, and with it the note.
        before.waiting = self.read_waiting(socket)?;
        let mut after = before.without(is_own);
        if !after.is_empty() {
            shape.ensure_waiting(batch, self.table, self.set);
        }
        after.push(claim.clone());
        self.settle(batch, &before, after);
        Ok(())
    }

    /// Withdraws claims. The newest of the others is in force then.
    pub(crate) fn leave(
        &self,
        batch: &mut Batch<'_>,
        stack: &Stack,
        is_gone: impl Fn(&str) -> bool,
    ) {
        self.settle(batch, stack, stack.without(is_gone));
    }

    /// Changes the sets from `before` to `after`, where they differ. `after` has no notes.
    fn settle(&self, batch: &mut Batch<'_>, before: &Stack, mut after: Vec<Claim>) {
        let newest = after.pop();
        let newest = match after.is_empty() {
            true => newest,
            false => newest.map(Claim::over_others),
        };
        let set = waiting(self.set);
        for (number, claim) in before.waiting.iter().enumerate() {
            if after.get(number) != Some(claim) {
                batch.delete_elements(self.table, &set, &[Element::new(self.number(number))]);
            }
        }
        if before.active != newest {
            if before.active.is_some() {
                batch.delete_elements(self.table, self.set, &[Element::new(self.key.clone())]);
            }
            if let Some(newest) = newest {
                let element = newest.element(self.key.clone());
                batch.create_elements(self.table, self.set, &[element]);
            }
        }
        for (number, claim) in after.iter().enumerate() {
            if before.waiting.get(number) != Some(claim) {
                let element = claim.element(self.number(number));
                batch.create_elements(self.table, &set, &[element]);
            }
        }
    }
}

/// What was withdrawn from a set.
#[derive(Debug, Default)]
pub(crate) struct Withdrawn {
    /// The claims, each with its key.
    pub(crate) gone: Vec<(Vec<u8>, Claim)>,
    /// How many keys somebody else still claims.
    pub(crate) kept: usize,
}

impl Withdrawn {
    /// The comments of the claims, which name the owners.
    pub(crate) fn comments(self) -> impl Iterator<Item = String> {
        self.gone.into_iter().filter_map(|(_, claim)| claim.comment)
    }
}

/// Withdraws all claims of a set that are to go, by key and comment. Reads the whole set.
pub(crate) fn withdraw(
    socket: &Socket,
    batch: &mut Batch<'_>,
    table: &Table<'_>,
    set: &str,
    is_gone: impl Fn(&[u8], &str) -> bool,
) -> Result<Withdrawn> {
    let mut withdrawn = Withdrawn::default();
    for (bytes, stack) in list(socket, table, set)? {
        let is_gone = |comment: &str| is_gone(&bytes, comment);
        let gone: Vec<_> = stack.all().filter(|claim| claim.is(&is_gone)).collect();
        if gone.len() < stack.all().count() {
            withdrawn.kept += 1;
        }
        let gone = gone.into_iter().cloned();
        withdrawn
            .gone
            .extend(gone.map(|claim| (bytes.clone(), claim)));
        let key = &Key::of_bytes(&bytes);
        Place { table, set, key }.leave(batch, &stack, is_gone);
    }
    Ok(withdrawn)
}

/// Every claim of a set, by their keys.
pub(crate) fn list(
    socket: &Socket,
    table: &Table<'_>,
    set: &str,
) -> Result<BTreeMap<Vec<u8>, Stack>> {
    let mut stacks: BTreeMap<Vec<u8>, Stack> = BTreeMap::new();
    for found in socket.list_elements(table, set)? {
        let active = Claim {
            value: found.value,
            comment: found.comment,
        };
        stacks.entry(found.key).or_default().active = Some(active);
    }
    let mut waiting = socket.list_elements(table, &waiting(set))?;
    // The number is the last part of the key.
    let number = |found: &ElementInfo| {
        let bytes = found.key.last_chunk().copied().unwrap_or_default();
        u32::from_ne_bytes(bytes)
    };
    waiting.sort_by_key(number);
    for found in waiting {
        let end = found.key.len().saturating_sub(4);
        let claim = Claim::of(&found);
        stacks
            .entry(found.key[..end].to_vec())
            .or_default()
            .waiting
            .push(claim);
    }
    Ok(stacks)
}

/// Everyone who claims something in a set, by the comments.
pub(crate) fn comments(socket: &Socket, table: &Table<'_>, set: &str) -> Result<Vec<String>> {
    let mut found = socket.list_elements(table, set)?;
    found.extend(socket.list_elements(table, &waiting(set))?);
    Ok(found.into_iter().filter_map(|it| it.comment).collect())
}

/// Everyone who claims an address in a set of a network, which is the key or begins the value.
pub(crate) fn claimed_addresses(
    socket: &Socket,
    table: &Table<'_>,
    set: &str,
    network: &str,
) -> Result<Vec<ClaimedAddress>> {
    let own = format!("{}-", network_hash(network));
    let claimed = |key: &[u8], claim: &Claim| {
        let comment = claim.comment.as_deref().filter(|it| it.starts_with(&own))?;
        let address = match &claim.value {
            // The value is an address and a port.
            Some(value) => address(value.split_last_chunk::<4>()?.0)?,
            None => address(key)?,
        };
        Some(of_comment(network, comment, address))
    };
    let mut found = Vec::new();
    for (key, stack) in list(socket, table, set)? {
        found.extend(stack.all().filter_map(|claim| claimed(&key, claim)));
    }
    Ok(found)
}

/// Deletes a set that nobody claims anything in.
pub(crate) fn delete_set(
    socket: &Socket,
    batch: &mut Batch<'_>,
    table: &Table<'_>,
    set: &str,
) -> Result<()> {
    batch.delete_set(table, set);
    let waiting = waiting(set);
    if socket.get_set(table, &waiting)?.is_some() {
        batch.delete_set(table, &waiting);
    }
    Ok(())
}
