//! One blocking netlink socket: send, receive, sort the answers.

use std::cell::{Cell, RefCell};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::netlink::NETFILTER;
#[cfg(fuzzing)]
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::net::{Protocol, RecvFlags, SendFlags};

use super::endpoint::{self, set_option};
use super::{Attributes, HEADER_LEN, NLM_F_ACK, align};
use crate::reaper;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;
const NETLINK_GET_STRICT_CHK: i32 = 12;

/// The kernel fills dump messages up to 32 KiB if the reader's buffer holds that much.
const RECEIVE_LEN: usize = 32 * 1024;
/// A dump that changes under the reader is read again this many times before giving up.
const DUMP_TRIES: u32 = 100;

/// Says whether to read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// More messages are expected.
    More,
    /// This was the last one.
    Done,
}

/// How the messages of one transaction belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// They do not; the last is acknowledged.
    Plain,
    /// The first begins and the last ends an nfnetlink batch. The kernel acknowledges the end only
    /// from Linux 6.10, so the message before it is asked for; and it answers the begin with an
    /// error when it refuses all.
    NfBatch,
    /// They do not, and the last removes a link. The kernel echoes that once the link is gone, and
    /// acknowledges it when it is freed: a reaper waits for that.
    Removal,
}

/// Messages whose answers are still to be read.
#[derive(Debug)]
pub(crate) struct Sent {
    first: u32,
    last: u32,
    acknowledged: u32,
    is_batch: bool,
    /// The process that sends them, readable when it has ended.
    reaper: Option<OwnedFd>,
}

/// What precedes a message's payload.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
}

/// Why a message was refused: the error number (positive) and the kernel's words.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) errno: i32,
    pub(crate) words: String,
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self {
            errno: errno.raw_os_error(),
            words: String::new(),
        }
    }
}

/// What a dump returned.
#[derive(Debug)]
pub(crate) struct Dump<T> {
    pub(crate) found: Vec<T>,
    /// How many datagrams it came in: the kernel reads each at one moment.
    pub(crate) parts: usize,
}

/// A blocking netlink socket in the namespace it was opened in.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: OwnedFd,
    /// Closing it may take long: of nfnetlink.
    closes_slowly: bool,
    /// Things were deleted by it.
    deleted: Cell<bool>,
    sequence: Cell<u32>,
    strict: Cell<bool>,
    buffer: RefCell<Vec<u8>>,
}

