//! What a case is.

use crate::bench::Bench;
use crate::class::{Class, Classes, Level};
use crate::stop::Check;

/// One case of the kit.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name for good: `CF-001`.
    pub id: &'static str,
    /// How binding it is.
    pub level: Level,
    /// The section of the specification, or what else it follows from.
    pub section: &'static str,
    /// What it asks for, as a sentence.
    pub title: &'static str,
    pub(crate) classes: Classes,
    pub(crate) check: fn(&mut Bench<'_>, &'static str) -> Check,
    /// What `check` gets: cases that differ in a word share their code.
    pub(crate) given: &'static str,
}

impl Case {
    /// Whether it is for plugins of this class.
    #[must_use]
    pub fn is_for(&self, class: Class) -> bool {
        self.classes & class.bit() != 0
    }
}

/// A row of a table of cases.
macro_rules! cases {
    ($($id:literal $level:ident $classes:ident $section:literal $title:literal $check:ident $given:literal;)*) => {
        pub(super) const CASES: &[crate::case::Case] = &[$(crate::case::Case {
            id: concat!("CF-", $id),
            level: crate::class::Level::$level,
            section: $section,
            title: $title,
            classes: crate::class::$classes,
            check: $check,
            given: $given,
        }),*];
    };
}
pub(crate) use cases;
