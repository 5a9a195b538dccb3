//! The one error of the crate.

use std::fmt;
use std::io;
use std::path::Path;

use rustix::io::Errno;

/// The result of a kernel operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A kernel operation that failed.
///
/// Prints as one line: `create link "veth1a2b3c4d": File exists (17): the kernel's own words`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation} {object}: {reason}", reason = self.reason())]
pub struct Error {
    operation: &'static str,
    object: String,
    errno: i32,
    words: String,
}

impl Error {
    pub(crate) fn new(operation: &'static str, object: impl fmt::Display, errno: i32) -> Self {
        Self {
            operation,
            object: object.to_string(),
            errno,
            words: String::new(),
        }
    }

    pub(crate) fn of(operation: &'static str, object: impl fmt::Display, errno: Errno) -> Self {
        Self::new(operation, object, errno.raw_os_error())
    }

    pub(crate) fn of_io(operation: &'static str, object: impl fmt::Display, e: &io::Error) -> Self {
        let errno = e.raw_os_error().unwrap_or(libc::EIO);
        let error = Self::new(operation, object, errno);
        if e.raw_os_error().is_some() {
            error
        } else {
            error.with_words(e.to_string())
        }
    }

    pub(crate) fn with_words(mut self, words: impl Into<String>) -> Self {
        self.words = words.into();
        self
    }

    /// What was attempted, in words: `create link`.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// What it was attempted on: `"eth0"`, `10.1.0.1/24 on interface 7`.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.object
    }

    /// The error number (positive, see errno(3)).
    #[must_use]
    pub fn errno(&self) -> i32 {
        self.errno
    }

    /// The kernel's own explanation (netlink extended ACK) or that of an executed program; empty
    /// if it gave none.
    #[must_use]
    pub fn words(&self) -> &str {
        &self.words
    }

    /// The object, or one it refers to, does not exist.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        is_absent(self.errno)
    }

    /// The object exists already.
    #[must_use]
    pub fn is_exists(&self) -> bool {
        self.errno == libc::EEXIST
    }

    /// There is no route.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        self.errno == libc::ENETUNREACH
    }

    /// A route says that packets are dropped: it is unreachable, prohibited, or a black hole.
    #[must_use]
    pub fn is_dropped(&self) -> bool {
        matches!(self.errno, libc::EHOSTUNREACH | libc::EACCES | libc::EINVAL)
    }

    /// The object is in use.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.errno == libc::EBUSY
    }

    /// The kernel refused for want of a capability.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self.errno, libc::EPERM | libc::EACCES)
    }

    /// The kernel lacks the feature: a link kind, an expression, a whole subsystem.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(
            self.errno,
            libc::EOPNOTSUPP | libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT
        )
    }

    /// A deadline passed.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.errno == libc::ETIMEDOUT
    }

    /// The reason alone, without operation and object.
    #[must_use]
    pub fn reason(&self) -> String {
        let name = errno_name(self.errno);
        if self.words.is_empty() {
            format!("{name} ({})", self.errno)
        } else {
            format!("{name} ({}): {}", self.errno, self.words)
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = io::Error::from_raw_os_error(error.errno).kind();
        io::Error::new(kind, error)
    }
}

/// ENOENT for names, ENODEV for links, ESRCH for routes, EADDRNOTAVAIL for addresses, ENXIO for
/// indices.
pub(crate) fn is_absent(errno: i32) -> bool {
    matches!(
        errno,
        libc::ENOENT | libc::ENODEV | libc::ESRCH | libc::EADDRNOTAVAIL | libc::ENXIO
    )
}

fn errno_name(errno: i32) -> String {
    let mut text = io::Error::from_raw_os_error(errno).to_string();
    if let Some(end) = text.find(" (os error") {
        text.truncate(end);
    }
    text
}

/// A path as messages show it.
pub(crate) fn quoted(path: impl AsRef<Path>) -> String {
    format!("\"{}\"", path.as_ref().display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_with_the_kernels_words_last() {
        let error = Error::new("create link", "\"veth1\"", libc::EEXIST).with_words("taken");
        assert_eq!(
            error.to_string(),
            "create link \"veth1\": File exists (17): taken"
        );
        let error = Error::new("create link", "\"veth1\"", libc::EEXIST);
        assert_eq!(error.to_string(), "create link \"veth1\": File exists (17)");
        assert!(error.is_exists() && !error.is_absent());
    }

    #[test]
    fn an_io_error_keeps_its_number_or_its_words() {
        let os = Error::of_io("read", "x", &io::Error::from_raw_os_error(libc::ENOENT));
        assert!(os.is_absent());
        let own = Error::of_io("read", "x", &io::Error::other("odd"));
        assert_eq!(own.to_string(), "read x: Input/output error (5): odd");
    }
}
