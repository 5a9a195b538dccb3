//! One plugin on the socket. Nothing here waits.

use super::super::gob::{Decoder, GobError, MESSAGE_MAX};
use super::super::rpc::answer::Answers;
use super::super::rpc::{CONNECTED, CmdArgs, HEAD_MAX, Request};
use netloom_spec::AddResult;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// A call that has arrived in full.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) sequence: u64,
    pub(super) args: CmdArgs,
}

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The other end closed it.
    #[error("closed")]
    Closed,
    #[error("not a CONNECT to /_goRPC_")]
    NoConnect,
    #[error("more than {MESSAGE_MAX} bytes are waiting")]
    TooMuch,
    #[error(transparent)]
    Gob(#[from] GobError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    /// What has arrived of the head; `None` once it was answered.
    head: Option<Vec<u8>>,
    decoder: Decoder,
    request: Option<Request>,
    answers: Answers,
    out: Vec<u8>,
    /// A call is being answered; the next one has to wait.
    pub(super) busy: bool,
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Connection {
    pub(super) fn new(stream: UnixStream) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            head: Some(Vec::new()),
            decoder: Decoder::default(),
            request: None,
            answers: Answers::default(),
            out: Vec::new(),
            busy: false,
        })
    }

    /// Takes what has arrived.
    pub(super) fn read(&mut self) -> Result<(), End> {
        let mut buffer = [0; 8192];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(End::Closed),
                Ok(count) => self.take(&buffer[..count])?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), End> {
        let Some(head) = &mut self.head else {
            self.decoder.feed(bytes);
            // A message may be that long, and the next may have begun.
            if self.decoder.waiting() > MESSAGE_MAX + HEAD_MAX {
                return Err(End::TooMuch);
            }
            return Ok(());
        };
        head.extend_from_slice(bytes);
        let Some(end) = end_of_head(head) else {
            return if head.len() > HEAD_MAX {
                Err(End::NoConnect)
            } else {
                Ok(())
            };
        };
        if !head.starts_with(b"CONNECT /_goRPC_ HTTP/1.") {
            self.out.extend_from_slice(b"HTTP/1.0 400 Bad Request\n\n");
            self.flush()?;
            return Err(End::NoConnect);
        }
        let rest = head.split_off(end);
        self.head = None;
        self.out.extend_from_slice(CONNECTED.as_bytes());
        self.take(&rest)
    }

    /// The next call, unless one is being answered.
    pub(super) fn next_call(&mut self) -> Result<Option<Call>, End> {
        if self.busy {
            return Ok(None);
        }
        if self.request.is_none() {
            self.request = self.decoder.next()?;
        }
        if self.request.is_none() {
            return Ok(None);
        }
        let Some(args) = self.decoder.next()? else {
            return Ok(None);
        };
        self.busy = true;
        let request = self.request.take().unwrap_or_default();
        Ok(Some(Call {
            method: request.method,
            sequence: request.sequence,
            args,
        }))
    }

    /// Answers the call that is being answered.
    pub(super) fn answer(&mut self, method: &str, sequence: u64, answer: &Answer) {
        let bytes = match answer {
            Answer::Result(result) => self.answers.result(method, sequence, result),
            Answer::Nothing => self.answers.nothing(method, sequence),
            Answer::Error(error) => self.answers.error(method, sequence, error),
        };
        self.out.extend(bytes);
        self.busy = false;
    }

    /// Sends what there is to send. False if some is left for later.
    pub(super) fn flush(&mut self) -> Result<bool, End> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(count) => drop(self.out.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}

/// What a call is answered with.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Result(AddResult),
    Nothing,
    Error(String),
}

/// The offset after the empty line. Go ends lines with a newline alone.
fn end_of_head(head: &[u8]) -> Option<usize> {
    let ends = [&b"\n\n"[..], b"\r\n\r\n"];
    let found = ends.iter().filter_map(|end| {
        let at = head.windows(end.len()).position(|window| window == *end)?;
        Some(at + end.len())
    });
    found.min()
}
