//! The conversation between plugin and daemon: Go's net/rpc over an HTTP CONNECT, as the reference
//! speaks it, so that either end may be the reference's.
//!
//! A call is a [`Request`] and its argument, answered by a [`Response`] and its value. The
//! argument always is [`CmdArgs`]: what a plugin was called with.

pub(super) mod answer;
pub(super) mod client;
#[cfg(test)]
mod tests;

use super::gob::{Fields, GobError, Record, TypeId, Value, message, struct_type};

/// What opens a conversation.
pub(super) const CONNECT: &str = "CONNECT /_goRPC_ HTTP/1.0\n\n";

/// What is answered to it.
pub(super) const CONNECTED: &str = "HTTP/1.0 200 Connected to Go RPC\n\n";

/// The longest first line and headers accepted.
pub(super) const HEAD_MAX: usize = 4096;

/// What can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// A lease, a new one if there is none yet.
    Allocate,
    /// Gives a lease back.
    Release,
    /// The lease there is. Not known to the reference.
    Check,
    /// Gives back all leases of a network but those of valid attachments. Not known to the
    /// reference.
    Collect,
}

impl Method {
    const ALL: [Self; 4] = [Self::Allocate, Self::Release, Self::Check, Self::Collect];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Allocate => "DHCP.Allocate",
            Self::Release => "DHCP.Release",
            Self::Check => "DHCP.Check",
            Self::Collect => "DHCP.Collect",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }
}

/// What Go's server answers to a method it does not have.
pub(super) fn no_such_method(name: &str) -> String {
    format!("rpc: can't find method {name}")
}

/// The head of a call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) sequence: u64,
}

impl Record for Request {
    fn set(&mut self, field: &str, value: &mut Value<'_, '_>) -> Result<(), GobError> {
        match field {
            "ServiceMethod" => self.method = value.string()?,
            "Seq" => self.sequence = value.uint()?,
            _ => {}
        }
        Ok(())
    }
}

/// The head of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) method: String,
    pub(super) sequence: u64,
    /// Empty if the call succeeded.
    pub(super) error: String,
}

impl Record for Response {
    fn set(&mut self, field: &str, value: &mut Value<'_, '_>) -> Result<(), GobError> {
        match field {
            "ServiceMethod" => self.method = value.string()?,
            "Seq" => self.sequence = value.uint()?,
            "Error" => self.error = value.string()?,
            _ => {}
        }
        Ok(())
    }
}

/// What a plugin was called with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CmdArgs {
    pub(super) container_id: String,
    /// Absolute, for the daemon has a working directory of its own.
    pub(super) netns: String,
    pub(super) if_name: String,
    pub(super) args: String,
    pub(super) path: String,
    /// The configuration.
    pub(super) stdin: Vec<u8>,
}

impl Record for CmdArgs {
    fn set(&mut self, field: &str, value: &mut Value<'_, '_>) -> Result<(), GobError> {
        match field {
            "ContainerID" => self.container_id = value.string()?,
            "Netns" => self.netns = value.string()?,
            "IfName" => self.if_name = value.string()?,
            "Args" => self.args = value.string()?,
            "Path" => self.path = value.string()?,
            "StdinData" => self.stdin = value.bytes()?,
            _ => {}
        }
        Ok(())
    }
}

const REQUEST: TypeId = 65;
const CMD_ARGS: TypeId = 66;

/// The first call on a connection, descriptions of the types included.
pub(super) fn call(method: Method, args: &CmdArgs) -> Vec<u8> {
    let request = [("ServiceMethod", Fields::STRING), ("Seq", Fields::UINT)];
    let cmd_args = [
        ("ContainerID", Fields::STRING),
        ("Netns", Fields::STRING),
        ("IfName", Fields::STRING),
        ("Args", Fields::STRING),
        ("Path", Fields::STRING),
        ("StdinData", Fields::BYTES),
    ];
    let head = Fields::default().string(1, method.name());
    let argument = Fields::default()
        .string(1, &args.container_id)
        .string(2, &args.netns)
        .string(3, &args.if_name)
        .string(4, &args.args)
        .string(5, &args.path)
        .bytes(6, &args.stdin);
    [
        struct_type(REQUEST, "Request", &request),
        message(REQUEST, head),
        struct_type(CMD_ARGS, "CmdArgs", &cmd_args),
        message(CMD_ARGS, argument),
    ]
    .concat()
}
