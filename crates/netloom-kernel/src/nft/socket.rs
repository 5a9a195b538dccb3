//! The blocking nf_tables socket.

use rustix::net::netlink::NETFILTER;

use crate::error::{Error, Result};
use crate::netlink::{Channel, Header, Request};
use crate::netns::Netns;

/// An nf_tables socket. It talks to the network namespace it was opened in, for all of its life.
#[derive(Debug)]
pub struct Socket {
    pub(super) channel: Channel,
}

impl Socket {
    #[cfg(fuzzing)]
    pub(crate) fn on(channel: Channel) -> Self {
        Self { channel }
    }

    /// Opens a socket in the network namespace of the current thread.
    ///
    /// # Errors
    /// If the kernel gives no socket: `is_unsupported()` if it lacks nfnetlink.
    pub fn open() -> Result<Self> {
        let channel =
            Channel::open(Some(NETFILTER)).map_err(|e| Error::of("open", "nf_tables socket", e))?;
        Ok(Self { channel })
    }

    /// Opens a socket in another network namespace; the current thread is back in its own when
    /// this returns.
    ///
    /// # Errors
    /// If the namespace cannot be entered or the kernel gives no socket.
    pub fn open_in(netns: &Netns) -> Result<Self> {
        netns.run(Self::open)?
    }

    /// Sends one request that is answered by one message; `None` for what does not exist.
    pub(super) fn ask<T>(
        &self,
        mut request: Request,
        parse: impl FnMut(Header, &[u8]) -> Option<T>,
    ) -> Result<Option<T>> {
        let mut bytes = std::mem::take(&mut request.buffer).into_bytes();
        match self.channel.ask(&mut bytes, parse) {
            Ok(found) => Ok(found),
            Err(refusal) if refusal.errno == libc::ENOENT => Ok(None),
            Err(refusal) => Err(request.error(refusal.errno, refusal.words)),
        }
    }

    /// Dumps; nothing for what does not exist.
    pub(super) fn dump<T>(
        &self,
        mut request: Request,
        parse: impl FnMut(Header, &[u8]) -> Option<T>,
    ) -> Result<Vec<T>> {
        let mut bytes = std::mem::take(&mut request.buffer).into_bytes();
        match self.channel.dump(&mut bytes, parse) {
            Ok(dump) => Ok(dump.found),
            Err(refusal) if refusal.errno == libc::ENOENT => Ok(Vec::new()),
            Err(refusal) => Err(request.error(refusal.errno, refusal.words)),
        }
    }
}
