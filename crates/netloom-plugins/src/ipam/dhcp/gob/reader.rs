//! Bytes, and the integers and strings that everything is made of.

use super::{GobError, MESSAGE_MAX};

/// What is left of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], GobError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(GobError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    /// An unsigned integer: one byte up to 127, else the negated count of the big-endian bytes.
    pub(super) fn uint(&mut self) -> Result<u64, GobError> {
        let first = self.take(1)?[0];
        if first < 0x80 {
            return Ok(first.into());
        }
        let count = usize::from(first.wrapping_neg());
        if count > 8 {
            return Err(GobError::Integer);
        }
        let bytes = self.take(count)?;
        Ok(bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)))
    }

    /// A signed integer: the sign is the lowest bit.
    pub(super) fn int(&mut self) -> Result<i64, GobError> {
        let coded = self.uint()?;
        let magnitude = (coded >> 1).cast_signed();
        Ok(if coded & 1 == 0 {
            magnitude
        } else {
            !magnitude
        })
    }

    /// A number of elements, each of which takes at least a byte.
    pub(super) fn count(&mut self) -> Result<usize, GobError> {
        let count = usize::try_from(self.uint()?).map_err(|_| GobError::Short)?;
        if count > self.0.len() {
            return Err(GobError::Short);
        }
        Ok(count)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], GobError> {
        let count = self.count()?;
        self.take(count)
    }

    pub(super) fn string(&mut self) -> Result<String, GobError> {
        let bytes = self.bytes()?.to_vec();
        String::from_utf8(bytes).map_err(|_| GobError::Text)
    }
}

/// The first message of what has been received so far: its content and the length of all of it.
/// `None` if it has not arrived in full.
pub(super) fn first_message(received: &[u8]) -> Result<Option<(&[u8], usize)>, GobError> {
    let mut reader = Reader(received);
    let length = match reader.uint() {
        Ok(length) => length,
        Err(GobError::Short) => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > MESSAGE_MAX as u64 {
        return Err(GobError::TooLong(length));
    }
    let Some(content) = reader.0.get(..length as usize) else {
        return Ok(None);
    };
    let consumed = received.len() - reader.0.len() + content.len();
    Ok(Some((content, consumed)))
}
