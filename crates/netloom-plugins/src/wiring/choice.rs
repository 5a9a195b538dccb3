//! Keys of a configuration whose value is one of a few words.

use super::setup_error::invalid;
use netloom_spec::Error;

/// The words, and what each stands for.
#[derive(Debug)]
pub(crate) struct Choice<T: 'static> {
    /// What is chosen, for messages.
    pub(crate) what: &'static str,
    /// All words.
    pub(crate) words: &'static [(&'static str, T)],
}

impl<T: Copy + PartialEq> Choice<T> {
    /// What the word stands for; `None` if there is no word.
    pub(crate) fn read(&self, word: &str) -> Result<Option<T>, Error> {
        if word.is_empty() {
            return Ok(None);
        }
        let known = self.words.iter().find(|(known, _)| *known == word);
        known.map(|(_, value)| Some(*value)).ok_or_else(|| {
            let all: Vec<&str> = self.words.iter().map(|(known, _)| *known).collect();
            invalid(format!(
                "unknown {}: {word:?} (must be one of {})",
                self.what,
                all.join(", ")
            ))
        })
    }

    /// The word for it, if there is one.
    pub(crate) fn word(&self, value: T) -> Option<&'static str> {
        let known = self.words.iter().find(|(_, known)| *known == value);
        known.map(|(word, _)| *word)
    }
}
