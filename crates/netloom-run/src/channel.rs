//! What the processes of a pod say to each other: a JSON document a line.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Doing, Error, Result};

/// More than any specification of a pod.
const LONGEST: u64 = 64 << 20;

/// What the shim tells the foreground.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum News {
    /// The command runs.
    Started,
    /// It does not, and nothing is left.
    Failed {
        /// The exit status.
        status: u8,
        /// Why.
        words: String,
    },
    /// The command ended; its networks are deleted when this was answered.
    Ended,
    /// All is done.
    Done {
        /// The exit status.
        status: u8,
        /// What could not be taken away.
        left: Vec<String>,
    },
}

/// What the foreground tells the shim.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Order {
    /// Hand this signal on to the command.
    Signal(i32),
    /// The terminal is as it was: go on.
    GoOn,
}

/// One end of a connection between two processes of a pod.
pub(crate) struct Channel {
    reader: BufReader<UnixStream>,
}

impl Channel {
    /// Both ends.
    pub(crate) fn pair() -> Result<(Self, Self)> {
        let (one, other) = UnixStream::pair().doing(|| "make a pair of sockets")?;
        Ok((Self::over(one), Self::over(other)))
    }

    pub(crate) fn from_descriptor(fd: OwnedFd) -> Self {
        Self::over(UnixStream::from(fd))
    }

    fn over(stream: UnixStream) -> Self {
        let reader = BufReader::new(stream);
        Self { reader }
    }

    pub(crate) fn socket(&self) -> &UnixStream {
        self.reader.get_ref()
    }

    /// Whether a line may be in the buffer already, of which poll(2) knows nothing.
    pub(crate) fn has_more(&self) -> bool {
        self.reader.buffer().contains(&b'\n')
    }

    pub(crate) fn send(&mut self, message: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(message).doing(|| "encode a message")?;
        line.push(b'\n');
        self.reader
            .get_mut()
            .write_all(&line)
            .doing(|| "send a message")
    }

    /// The next message; `None` when the other end is gone.
    pub(crate) fn receive<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        let mut line = Vec::new();
        let read = (&mut self.reader)
            .take(LONGEST)
            .read_until(b'\n', &mut line);
        match read {
            Ok(0) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(Error::of("receive a message", error)),
            Ok(_) => {}
        }
        serde_json::from_slice(&line)
            .map(Some)
            .doing(|| "decode a message")
    }
}
