//! As much of D-Bus as it takes to call a method with strings and read a string or a truth value.

#[cfg(fuzzing)]
pub(crate) mod fuzzing;

use crate::wiring::setup_error::one_line;
use std::env;
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Duration;

/// Where the system bus is if nothing else is said.
const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";
/// As long as other clients wait for an answer.
const PATIENCE: Duration = Duration::from_secs(25);
/// Bytes; no answer to what is asked here is near it.
const MESSAGE_MAX: usize = 1 << 20;

const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;

/// Codes of header fields.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DbusError {
    #[error("no bus at {0:?}: it must be unix:path=… or unix:abstract=…")]
    Address(String),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the bus does not let us in: {0:?}")]
    Denied(String),
    #[error("the answer is not D-Bus: {0}")]
    Malformed(&'static str),
    /// The other end answered with an error.
    #[error("{name}: {message}")]
    Refused { name: String, message: String },
}

type Result<T> = std::result::Result<T, DbusError>;

/// Which method of which object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Method<'a> {
    pub(super) destination: &'a str,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) member: &'a str,
}

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    bytes: Vec<u8>,
    signature: String,
    big_endian: bool,
}

impl Answer {
    /// True if the answer is `true`.
    pub(super) fn is_true(&self) -> Result<bool> {
        if !self.signature.starts_with('b') {
            return Err(DbusError::Malformed("no truth value"));
        }
        Ok(self.reader().u32()? == 1)
    }

    fn reader(&self) -> Reader<'_> {
        Reader {
            bytes: &self.bytes,
            at: 0,
            big_endian: self.big_endian,
        }
    }
}

/// A connection to the system bus.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    serial: u32,
}

impl Connection {
    /// Connects to the bus that `DBUS_SYSTEM_BUS_ADDRESS` names, or to the usual one.
    pub(super) fn open() -> Result<Self> {
        let named = env::var("DBUS_SYSTEM_BUS_ADDRESS").ok();
        let address = named.filter(|address| !address.is_empty());
        let stream = connect(address.as_deref().unwrap_or(SYSTEM_BUS))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut connection = Self { stream, serial: 0 };
        connection.authenticate()?;
        connection.call(
            Method {
                destination: "org.freedesktop.DBus",
                path: "/org/freedesktop/DBus",
                interface: "org.freedesktop.DBus",
                member: "Hello",
            },
            &[],
        )?;
        Ok(connection)
    }

    /// The socket tells who we are; we only say so.
    fn authenticate(&mut self) -> Result<()> {
        let uid = rustix::process::geteuid().as_raw().to_string();
        let mut hex = String::new();
        for byte in uid.bytes() {
            hex.push_str(&format!("{byte:02x}"));
        }
        let hello = format!("\0AUTH EXTERNAL {hex}\r\n");
        self.stream.write_all(hello.as_bytes())?;
        let line = self.line()?;
        if !line.starts_with("OK") {
            return Err(DbusError::Denied(line));
        }
        self.stream.write_all(b"BEGIN\r\n")?;
        Ok(())
    }

    /// Reads byte by byte: what follows the line is not text.
    fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") {
            if line.len() > 1024 {
                return Err(DbusError::Malformed("an endless line"));
            }
            self.stream.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        Ok(String::from_utf8_lossy(line.trim_ascii_end()).into_owned())
    }

    /// Calls a method with strings as arguments, and waits for its answer.
    pub(super) fn call(&mut self, method: Method<'_>, arguments: &[&str]) -> Result<Answer> {
        self.serial += 1;
        self.stream
            .write_all(&encode(self.serial, method, arguments))?;
        loop {
            let message = self.message()?;
            // The bus sends signals too.
            if message.reply_to != self.serial {
                continue;
            }
            match message.kind {
                METHOD_RETURN => return Ok(message.body),
                ERROR => {
                    let is_text = message.body.signature.starts_with('s');
                    let text = if is_text {
                        message.body.reader().string()?
                    } else {
                        String::new()
                    };
                    return Err(DbusError::Refused {
                        name: one_line(&message.error_name),
                        message: one_line(&text),
                    });
                }
                _ => {}
            }
        }
    }

    fn message(&mut self) -> Result<Message> {
        let mut head = [0; 16];
        self.stream.read_exact(&mut head)?;
        let big_endian = match head[0] {
            b'l' => false,
            b'B' => true,
            _ => return Err(DbusError::Malformed("an unknown byte order")),
        };
        let mut reader = Reader {
            bytes: &head,
            at: 4,
            big_endian,
        };
        let body = reader.u32()? as usize;
        reader.at = 12;
        let fields = reader.u32()? as usize;
        if body > MESSAGE_MAX || fields > MESSAGE_MAX {
            return Err(DbusError::Malformed("a message that is too long"));
        }
        // Kept behind the head, so that everything is aligned as it was on its way.
        let mut bytes = head.to_vec();
        bytes.resize(16 + fields.next_multiple_of(8) + body, 0);
        self.stream.read_exact(&mut bytes[16..])?;
        Message::parse(&bytes, head[1], fields, big_endian)
    }
}

/// A message as far as it matters here.
struct Message {
    kind: u8,
    reply_to: u32,
    error_name: String,
    body: Answer,
}

