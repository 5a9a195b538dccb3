//! The plugin's end: one call, with a time limit.

#[cfg(fuzzing)]
pub(crate) mod fuzzing;

use super::super::gob::{Decoder, GobError, Record};
use super::answer::{BadValue, WireResult};
use super::{CONNECT, CmdArgs, HEAD_MAX, Method, Response, call, no_such_method};
use crate::wiring::setup_error::one_line;
use netloom_spec::AddResult;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum CallError {
    /// Nobody answers at the socket.
    #[error("error dialing DHCP daemon: {socket}: {cause}")]
    Dial { socket: String, cause: io::Error },
    /// Somebody answers, but not as a daemon of this protocol does.
    #[error("error dialing DHCP daemon: {socket}: unexpected answer {answer:?}")]
    NoDaemon { socket: String, answer: String },
    /// The conversation broke off, or took too long.
    #[error("error calling {method}: {cause}")]
    Broken {
        method: &'static str,
        cause: io::Error,
    },
    #[error("error calling {method}: {cause}")]
    Gob {
        method: &'static str,
        cause: GobError,
    },
    #[error("error calling {method}: {cause}")]
    Value {
        method: &'static str,
        cause: BadValue,
    },
    /// The daemon refused or failed.
    #[error("error calling {method}: {error}")]
    Refused { method: &'static str, error: String },
    /// The daemon does not know the method: it is the reference's.
    #[error("error calling {0}: the daemon does not have it")]
    NoMethod(&'static str),
}

impl CallError {
    /// No daemon is there to be called.
    pub(in super::super) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Dial { .. } | Self::NoDaemon { .. })
    }
}

/// A connection to a daemon.
#[derive(Debug)]
pub(in super::super) struct Client {
    stream: UnixStream,
    deadline: Instant,
}

impl Client {
    /// Connects, and makes sure that a daemon answers.
    pub(in super::super) fn connect(socket: &Path, limit: Duration) -> Result<Self, CallError> {
        let failed = |cause| CallError::Dial {
            socket: socket.display().to_string(),
            cause,
        };
        let stream = UnixStream::connect(socket).map_err(failed)?;
        let mut client = Self {
            stream,
            deadline: Instant::now() + limit,
        };
        let answer = client.shake_hands().map_err(failed)?;
        if answer.split(' ').nth(1) == Some("200") {
            return Ok(client);
        }
        Err(CallError::NoDaemon {
            socket: socket.display().to_string(),
            answer,
        })
    }

    /// Returns the first line of the answer. Nothing follows the head before a call was made.
    fn shake_hands(&mut self) -> io::Result<String> {
        self.stream.write_all(CONNECT.as_bytes())?;
        let mut head = Vec::new();
        while !head.ends_with(b"\n\n") && !head.ends_with(b"\r\n\r\n") {
            if head.len() > HEAD_MAX {
                return Err(io::Error::other("the answer to CONNECT is too long"));
            }
            self.receive(&mut head)?;
        }
        let head = String::from_utf8_lossy(&head);
        Ok(head.lines().next().unwrap_or_default().to_owned())
    }

    /// Appends what arrives next.
    fn receive(&mut self, to: &mut Vec<u8>) -> io::Result<()> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                to.extend_from_slice(&buffer[..count]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(io::ErrorKind::TimedOut.into())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Calls a method that returns a result.
    pub(in super::super) fn result(
        mut self,
        method: Method,
        args: &CmdArgs,
    ) -> Result<AddResult, CallError> {
        let mut decoder = self.head(method, args)?;
        let name = method.name();
        let result: WireResult = self.next(name, &mut decoder)?;
        result.into_result().map_err(|cause| CallError::Value {
            method: name,
            cause,
        })
    }

    /// Calls a method that returns nothing.
    pub(in super::super) fn nothing(
        mut self,
        method: Method,
        args: &CmdArgs,
    ) -> Result<(), CallError> {
        self.head(method, args).map(drop)
    }

    /// Sends the call and reads the head of the answer.
    fn head(&mut self, method: Method, args: &CmdArgs) -> Result<Decoder, CallError> {
        let name = method.name();
        (self.stream.write_all(&call(method, args))).map_err(|cause| CallError::Broken {
            method: name,
            cause,
        })?;
        let mut decoder = Decoder::default();
        let response: Response = self.next(name, &mut decoder)?;
        match response.into_error() {
            None => Ok(decoder),
            Some(error) if error == no_such_method(name) => Err(CallError::NoMethod(name)),
            Some(error) => Err(CallError::Refused {
                method: name,
                error: one_line(&error),
            }),
        }
    }

    fn next<T: Record>(
        &mut self,
        method: &'static str,
        decoder: &mut Decoder,
    ) -> Result<T, CallError> {
        loop {
            let next = decoder.next();
            if let Some(value) = next.map_err(|cause| CallError::Gob { method, cause })? {
                return Ok(value);
            }
            let mut received = Vec::new();
            self.receive(&mut received)
                .map_err(|cause| CallError::Broken { method, cause })?;
            decoder.feed(&received);
        }
    }
}
