//! Netlink itself, shared by rtnetlink and nf_tables: messages, attributes, one blocking socket.

mod attribute;
mod channel;
mod endpoint;
mod message;
mod request;

pub(crate) use attribute::{Attribute, Attributes};
pub(crate) use channel::{Channel, Dump, Flow, Framing, Header, Refusal, Sent};
pub(crate) use message::Buffer;
pub(crate) use request::Request;

pub(crate) const NLM_F_REQUEST: u16 = 0x1;
pub(crate) const NLM_F_ACK: u16 = 0x4;
pub(crate) const NLM_F_ECHO: u16 = 0x8;
pub(crate) const NLM_F_DUMP: u16 = 0x300;
pub(crate) const NLM_F_REPLACE: u16 = 0x100;
pub(crate) const NLM_F_EXCL: u16 = 0x200;
pub(crate) const NLM_F_CREATE: u16 = 0x400;
pub(crate) const NLM_F_APPEND: u16 = 0x800;

/// The length of a netlink message header.
pub(crate) const HEADER_LEN: usize = 16;

/// Rounds up to netlink's alignment of four bytes.
pub(crate) const fn align(length: usize) -> usize {
    (length + 3) & !3
}