impl Drop for Channel {
    fn drop(&mut self) {
        if self.closes_slowly
            && reaper::is_allowed()
            && let Ok(socket) = self.socket.try_clone()
        {
            reaper::hold(socket, self.deleted.get());
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Channel {
    /// Opens a socket of a netlink protocol (`NETLINK_ROUTE`, `NETLINK_NETFILTER`) in the current
    /// thread's network namespace.
    pub(crate) fn open(protocol: Option<Protocol>) -> Result<Self, Errno> {
        let mut channel = Self::on(endpoint::connected(protocol)?, endpoint::first_sequence());
        channel.closes_slowly = protocol == Some(NETFILTER);
        Ok(channel)
    }

    /// Opens a socket that only hears of the events of some groups (bits), in the current thread's
    /// network namespace.
    pub(crate) fn subscribe(protocol: Option<Protocol>, groups: u32) -> Result<Self, Errno> {
        Ok(Self::on(endpoint::subscribed(protocol, groups)?, 0))
    }

    /// Has the kernel keep so many bytes for a reader that is late, as far as it allows it.
    pub(crate) fn keep(&self, bytes: usize) {
        let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
        for option in [libc::SO_RCVBUFFORCE, libc::SO_RCVBUF] {
            if set_option(&self.socket, libc::SOL_SOCKET, option, bytes).is_ok() {
                return;
            }
        }
    }

    fn on(socket: OwnedFd, sequence: u32) -> Self {
        Self {
            socket,
            closes_slowly: false,
            deleted: Cell::new(false),
            sequence: Cell::new(sequence),
            strict: Cell::new(false),
            buffer: RefCell::new(Vec::new()),
        }
    }

    /// A socket whose kernel has sent these datagrams already, and says nothing more.
    #[cfg(fuzzing)]
    pub(crate) fn answered<'d>(
        datagrams: impl Iterator<Item = &'d [u8]>,
    ) -> Result<(Self, OwnedFd), Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (socket, kernel) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
        for datagram in datagrams {
            rustix::net::send(&kernel, datagram, SendFlags::empty())?;
        }
        let channel = Self::on(socket, 0);
        channel.strict.set(true);
        Ok((channel, kernel))
    }

    /// Asks the kernel to filter dumps by the attributes of the request.
    fn ensure_strict(&self) {
        if !self.strict.replace(true) {
            // Kernels before 4.20 do not know it; the readers filter once more themselves.
            let _ = set_option(&self.socket, libc::SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
        }
    }

    /// Sends the messages of `bytes` in one system call, an ACK asked of one only, and hands on
    /// what comes back until that ACK: `refused(index, refusal)` for each message that failed,
    /// `reply(index, header, payload)` for each other answer.
    ///
    /// The kernel handles the messages in order, and goes on after one that failed. Returns whether
    /// an echo stood for the ACK, which is still to come then.
    pub(crate) fn transact(
        &self,
        bytes: &mut [u8],
        framing: Framing,
        refused: impl FnMut(usize, Refusal),
        reply: impl FnMut(usize, Header, &[u8]),
    ) -> Result<bool, Errno> {
        let sent = self.post(bytes, framing)?;
        self.answers(sent, bytes, refused, reply)
    }

    /// The first half of [`transact`](Self::transact): the messages are sent, or a reaper sends
    /// them now.
    pub(crate) fn post(&self, bytes: &mut [u8], framing: Framing) -> Result<Sent, Errno> {
        let sequences = self.number(bytes);
        let acknowledged = match framing {
            Framing::Plain | Framing::Removal => *sequences.end(),
            Framing::NfBatch => *sequences.end() - 1,
        };
        ask_for_ack(bytes, acknowledged);
        let reaper = match framing {
            Framing::Removal => reaper::send(self.socket.as_fd(), bytes),
            Framing::Plain | Framing::NfBatch => None,
        };
        if reaper.is_none() {
            self.send(bytes)?;
        }
        Ok(Sent {
            first: *sequences.start(),
            last: *sequences.end(),
            acknowledged,
            is_batch: framing == Framing::NfBatch,
            reaper,
        })
    }

    /// The second half of [`transact`](Self::transact): waits for the answers to `bytes`.
    pub(crate) fn answers(
        &self,
        sent: Sent,
        bytes: &[u8],
        mut refused: impl FnMut(usize, Refusal),
        mut reply: impl FnMut(usize, Header, &[u8]),
    ) -> Result<bool, Errno> {
        let by_reaper = self.is_answered(sent.reaper.as_ref())?;
        // One that was killed before it sent anything leaves no answer.
        if sent.reaper.is_some() && !by_reaper {
            self.send(bytes)?;
        }
        let mut echoed = false;
        self.receive_while(|header, payload| {
            if !(sent.first..=sent.last).contains(&header.sequence) {
                return Flow::More;
            }
            let index = (header.sequence - sent.first) as usize;
            if header.kind != NLMSG_ERROR {
                reply(index, header, payload);
                echoed = by_reaper && header.sequence == sent.acknowledged;
                return if echoed { Flow::Done } else { Flow::More };
            }
            let refusal = refusal_of(header, payload);
            if refusal.errno != 0 {
                refused(index, refusal);
            }
            let all_refused = sent.is_batch && index == 0;
            if header.sequence == sent.acknowledged || all_refused {
                Flow::Done
            } else {
                Flow::More
            }
        })?;
        Ok(echoed)
    }

    /// Sends one request that is answered by exactly one message, without an ACK.
    pub(crate) fn ask<T>(
        &self,
        bytes: &mut [u8],
        mut reply: impl FnMut(Header, &[u8]) -> T,
    ) -> Result<T, Refusal> {
        let sequence = *self.number(bytes).start();
        self.send(bytes)?;
        let mut answer = None;
        self.receive_while(|header, payload| {
            if header.sequence != sequence {
                return Flow::More;
            }
            answer = Some(if header.kind == NLMSG_ERROR {
                Err(refusal_of(header, payload))
            } else {
                Ok(reply(header, payload))
            });
            Flow::Done
        })?;
        answer.unwrap_or_else(|| Err(Errno::IO.into()))
    }

    /// Dumps, from the start again if the kernel says that the table changed meanwhile.
    pub(crate) fn dump<T>(
        &self,
        bytes: &mut [u8],
        mut reply: impl FnMut(Header, &[u8]) -> Option<T>,
    ) -> Result<Dump<T>, Refusal> {
        self.ensure_strict();
        for _ in 0..DUMP_TRIES {
            if let Some(dump) = self.dump_once(bytes, &mut reply)? {
                return Ok(dump);
            }
        }
        Err(Refusal {
            errno: libc::EINTR,
            words: "the table changes faster than it is read".into(),
        })
    }

    /// One dump; `None` if it was interrupted by a change.
    fn dump_once<T>(
        &self,
        bytes: &mut [u8],
        reply: &mut impl FnMut(Header, &[u8]) -> Option<T>,
    ) -> Result<Option<Dump<T>>, Refusal> {
        let sequence = *self.number(bytes).start();
        self.send(bytes)?;
        let mut dump = Dump {
            found: Vec::new(),
            parts: 0,
        };
        let (mut interrupted, mut refused) = (false, None);
        loop {
            let before = dump.found.len();
            let flow =
                self.receive(RecvFlags::empty(), &mut |header: Header, payload: &[u8]| {
                    if header.sequence != sequence {
                        return Flow::More;
                    }
                    interrupted |= header.flags & NLM_F_DUMP_INTR != 0;
                    if matches!(header.kind, NLMSG_ERROR | NLMSG_DONE) {
                        let refusal = refusal_of(header, payload);
                        refused = (refusal.errno != 0).then_some(refusal);
                        return Flow::Done;
                    }
                    dump.found.extend(reply(header, payload));
                    Flow::More
                })?;
            dump.parts += usize::from(dump.found.len() > before);
            if flow == Flow::Done {
                break;
            }
        }
        match refused {
            // nf_tables ends an interrupted dump with EINTR.
            Some(refusal) if refusal.errno == libc::EINTR => Ok(None),
            Some(refusal) => Err(refusal),
            None => Ok((!interrupted).then_some(dump)),
        }
    }

    /// Gives consecutive sequence numbers to the messages of `bytes`.
    fn number(&self, bytes: &mut [u8]) -> RangeInclusive<u32> {
        let mut first = self.sequence.get().wrapping_add(1);
        if bytes.len() > (u32::MAX - first) as usize {
            first = 1;
        }
        let mut next = first;
        let mut at = 0;
        while let Some(length) = message_length(bytes, at) {
            bytes[at + 8..at + 12].copy_from_slice(&next.to_ne_bytes());
            next += 1;
            at += align(length);
        }
        self.sequence.set(next - 1);
        first..=next - 1
    }

    /// Waits until there is an answer to what a reaper sends, or the reaper has ended.
    fn is_answered(&self, reaper: Option<&OwnedFd>) -> Result<bool, Errno> {
        let Some(reaper) = reaper else {
            return Ok(false);
        };
        let mut either = [
            PollFd::new(&self.socket, PollFlags::IN),
            PollFd::new(reaper, PollFlags::IN),
        ];
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut either, None))?;
        Ok(!either[0].revents().is_empty())
    }

