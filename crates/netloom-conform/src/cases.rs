//! The table of all cases. The hundreds of an id are its group.

mod add;
mod address;
mod chained;
mod check;
mod conduct;
mod crash;
mod del;
mod delegate;
mod environment;
mod failure;
mod gc;
mod input;
mod ipam;
mod output;
mod result;
mod versions;

use crate::case::Case;

/// Every case, in the order in which they are run.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [
        environment::CASES, // CF-0…: the protocol
        input::CASES,
        output::CASES,
        versions::CASES, // CF-1…
        add::CASES,      // CF-2…
        result::CASES,
        failure::CASES,
        crash::CASES,
        del::CASES, // CF-3…
        address::CASES,
        check::CASES, // CF-4…
        gc::CASES,
        chained::CASES, // CF-5…
        ipam::CASES,
        delegate::CASES,
        conduct::CASES, // CF-6…
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_in_order() {
        let ids: Vec<&str> = all().map(|it| it.id).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    }

    #[test]
    fn every_case_is_for_somebody_and_says_what_it_asks_for() {
        for case in all() {
            assert!(case.classes != 0, "{}", case.id);
            assert!(
                !case.title.ends_with('.') && case.title.len() > 10,
                "{}",
                case.id
            );
            assert!(!case.section.is_empty(), "{}", case.id);
        }
    }
}
