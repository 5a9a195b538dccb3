//! Exactly one document on stdout.

use netloom_spec::{Error, Version, code};
use std::io::{self, Write};

/// The one document a call may print.
pub(crate) struct Answer<'a> {
    stdout: &'a mut dyn Write,
    touched: bool,
    /// The version to name in an error that names none.
    pub(crate) version: Version,
}

impl<'a> Answer<'a> {
    pub(crate) fn new(stdout: &'a mut dyn Write, version: Version) -> Self {
        Self {
            stdout,
            touched: false,
            version,
        }
    }

    /// Prints the document of a successful call.
    ///
    /// A reader that is gone is an error of the call: nobody knows of the attachment then, so it
    /// must be undone. (Rust's runtime ignores SIGPIPE, so that this is seen at all.)
    pub(crate) fn print(&mut self, document: &str) -> Result<(), Error> {
        self.write(document).map_err(|cause| {
            Error::new(
                code::IO,
                format!("cannot write the result to stdout: {cause}"),
            )
        })
    }

    /// Prints an error object, unless a part of another document is out already: a runtime could
    /// parse neither. Then, or if stdout fails, it goes to stderr for a person to find.
    pub(crate) fn report(&mut self, error: &Error, stderr: &mut dyn Write) {
        let mut error = error.clone();
        error
            .cni_version
            .get_or_insert_with(|| self.version.to_string());
        let document = error.to_json();
        if self.touched || self.write(&document).is_err() {
            // Nothing is left to tell this to.
            let _ = writeln!(stderr, "{document}");
        }
    }

    fn write(&mut self, document: &str) -> io::Result<()> {
        let mut rest = document.as_bytes();
        while !rest.is_empty() {
            match self.stdout.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.touched = true;
                    rest = &rest[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.stdout.flush()
    }
}
