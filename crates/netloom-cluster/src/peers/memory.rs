//! Which records there are, over time.
//!
//! A store that was wiped, restored, or read in an unlucky moment lists fewer hosts than there are. Their
//! pods still run: a missing route is an outage, one too many is nothing until its addresses are given to
//! somebody else. So what vanishes is believed for a while; [`judge`](super::judge()) lets go of it at once
//! when a record that is there contradicts it.

use std::collections::{BTreeMap, btree_map::Entry};

/// A record of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The last part of its key.
    pub key: String,
    /// Its value.
    pub value: Vec<u8>,
    /// The store's revision at which it was created: of two that contradict each other the older counts.
    pub created: i64,
}

#[derive(Debug, Clone)]
struct Known {
    record: Record,
    /// Since when the store has it no more, in milliseconds of the caller's clock.
    gone_since: Option<u64>,
}

/// The records that the store has or had.
#[derive(Debug, Clone)]
pub struct Memory {
    remove_after: u64,
    known: BTreeMap<String, Known>,
}

impl Memory {
    /// `remove_after`: how long, in milliseconds, what vanished is believed.
    #[must_use]
    pub fn new(remove_after: u64) -> Self {
        Self {
            remove_after,
            known: BTreeMap::new(),
        }
    }

    /// Takes what was remembered over a restart: believed as if it had vanished just now, until a list
    /// says otherwise.
    pub fn recall(&mut self, now: u64, records: impl IntoIterator<Item = Record>) {
        for record in records {
            let known = Known {
                record,
                gone_since: Some(now),
            };
            self.known.entry(known.record.key.clone()).or_insert(known);
        }
    }

    /// Takes all that the store has. Whether anything is new, different, or back.
    pub fn list(&mut self, now: u64, records: impl IntoIterator<Item = Record>) -> bool {
        let mut listed: BTreeMap<String, Record> = records
            .into_iter()
            .map(|record| (record.key.clone(), record))
            .collect();
        let mut changed = false;
        for (key, known) in &mut self.known {
            if !listed.contains_key(key) && known.gone_since.is_none() {
                known.gone_since = Some(now);
                changed = true;
            }
        }
        while let Some((_, record)) = listed.pop_first() {
            changed |= self.put(record);
        }
        changed
    }

    /// Takes one that was written. Whether it is new, different, or back.
    pub fn put(&mut self, record: Record) -> bool {
        let known = Known {
            record,
            gone_since: None,
        };
        match self.known.entry(known.record.key.clone()) {
            Entry::Vacant(place) => {
                place.insert(known);
                true
            }
            Entry::Occupied(mut place) => {
                let before = place.insert(known);
                before.gone_since.is_some() || before.record != place.get().record
            }
        }
    }

    /// One was deleted, or expired. Whether it was there.
    pub fn delete(&mut self, now: u64, key: &str) -> bool {
        match self.known.get_mut(key) {
            Some(known) if known.gone_since.is_none() => {
                known.gone_since = Some(now);
                true
            }
            _ => false,
        }
    }

    /// Forgets what vanished long enough ago. Whether there was any.
    pub fn expire(&mut self, now: u64) -> bool {
        let before = self.known.len();
        let limit = self.remove_after;
        self.known.retain(|_, known| {
            known
                .gone_since
                .is_none_or(|since| now.saturating_sub(since) < limit)
        });
        before != self.known.len()
    }

    /// When something is to be forgotten next.
    #[must_use]
    pub fn next_expiry(&self) -> Option<u64> {
        let gone = self.known.values().filter_map(|known| known.gone_since);
        gone.min()
            .map(|since| since.saturating_add(self.remove_after))
    }

    /// What the store has, oldest first, and then what it had.
    #[must_use]
    pub fn records(&self) -> Vec<&Record> {
        let mut all: Vec<&Known> = self.known.values().collect();
        all.sort_by_key(|known| {
            let gone = known.gone_since.is_some();
            (gone, known.record.created)
        });
        all.into_iter().map(|known| &known.record).collect()
    }

    /// How many records the store has, and how many are only remembered.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let gone = self
            .known
            .values()
            .filter(|known| known.gone_since.is_some());
        let gone = gone.count();
        (self.known.len() - gone, gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, created: i64) -> Record {
        Record {
            key: key.into(),
            value: b"{}".to_vec(),
            created,
        }
    }

    fn keys(memory: &Memory) -> Vec<&str> {
        memory
            .records()
            .iter()
            .map(|record| record.key.as_str())
            .collect()
    }

    #[test]
    fn what_a_shrunken_list_lacks_is_believed_for_a_while() {
        let mut memory = Memory::new(1000);
        assert!(memory.list(0, [record("a", 1), record("b", 2)]));
        assert!(
            !memory.list(5, [record("a", 1), record("b", 2)]),
            "nothing new"
        );
        assert!(memory.list(10, []));
        assert_eq!((keys(&memory), memory.counts()), (vec!["a", "b"], (0, 2)));
        assert!(!memory.expire(1009));
        assert!(memory.list(1009, [record("b", 7)]), "b is back");
        assert_eq!(keys(&memory), ["b", "a"], "what is there comes first");
        assert_eq!(memory.next_expiry(), Some(1010));
        assert!(memory.expire(1010));
        assert_eq!((keys(&memory), memory.next_expiry()), (vec!["b"], None));
    }

    #[test]
    fn a_deletion_twice_does_not_prolong() {
        let mut memory = Memory::new(1000);
        memory.put(record("a", 1));
        assert!(memory.delete(10, "a"));
        assert!(!memory.delete(900, "a"));
        assert!(!memory.delete(900, "never was"));
        assert!(!memory.list(950, []) && memory.expire(1010));
    }

    #[test]
    fn what_was_remembered_yields_to_a_list() {
        let mut memory = Memory::new(1000);
        memory.recall(0, [record("a", 1), record("b", 2)]);
        assert_eq!(memory.counts(), (0, 2));
        memory.list(10, [record("a", 1)]);
        assert_eq!(memory.counts(), (1, 1));
        assert!(memory.expire(1000));
        assert_eq!(keys(&memory), ["a"]);
    }
}
