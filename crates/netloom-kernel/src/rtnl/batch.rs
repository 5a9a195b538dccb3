//! Several requests in one system call.

use super::link::RTM_NEWLINK;
use super::{Link, Socket};
use crate::error::{Error, Result};
use crate::netlink::Request;

/// Requests that go to the kernel in one sendmsg(2), with one ACK for all.
///
/// A batch is not a transaction: the kernel handles the requests in order, and **goes on after one
/// that failed**. [`Batch::commit`] reports the first failure; what came before it has been done,
/// and what came after it was tried too.
#[derive(Debug)]
#[must_use = "nothing happens before commit()"]
pub struct Batch<'s> {
    socket: &'s Socket,
    bytes: Vec<u8>,
    requests: Vec<Request>,
}

/// What came of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The links created, in order.
    pub created: Vec<Link>,
    /// The requests that failed: each one's index in the batch, and why.
    pub failures: Vec<(usize, Error)>,
}

impl Socket {
    /// Begins a batch of requests.
    pub fn batch(&self) -> Batch<'_> {
        Batch {
            socket: self,
            bytes: Vec::with_capacity(512),
            requests: Vec::with_capacity(8),
        }
    }
}

impl Batch<'_> {
    pub(super) fn push(&mut self, mut request: Request) -> &mut Self {
        self.bytes
            .extend_from_slice(std::mem::take(&mut request.buffer).bytes());
        self.requests.push(request);
        self
    }

    /// How many requests wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether no request waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Sends the requests and waits until the kernel has handled the last. Returns the links
    /// created, in order.
    ///
    /// # Errors
    /// The first request that failed, as if it had been sent alone.
    pub fn commit(self) -> Result<Vec<Link>> {
        let outcome = self.commit_all()?;
        match outcome.failures.into_iter().next() {
            None => Ok(outcome.created),
            Some((_, error)) => Err(error),
        }
    }

    /// Like [`Batch::commit`], but tells all that came of it.
    ///
    /// # Errors
    /// If the batch could not be sent at all.
    pub fn commit_all(mut self) -> Result<Outcome> {
        let (mut created, mut failures) = (Vec::new(), Vec::new());
        if self.requests.is_empty() {
            return Ok(Outcome { created, failures });
        }
        let requests = &self.requests;
        let last = requests.last().map_or(0, |request| request.kind);
        self.socket
            .transact(
                &mut self.bytes,
                last,
                |index, refusal| {
                    if let Some(request) = requests.get(index)
                        && !request.forgives(refusal.errno)
                    {
                        failures.push((index, request.error(refusal.errno, refusal.words)));
                    }
                },
                |header, payload| {
                    if header.kind == RTM_NEWLINK {
                        created.extend(Link::parse(payload));
                    }
                },
            )
            .map_err(|e| Error::of("send", format_args!("{} requests", requests.len()), e))?;
        Ok(Outcome { created, failures })
    }
}
