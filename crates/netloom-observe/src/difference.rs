//! What is different between two snapshots.

use std::fmt;

use crate::{Kind, Object, Snapshot};

/// How an object differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Only the later snapshot has it: its details.
    Added(String),
    /// Only the earlier snapshot has it: its details.
    Removed(String),
    /// Both have it, with these details before and after.
    Changed(String, String),
}

/// An object that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which object.
    pub object: Object,
    /// How.
    pub change: Change,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let object = &self.object;
        let of = |details: &str| match details {
            "" => String::new(),
            details => format!(" ({details})"),
        };
        match &self.change {
            Change::Added(details) => write!(f, "{object} added{}", of(details)),
            Change::Removed(details) => write!(f, "{object} removed{}", of(details)),
            Change::Changed(before, after) => write!(f, "{object}: {before} → {after}"),
        }
    }
}

impl Snapshot {
    /// What is different in a later snapshot, sorted by place, kind and name.
    ///
    /// Settings of a link that went with it are not told.
    #[must_use]
    pub fn diff(&self, later: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        for (object, before) in &self.objects {
            let change = match later.objects.get(object) {
                None if object.kind == Kind::Sysctl => continue,
                None => Change::Removed(before.clone()),
                Some(after) if after != before => Change::Changed(before.clone(), after.clone()),
                Some(_) => continue,
            };
            found.push(Difference {
                object: object.clone(),
                change,
            });
        }
        for (object, after) in &later.objects {
            if !self.objects.contains_key(object) {
                found.push(Difference {
                    object: object.clone(),
                    change: Change::Added(after.clone()),
                });
            }
        }
        found.sort_by(|a, b| a.object.cmp(&b.object));
        found
    }
}
