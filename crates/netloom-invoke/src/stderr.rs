//! Where a plugin's stderr goes.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use netloom_spec::terminal;

/// How much of a plugin's stderr is kept for the error message, in bytes.
const KEPT: usize = 64 * 1024;

/// Where a plugin's stderr goes. Whatever the choice, it arrives while the plugin still runs, and
/// whether the plugin succeeds or fails.
#[derive(Clone, Default)]
pub enum Stderr {
    /// To the caller's stderr, through a pipe: what a plugin says before it dies also becomes
    /// part of the error. What a terminal would act on is escaped, and of 64 KiB and more the rest is
    /// only counted.
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
    passed: PassedOn,
}

impl<'a> Log<'a> {
    pub(crate) fn new(to: &'a Stderr) -> Self {
        Self {
            to,
            end: Vec::new(),
            passed: PassedOn::default(),
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

impl Drop for Log<'_> {
    fn drop(&mut self) {
        if matches!(self.to, Stderr::PassThrough) {
            let _ = io::stderr().write_all(self.passed.rest().as_bytes());
        }
    }
}

/// What is passed on of what a plugin says.
#[derive(Default)]
struct PassedOn {
    /// A character whose end has not come yet.
    begun: Vec<u8>,
    count: usize,
    left_out: usize,
}

impl PassedOn {
    /// What is to be shown now.
    fn safe(&mut self, bytes: &[u8]) -> String {
        let fitting = bytes.len().min(KEPT.saturating_sub(self.count));
        self.count += fitting;
        self.left_out += bytes.len() - fitting;
        self.begun.extend_from_slice(&bytes[..fitting]);
        let text = std::mem::take(&mut self.begun);
        let whole = match std::str::from_utf8(&text) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => text.len(),
        };
        self.begun = text[whole..].to_vec();
        terminal::lines(&String::from_utf8_lossy(&text[..whole])).into_owned()
    }

    fn rest(&mut self) -> String {
        let begun = std::mem::take(&mut self.begun);
        let mut rest = String::from_utf8_lossy(&begun).into_owned();
        if self.left_out > 0 {
            rest.push_str(&format!(
                "\n({} bytes more of it are not shown)\n",
                self.left_out
            ));
        }
        rest
    }
}

impl Write for Log<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A log that cannot be written must not fail the plugin.
        let _ = match self.to {
            Stderr::PassThrough => io::stderr().write_all(self.passed.safe(bytes).as_bytes()),
            Stderr::Inherit => Ok(()),
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
    fn what_is_passed_on_is_safe_whole_and_bounded() {
        let mut passed = PassedOn::default();
        let text = "a\x1b[31mé\n".as_bytes();
        let shown: String = text.chunks(1).map(|part| passed.safe(part)).collect();
        assert_eq!(shown + &passed.rest(), "a\\u{1b}[31mé\n");
        let mut passed = PassedOn::default();
        let shown: usize = (0..100).map(|_| passed.safe(&[b'x'; 10_000]).len()).sum();
        assert_eq!(shown, KEPT);
        let left_out = 1_000_000 - KEPT;
        assert!(passed.rest().contains(&format!("({left_out} bytes more")));
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
