//! One message with the words for its failure.

use super::{Buffer, NLM_F_REQUEST, Refusal};
use crate::error::{Error, Result, is_absent};

/// One request, encoded, with what is said of it if it fails.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) buffer: Buffer,
    /// The message's type.
    pub(crate) kind: u16,
    pub(crate) operation: &'static str,
    pub(crate) object: String,
    /// The kernel's "there is no such thing" counts as success.
    pub(crate) absent_is_success: bool,
}

impl Request {
    pub(crate) fn new(
        operation: &'static str,
        object: String,
        kind: u16,
        flags: u16,
        header: &[u8],
    ) -> Self {
        let mut buffer = Buffer::with_capacity(256);
        buffer.begin(kind, flags | NLM_F_REQUEST, header);
        Self {
            buffer,
            kind,
            operation,
            object,
            absent_is_success: false,
        }
    }

    /// Makes this a `remove_`: what is absent is removed already.
    pub(crate) fn absent_is_success(mut self) -> Self {
        self.absent_is_success = true;
        self
    }

    pub(crate) fn forgives(&self, errno: i32) -> bool {
        self.absent_is_success && is_absent(errno)
    }

    /// What the kernel's answer comes to: `false` if it was forgiven for being absent.
    pub(crate) fn outcome(&self, refusal: Option<Refusal>) -> Result<bool> {
        match refusal {
            None => Ok(true),
            Some(refusal) if self.forgives(refusal.errno) => Ok(false),
            Some(refusal) => Err(self.error(refusal.errno, refusal.words)),
        }
    }

    pub(crate) fn error(&self, errno: i32, words: String) -> Error {
        Error::new(self.operation, &self.object, errno).with_words(words)
    }
}