    /// Notes that closing this socket has the kernel wait until what was deleted is freed.
    pub(crate) fn has_deleted(&self) {
        self.deleted.set(true);
    }

    fn send(&self, bytes: &[u8]) -> Result<(), Errno> {
        // The default send buffer (rmem_default, 208 KiB) holds a message of about half its size.
        if bytes.len() > 64 * 1024 {
            let wanted = i32::try_from(bytes.len() * 4).unwrap_or(i32::MAX);
            let _ = set_option(&self.socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, wanted);
            let _ = set_option(&self.socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, wanted);
        }
        rustix::io::retry_on_intr(|| rustix::net::send(&self.socket, bytes, SendFlags::empty()))?;
        Ok(())
    }

    /// Receives and hands on messages until `each` says that it is done.
    pub(crate) fn receive_while(
        &self,
        mut each: impl FnMut(Header, &[u8]) -> Flow,
    ) -> Result<(), Errno> {
        while self.receive(RecvFlags::empty(), &mut each)? == Flow::More {}
        Ok(())
    }

    /// Receives once (one datagram with one or more messages). Hands on nothing of one that the
    /// kernel did not send.
    pub(crate) fn receive(
        &self,
        flags: RecvFlags,
        each: &mut impl FnMut(Header, &[u8]) -> Flow,
    ) -> Result<Flow, Errno> {
        let mut buffer = self.buffer.borrow_mut();
        // Not zeroed: most answers touch one page of it, and a page fault costs more than they do.
        buffer.clear();
        buffer.reserve_exact(RECEIVE_LEN);
        let Some(length) = endpoint::receive(&self.socket, &mut buffer, flags)? else {
            return Ok(Flow::More);
        };
        let mut at = 0;
        while let Some(size) = message_length(&buffer[..length], at) {
            let message = &buffer[at..at + size];
            let header = Header {
                kind: u16::from_ne_bytes([message[4], message[5]]),
                flags: u16::from_ne_bytes([message[6], message[7]]),
                sequence: u32::from_ne_bytes([message[8], message[9], message[10], message[11]]),
            };
            if each(header, &message[HEADER_LEN..]) == Flow::Done {
                return Ok(Flow::Done);
            }
            at += align(size);
        }
        Ok(Flow::More)
    }
}

