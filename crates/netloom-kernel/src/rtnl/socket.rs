//! The blocking rtnetlink socket.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;

use super::link::{Link, RTM_DELLINK};
use crate::error::{Error, Result};
use crate::netlink::{Channel, Dump, Framing, Header, Refusal, Request, Sent};
use crate::netns::Netns;

/// An rtnetlink socket. It talks to the network namespace it was opened in, for all of its life.
///
/// All verbs take `&self`, so that clean-up closures can share it; it is for one thread at a time.
#[derive(Debug)]
pub struct Socket {
    pub(super) channel: Channel,
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

impl Socket {
    #[cfg(fuzzing)]
    pub(crate) fn on(channel: Channel) -> Self {
        Self { channel }
    }

    /// Opens a socket in the network namespace of the current thread.
    ///
    /// # Errors
    /// If the kernel gives no socket.
    pub fn open() -> Result<Self> {
        let channel = Channel::open(None).map_err(|e| Error::of("open", "rtnetlink socket", e))?;
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

    /// Sends one request and waits for its ACK. `Ok(false)`: it was forgiven for being absent.
    pub(super) fn execute(&self, request: Request) -> Result<bool> {
        self.execute_with(request, |_, _| {})
    }

    pub(super) fn execute_with(
        &self,
        mut request: Request,
        mut reply: impl FnMut(Header, &[u8]),
    ) -> Result<bool> {
        let mut bytes = std::mem::take(&mut request.buffer).into_bytes();
        let mut refusal = None;
        self.transact(
            &mut bytes,
            request.kind,
            |_, r| refusal = Some(r),
            |header, payload| reply(header, payload),
        )
        .map_err(|errno| Error::of(request.operation, &request.object, errno))?;
        request.outcome(refusal)
    }

    /// Sends messages, the last of this kind. Where it removes a link, this returns when the link
    /// is gone, and the kernel may still be about to free it.
    pub(super) fn transact(
        &self,
        bytes: &mut [u8],
        last: u16,
        refused: impl FnMut(usize, Refusal),
        mut reply: impl FnMut(Header, &[u8]),
    ) -> std::result::Result<(), Errno> {
        if last == RTM_DELLINK {
            let sent = self.channel.post(bytes, Framing::Removal)?;
            return self.removed(sent, bytes, refused, reply);
        }
        self.channel
            .transact(bytes, Framing::Plain, refused, |_, header, payload| {
                reply(header, payload);
            })
            .map(drop)
    }

    /// Waits until what a removal was sent for is gone.
    pub(super) fn removed(
        &self,
        sent: Sent,
        bytes: &[u8],
        refused: impl FnMut(usize, Refusal),
        mut reply: impl FnMut(Header, &[u8]),
    ) -> std::result::Result<(), Errno> {
        let mut gone = None;
        let echoed = self
            .channel
            .answers(sent, bytes, refused, |_, header, payload| {
                if header.kind == RTM_DELLINK {
                    gone = Link::parse(payload);
                }
                reply(header, payload);
            })?;
        if echoed && let Some(link) = gone {
            // The kernel echoes while it still holds the lock of all links. Whoever asks for one
            // waits for that lock, and by then everything that bears its name is gone too.
            let _ = self.find_link(link.index);
        }
        Ok(())
    }

    /// Sends one request that is answered by one message.
    pub(super) fn ask<T>(
        &self,
        mut request: Request,
        parse: impl FnMut(Header, &[u8]) -> T,
    ) -> Result<T> {
        let mut bytes = std::mem::take(&mut request.buffer).into_bytes();
        self.channel
            .ask(&mut bytes, parse)
            .map_err(|r| request.error(r.errno, r.words))
    }

    /// Dumps, with what `parse` returns `None` for left out.
    pub(super) fn dump<T>(
        &self,
        request: Request,
        parse: impl FnMut(Header, &[u8]) -> Option<T>,
    ) -> Result<Vec<T>> {
        Ok(self.dump_in_parts(request, parse)?.found)
    }

    pub(super) fn dump_in_parts<T>(
        &self,
        mut request: Request,
        parse: impl FnMut(Header, &[u8]) -> Option<T>,
    ) -> Result<Dump<T>> {
        let mut bytes = std::mem::take(&mut request.buffer).into_bytes();
        self.channel
            .dump(&mut bytes, parse)
            .map_err(|r| request.error(r.errno, r.words))
    }
}
