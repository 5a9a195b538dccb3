//! Removing a link, in two halves: the kernel takes long, and the caller may have other work.

use super::requests::remove;
use super::{LinkRef, RTM_DELLINK};
use crate::error::{Error, Result};
use crate::netlink::{Framing, Request, Sent};
use crate::rtnl::Socket;

/// A link that the kernel is removing. [`finish`](Self::finish) waits until it is gone; without that
/// call it goes all the same, and nobody hears whether it did.
#[derive(Debug)]
#[must_use = "whether the link could be removed is told by finish"]
pub struct Removal<'s> {
    socket: &'s Socket,
    request: Request,
    bytes: Vec<u8>,
    sent: Sent,
}

impl Socket {
    /// Removes a link; its veth peer goes with it. `false` if there was none.
    ///
    /// # Errors
    /// Anything but absence.
    pub fn remove_link<'a>(&self, link: impl Into<LinkRef<'a>>) -> Result<bool> {
        self.begin_removal(link)?.finish()
    }

    /// Has the kernel begin to remove a link and its veth peer. Until [`Removal::finish`] the socket
    /// must be asked nothing else.
    ///
    /// In a process that may leave reapers ([`reaper::allow`](crate::reaper::allow)) this
    /// returns at once; in others when the link is gone.
    ///
    /// # Errors
    /// If the request cannot be sent.
    pub fn begin_removal<'a>(&self, link: impl Into<LinkRef<'a>>) -> Result<Removal<'_>> {
        let mut request = remove(link.into());
        debug_assert_eq!(request.kind, RTM_DELLINK);
        let mut bytes = std::mem::take(&mut request.buffer).into_bytes();
        let sent = self.channel.post(&mut bytes, Framing::Removal);
        let sent = sent.map_err(|errno| Error::of(request.operation, &request.object, errno))?;
        Ok(Removal {
            socket: self,
            request,
            bytes,
            sent,
        })
    }
}

impl Removal<'_> {
    /// Waits until the link is gone. `false` if there was none.
    ///
    /// # Errors
    /// Anything but absence.
    pub fn finish(self) -> Result<bool> {
        let Self {
            socket,
            request,
            bytes,
            sent,
        } = self;
        let mut refusal = None;
        let refused = |_, refused| refusal = Some(refused);
        socket
            .removed(sent, &bytes, refused, |_, _| {})
            .map_err(|errno| Error::of(request.operation, &request.object, errno))?;
        request.outcome(refusal)
    }
}