/// The length of the message at an offset, if a whole one is there.
fn message_length(bytes: &[u8], at: usize) -> Option<usize> {
    let header = bytes.get(at..at + HEADER_LEN)?;
    let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
    (length >= HEADER_LEN && at + length <= bytes.len()).then_some(length)
}

/// Sets the ACK flag of the message with a sequence number.
fn ask_for_ack(bytes: &mut [u8], sequence: u32) {
    let mut at = 0;
    while let Some(length) = message_length(bytes, at) {
        if bytes[at + 8..at + 12] == sequence.to_ne_bytes() {
            let flags = u16::from_ne_bytes([bytes[at + 6], bytes[at + 7]]) | NLM_F_ACK;
            bytes[at + 6..at + 8].copy_from_slice(&flags.to_ne_bytes());
        }
        at += align(length);
    }
}

/// Reads an NLMSG_ERROR or NLMSG_DONE: the error number and the extended ACK's text.
fn refusal_of(header: Header, payload: &[u8]) -> Refusal {
    let code = payload.first_chunk().map_or(0, |b| i32::from_ne_bytes(*b));
    let mut words = String::new();
    if header.flags & NLM_F_ACK_TLVS != 0 {
        let skip = match header.kind {
            NLMSG_DONE => 4,
            _ if header.flags & NLM_F_CAPPED != 0 => 4 + HEADER_LEN,
            // Without the cap, the whole refused message comes before the explanation.
            _ => {
                4 + message_length(payload.get(4..).unwrap_or_default(), 0)
                    .map_or(HEADER_LEN, align)
            }
        };
        if let Some(text) =
            Attributes::find(payload.get(skip..).unwrap_or_default(), NLMSGERR_ATTR_MSG)
        {
            words = text.string();
        }
    }
    Refusal {
        errno: code.saturating_neg(),
        words,
    }
}
