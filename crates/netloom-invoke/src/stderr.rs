//! Where a plugin's stderr goes.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// How much of a plugin's stderr is kept for the error message, in bytes.
const KEPT: usize = 64 * 1024;

/// Where a plugin's stderr goes. Whatever the choice, it arrives while the plugin still runs, and
/// whether the plugin succeeds or fails.
#[derive(Clone, Default)]
pub enum Stderr {
    /// To the caller's stderr, through a pipe: what a plugin says before it dies also becomes
    /// part of the error.
    #[default]
    PassThrough,
    /// The caller's stderr itself: no pipe, but the error cannot tell what was said.
    Inherit,
    /// To this writer (whose failures are ignored, as the log of a plugin is only informational),
    /// and into the error.
    Capture(Arc<Mutex<dyn Write + Send>>),
}

impl Stderr {
    /// Captures into memory: the second value holds what was written.
    pub fn memory() -> (Self, Arc<Mutex<Vec<u8>>>) {
        let memory = Arc::new(Mutex::new(Vec::new()));
        (Self::Capture(memory.clone()), memory)
    }
}

impl fmt::Debug for Stderr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PassThrough => "PassThrough",
            Self::Inherit => "Inherit",
            Self::Capture(_) => "Capture",
        })
    }
}

/// One execution's stderr: passes it on and keeps the end of it.
pub(crate) struct Log<'a> {
    to: &'a Stderr,
    end: Vec<u8>,
}

impl<'a> Log<'a> {
    pub(crate) fn new(to: &'a Stderr) -> Self {
        Self {
            to,
            end: Vec::new(),
        }
    }

    /// The last [`KEPT`] bytes written.
    pub(crate) fn end(&self) -> &[u8] {
        &self.end[self.end.len().saturating_sub(KEPT)..]
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.end.extend_from_slice(bytes);
        if self.end.len() > 2 * KEPT {
            self.end.drain(..self.end.len() - KEPT);
        }
    }
}

impl Write for Log<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A log that cannot be written must not fail the plugin.
        let _ = match self.to {
            Stderr::PassThrough | Stderr::Inherit => io::stderr().write_all(bytes),
            Stderr::Capture(writer) => writer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write_all(bytes),
        };
        self.keep(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_reaches_the_writer_and_the_end_is_kept() {
        let (stderr, memory) = Stderr::memory();
        let mut log = Log::new(&stderr);
        for _ in 0..40 {
            log.write_all(&[b'x'; 10_000]).unwrap();
        }
        log.write_all(b"last words").unwrap();
        assert_eq!(memory.lock().unwrap().len(), 400_010);
        assert_eq!(log.end().len(), KEPT);
        assert!(log.end().ends_with(b"last words"));
        assert!(log.end.capacity() < 5 * KEPT, "memory is bounded");
    }

    #[test]
    fn a_writer_that_fails_does_not_matter() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let stderr = Stderr::Capture(Arc::new(Mutex::new(Full)));
        let mut log = Log::new(&stderr);
        log.write_all(b"words").unwrap();
        assert_eq!(log.end(), b"words");
    }
}
