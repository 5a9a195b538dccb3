//! Traffic control: queueing disciplines, their classes, and filters.
//!
//! The verbs are on [`Socket`] and [`Batch`](super::Batch), as all of rtnetlink's.

mod class;
mod discipline;
mod filter;
mod netem;
mod qdisc;
mod rate;

use std::fmt;

use crate::error::Result;
use crate::netlink::{Attributes, Buffer, NLM_F_DUMP, Request};
use crate::rtnl::Socket;

pub use class::{Class, ClassSpec};
pub use discipline::{Discipline, Tbf};
pub use filter::{Action, Classifier, Filter, FilterSpec, Match};
pub use netem::Netem;
pub use qdisc::{Qdisc, QdiscSpec};
pub use rate::{MOST_TICKS, longest_packet, passing, ticks, ticks_of};

const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;

/// The name of a queueing discipline or a class: `major:minor`, in hexadecimal, unique on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Handle(u32);

impl Handle {
    /// As a parent: where packets leave by a link.
    pub const ROOT: Self = Self(0xffff_ffff);
    /// As a parent: where packets come in by a link.
    pub const INGRESS: Self = Self(0xffff_fff1);
    /// As a filter's parent: where packets come in, of [`Discipline::Clsact`] at [`Handle::INGRESS`].
    pub const COMING_IN: Self = Self(0xffff_fff2);
    /// As a filter's parent: where packets leave, of [`Discipline::Clsact`] at [`Handle::INGRESS`].
    pub const LEAVING: Self = Self(0xffff_fff3);
    /// The handle of whatever is at [`Handle::INGRESS`].
    pub const OF_INGRESS: Self = Self(0xffff_0000);

    /// A class of the discipline `major`; the discipline itself if `minor` is 0.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self((major as u32) << 16 | minor as u32)
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ROOT => f.write_str("root"),
            Self::INGRESS => f.write_str("ingress"),
            Self(raw) => write!(f, "{:x}:{:x}", raw >> 16, raw & 0xffff),
        }
    }
}

/// The kernel's `struct tcmsg`.
fn header(link: u32, handle: Handle, parent: Handle, info: u32) -> [u8; 20] {
    let mut header = [0; 20];
    header[4..8].copy_from_slice(&link.to_ne_bytes());
    header[8..12].copy_from_slice(&handle.0.to_ne_bytes());
    header[12..16].copy_from_slice(&parent.0.to_ne_bytes());
    header[16..20].copy_from_slice(&info.to_ne_bytes());
    header
}

/// What the kernel's answers have in common.
struct Head {
    link: u32,
    handle: Handle,
    parent: Handle,
    info: u32,
}

impl Head {
    const LEN: usize = 20;

    fn parse(payload: &[u8]) -> Option<Self> {
        let fixed = payload.first_chunk::<20>()?;
        let word = |at: usize| {
            u32::from_ne_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]])
        };
        Some(Self {
            link: word(4),
            handle: Handle(word(8)),
            parent: Handle(word(12)),
            info: word(16),
        })
    }
}

/// An object of traffic control, as far as it is the same for all kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficControl {
    /// `qdisc`, `class` or `filter`.
    pub object: &'static str,
    /// The index of its link.
    pub link: u32,
    /// Where it is attached.
    pub parent: Handle,
    /// Its own name; of a filter the kernel's number.
    pub handle: Handle,
    /// `tbf`, `ingress`, `u32`, ...
    pub kind: String,
}

impl TrafficControl {
    /// Reads a notification of this type; `None` for one of another.
    pub(super) fn parse(kind: u16, payload: &[u8]) -> Option<Self> {
        let object = match kind {
            36 | 37 => "qdisc",
            40 | 41 => "class",
            44 | 45 => "filter",
            _ => return None,
        };
        let head = Head::parse(payload)?;
        let kind = Attributes::find(&payload[Head::LEN..], TCA_KIND)?.string();
        Some(Self {
            object,
            link: head.link,
            parent: head.parent,
            handle: head.handle,
            kind,
        })
    }
}

impl Socket {
    /// All queueing disciplines of the namespace, the kernel's own included.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn list_qdiscs(&self) -> Result<Vec<TrafficControl>> {
        let head = header(0, Handle::default(), Handle::default(), 0);
        let object = "of all links".to_owned();
        let kind = qdisc::RTM_GETQDISC;
        let request = Request::new("list qdiscs", object, kind, NLM_F_DUMP, &head);
        self.dump(request, |header, payload| {
            TrafficControl::parse(header.kind, payload)
        })
    }
}

fn put_kind(buffer: &mut Buffer, kind: &str) {
    buffer.put_str(TCA_KIND, kind);
}
