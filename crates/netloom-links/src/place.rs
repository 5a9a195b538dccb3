//! A network namespace that ends of links are in.

use std::fmt;
use std::path::Path;

use netloom_kernel::netns::{Netns, NetnsId};
use netloom_kernel::rtnl::Socket;

use crate::Result;

/// An open network namespace, with a socket in it. One for each namespace is enough, however many
/// links end there.
#[derive(Debug)]
pub struct Place {
    netns: Netns,
    socket: Socket,
    id: NetnsId,
    words: String,
}

impl Place {
    /// Takes a namespace that is open. `words` is how its user calls it: `ns:blue`, `pod "default/a"`.
    ///
    /// # Errors
    /// If the namespace cannot be entered.
    pub fn new(netns: Netns, words: impl Into<String>) -> Result<Self> {
        Ok(Self {
            socket: Socket::open_in(&netns)?,
            id: netns.id()?,
            netns,
            words: words.into(),
        })
    }

    /// Opens the namespace at a path.
    ///
    /// # Errors
    /// If nothing is there, or something else.
    pub fn open(path: impl AsRef<Path>, words: impl Into<String>) -> Result<Self> {
        Self::new(Netns::open(path)?, words)
    }

    /// The namespace of the calling thread: the host, for who runs there.
    ///
    /// # Errors
    /// If `/proc` is not mounted, or descriptors have run out.
    pub fn current() -> Result<Self> {
        Self::new(Netns::current()?, "host")
    }

    /// The namespace.
    #[must_use]
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// A socket in it.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// What makes two places the same.
    #[must_use]
    pub fn id(&self) -> NetnsId {
        self.id
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}
