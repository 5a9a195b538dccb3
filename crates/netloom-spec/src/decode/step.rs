//! The path to a value in a document.

/// One step from a value to one inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// To the value of this key of an object, as the document spells it.
    Key(String),
    /// To this element of an array, from 0 on.
    Index(usize),
}

/// The path that errors write so: `links[0].mtu`. A dot in a key is not told from one between keys.
pub(super) fn steps(place: &str) -> Vec<Step> {
    let words = place.split(['.', '[']).filter(|word| !word.is_empty());
    let step = |word: &str| match word.strip_suffix(']').map(str::parse) {
        Some(Ok(index)) => Step::Index(index),
        _ => Step::Key(word.to_owned()),
    };
    words.map(step).collect()
}
