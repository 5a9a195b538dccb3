//! Netlink by hand (netlink(7)): requests are appended to one buffer, sent at once, and the last is acknowledged.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

pub(crate) const REQUEST: u16 = 1;
pub(crate) const ACK: u16 = 4;
pub(crate) const ECHO: u16 = 8;
pub(crate) const REPLACE: u16 = 0x100;
pub(crate) const EXCL: u16 = 0x200;
pub(crate) const CREATE: u16 = 0x400;
const NESTED: u16 = 0x8000;
const ERROR: u16 = 2;
const HEADER: usize = 16;

/// Messages for one `send`, each numbered from 1.
#[derive(Default)]
pub(crate) struct Request {
    bytes: Vec<u8>,
    messages: u32,
}

impl Request {
    /// Appends a message: its type, flags, fixed part and attributes.
    pub(crate) fn message(
        &mut self,
        kind: u16,
        flags: u16,
        fixed: &[u8],
        attributes: impl FnOnce(&mut Self),
    ) {
        self.messages += 1;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes
            .extend_from_slice(&(REQUEST | flags).to_ne_bytes());
        self.bytes.extend_from_slice(&self.messages.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(fixed);
        attributes(self);
        let length = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    pub(crate) fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.bytes
            .extend_from_slice(&((value.len() + 4) as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    pub(crate) fn text(&mut self, kind: u16, value: &str) {
        self.attribute(kind, &[value.as_bytes(), b"\0"].concat());
    }

    /// Appends an attribute that holds a fixed part, often empty, and attributes.
    pub(crate) fn nest(&mut self, kind: u16, fixed: &[u8], attributes: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.attribute(kind | NESTED, fixed);
        attributes(self);
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }
}

pub(crate) struct Socket(OwnedFd);

impl Socket {
    pub(crate) fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        Ok(Self(socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            flags,
            protocol,
        )?))
    }

    /// Sends, and reads up to the acknowledgement of message `last`, or up to the first answer if none is asked for.
    /// Returns the first message that is no acknowledgement, without its header.
    pub(crate) fn exchange(&self, request: &Request, last: Option<u32>) -> io::Result<Vec<u8>> {
        send(&self.0, &request.bytes, SendFlags::empty())?;
        let mut answer = Vec::new();
        loop {
            let mut buffer = [0; 16 * 1024];
            let (_, received) = recv(&self.0, &mut buffer, RecvFlags::empty())?;
            let mut rest = &buffer[..received];
            while rest.len() >= HEADER {
                let length = number(rest, 0) as usize;
                let (message, after) = rest.split_at(length.next_multiple_of(4).min(rest.len()));
                rest = after;
                if number(message, 4) as u16 != ERROR {
                    answer = message[HEADER..].to_vec();
                    if last.is_none() {
                        return Ok(answer);
                    }
                } else if number(message, HEADER) != 0 {
                    let errno = (number(message, HEADER) as i32).wrapping_neg();
                    return Err(io::Error::from_raw_os_error(errno));
                } else if Some(number(message, 8)) == last {
                    return Ok(answer);
                }
            }
        }
    }
}

/// The four bytes at an offset as a number of this machine.
pub(crate) fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The value of the first attribute of a kind.
pub(crate) fn find(mut attributes: &[u8], kind: u16) -> Option<&[u8]> {
    while attributes.len() >= 4 {
        let length = usize::from(number(attributes, 0) as u16);
        if (number(attributes, 0) >> 16) as u16 == kind {
            return attributes.get(4..length);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
    None
}
