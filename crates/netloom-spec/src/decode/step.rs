//! The way to a value in a document.

/// One step from a value to one inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// To the value of this key of an object, as the document spells it.
    Key(String),
    /// To this element of an array, from 0 on.
    Index(usize),
}