impl Message {
    fn parse(bytes: &[u8], kind: u8, fields: usize, big_endian: bool) -> Result<Self> {
        let mut reader = Reader {
            bytes,
            at: 16,
            big_endian,
        };
        let (mut reply_to, mut error_name, mut signature) = (0, String::new(), String::new());
        while reader.at < 16 + fields {
            reader.align(8);
            let code = reader.u8()?;
            match (reader.signature()?.as_str(), code) {
                ("u", REPLY_SERIAL) => reply_to = reader.u32()?,
                ("u", _) => drop(reader.u32()?),
                ("s", ERROR_NAME) => error_name = reader.string()?,
                ("s" | "o", _) => drop(reader.string()?),
                ("g", SIGNATURE) => signature = reader.signature()?,
                ("g", _) => drop(reader.signature()?),
                _ => return Err(DbusError::Malformed("an unknown header field")),
            }
        }
        let body = bytes
            .get(16 + fields.next_multiple_of(8)..)
            .unwrap_or_default();
        Ok(Self {
            kind,
            reply_to,
            error_name,
            body: Answer {
                bytes: body.to_vec(),
                signature,
                big_endian,
            },
        })
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    big_endian: bool,
}

impl Reader<'_> {
    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, length: usize) -> Result<&[u8]> {
        let taken = self.bytes.get(self.at..self.at + length);
        self.at += length;
        taken.ok_or(DbusError::Malformed("it ends too early"))
    }

    fn u8(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn u32(&mut self) -> Result<u32> {
        self.align(4);
        let big_endian = self.big_endian;
        let bytes = self.take(4)?;
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        Ok(if big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    fn text(&mut self, length: usize) -> Result<String> {
        let bytes = self.take(length + 1)?;
        Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    fn string(&mut self) -> Result<String> {
        let length = self.u32()? as usize;
        if length > MESSAGE_MAX {
            return Err(DbusError::Malformed("a string that is too long"));
        }
        self.text(length)
    }

    fn signature(&mut self) -> Result<String> {
        let length = self.u8()?;
        self.text(length.into())
    }
}

fn connect(address: &str) -> Result<UnixStream> {
    let mut failure = None;
    for one in address.split(';') {
        let Some(parts) = one.strip_prefix("unix:") else {
            continue;
        };
        for part in parts.split(',') {
            let connected = match part.split_once('=') {
                Some(("path", path)) => UnixStream::connect(path),
                Some(("abstract", name)) => SocketAddr::from_abstract_name(name)
                    .and_then(|address| UnixStream::connect_addr(&address)),
                _ => continue,
            };
            match connected {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = Some(error),
            }
        }
    }
    match failure {
        Some(error) => Err(error.into()),
        None => Err(DbusError::Address(address.to_owned())),
    }
}

fn encode(serial: u32, method: Method<'_>, arguments: &[&str]) -> Vec<u8> {
    let mut body = Vec::new();
    for argument in arguments {
        put_string(&mut body, argument);
    }
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    // Byte order, kind, no flags, version 1.
    let mut message = vec![b'l', METHOD_CALL, 0, 1];
    message.extend(length(&body));
    message.extend(serial.to_le_bytes());
    let mut fields = Vec::new();
    for (code, kind, value) in [
        (PATH, b'o', method.path),
        (INTERFACE, b's', method.interface),
        (MEMBER, b's', method.member),
        (DESTINATION, b's', method.destination),
    ] {
        put_field(&mut fields, code, kind);
        put_string(&mut fields, value);
    }
    if !arguments.is_empty() {
        put_field(&mut fields, SIGNATURE, b'g');
        fields.push(u8::try_from(arguments.len()).unwrap_or(u8::MAX));
        fields.extend(arguments.iter().map(|_| b's'));
        fields.push(0);
    }
    message.extend(length(&fields));
    message.extend(&fields);
    pad(&mut message, 8);
    message.extend(body);
    message
}

/// The fields begin at a multiple of eight, so that they may be padded by themselves.
fn put_field(fields: &mut Vec<u8>, code: u8, kind: u8) {
    pad(fields, 8);
    fields.extend([code, 1, kind, 0]);
}

fn put_string(bytes: &mut Vec<u8>, text: &str) {
    pad(bytes, 4);
    bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.push(0);
}

fn pad(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_read_back_as_it_was_written() {
        let method = Method {
            destination: "org.example",
            path: "/org/example",
            interface: "org.example.I",
            member: "Do",
        };
        let bytes = encode(7, method, &["one", "10.1.0.5/32"]);
        let fields = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
        let message = Message::parse(&bytes, bytes[1], fields, false).unwrap();
        assert_eq!(
            (message.kind, message.body.signature.as_str()),
            (METHOD_CALL, "ss")
        );
        let mut reader = message.body.reader();
        assert_eq!(reader.string().unwrap(), "one");
        assert_eq!(reader.string().unwrap(), "10.1.0.5/32");
        assert_eq!(reader.at, message.body.bytes.len());
        for end in 0..bytes.len() {
            let _ = Message::parse(&bytes[..end], 1, fields, false);
        }
    }

    #[test]
    fn an_address_that_is_no_unix_socket_is_refused() {
        for address in ["", "tcp:host=localhost", "unix:runtime=yes"] {
            assert!(
                matches!(connect(address), Err(DbusError::Address(_))),
                "{address}"
            );
        }
        assert!(matches!(
            connect("tcp:x;unix:path=/nonexistent"),
            Err(DbusError::Io(_))
        ));
    }
}
