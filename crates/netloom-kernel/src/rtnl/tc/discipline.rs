//! The kinds of queueing disciplines.

use super::netem::Netem;
use super::{TCA_OPTIONS, put_kind, rate};
use crate::netlink::{Attributes, Buffer};

const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_HTB_INIT: u16 = 2;
/// The kernel's major version of htb, which it asks for.
const HTB_VERSION: u32 = 3;
/// Of no use where classes say their quantum.
const HTB_RATE_TO_QUANTUM: u32 = 10;

/// What a queueing discipline does, with those of its settings that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discipline {
    /// Lets packets pass at a rate.
    Tbf(Tbf),
    /// Delays, loses and spoils packets.
    Netem(Netem),
    /// Divides a link among classes.
    Htb {
        /// The minor number of the class of packets that no filter puts into another.
        default_class: u16,
    },
    /// A queue of so many packets.
    Pfifo(u32),
    /// A queue of so many bytes.
    Bfifo(u32),
    /// A place for filters where packets come in.
    Ingress,
    /// The same, and one where they leave.
    Clsact,
    /// Any other, by the kernel's name.
    Other(String),
}

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Tbf {
    /// In bytes per second.
    pub rate: u64,
    /// How many bytes may wait.
    pub limit: u32,
    /// How long tokens are saved, see [`ticks`](super::ticks): what of `rate` may pass at once.
    pub buffer: u32,
}

impl Discipline {
    /// The kernel's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Tbf(_) => "tbf",
            Self::Netem(_) => "netem",
            Self::Htb { .. } => "htb",
            Self::Pfifo(_) => "pfifo",
            Self::Bfifo(_) => "bfifo",
            Self::Ingress => "ingress",
            Self::Clsact => "clsact",
            Self::Other(name) => name,
        }
    }

    pub(super) fn put(&self, buffer: &mut Buffer) {
        put_kind(buffer, self.name());
        match self {
            Self::Tbf(tbf) => buffer.nest(TCA_OPTIONS, |b| tbf.put(b)),
            Self::Netem(netem) => buffer.nest(TCA_OPTIONS, |b| netem.put(b)),
            Self::Htb { default_class } => buffer.nest(TCA_OPTIONS, |b| {
                let mut init = [0; 20];
                init[..4].copy_from_slice(&HTB_VERSION.to_ne_bytes());
                init[4..8].copy_from_slice(&HTB_RATE_TO_QUANTUM.to_ne_bytes());
                init[8..12].copy_from_slice(&u32::from(*default_class).to_ne_bytes());
                b.put(TCA_HTB_INIT, &init);
            }),
            Self::Pfifo(limit) | Self::Bfifo(limit) => buffer.put_u32(TCA_OPTIONS, *limit),
            Self::Ingress | Self::Clsact | Self::Other(_) => {}
        }
    }

    /// Reads `TCA_KIND` and the inside of `TCA_OPTIONS`.
    pub(super) fn parse(kind: &str, options: &[u8]) -> Option<Self> {
        Some(match kind {
            "tbf" => Self::Tbf(Tbf::parse(options)?),
            "netem" => Self::Netem(Netem::parse(options)?),
            "htb" => {
                let init = Attributes::find(options, TCA_HTB_INIT)?;
                // The kernel takes a minor number, and keeps more bits than one has.
                let class = rate::word(init.value, 8)? & 0xffff;
                Self::Htb {
                    default_class: u16::try_from(class).ok()?,
                }
            }
            "pfifo" => Self::Pfifo(rate::word(options, 0)?),
            "bfifo" => Self::Bfifo(rate::word(options, 0)?),
            "ingress" => Self::Ingress,
            "clsact" => Self::Clsact,
            other => Self::Other(other.to_owned()),
        })
    }
}

impl Tbf {
    fn put(&self, b: &mut Buffer) {
        let mut parameters = [0; 36];
        parameters[..12].copy_from_slice(&rate::spec(self.rate));
        parameters[24..28].copy_from_slice(&self.limit.to_ne_bytes());
        parameters[28..32].copy_from_slice(&self.buffer.to_ne_bytes());
        b.put(TCA_TBF_PARMS, &parameters);
        if rate::is_long(self.rate) {
            b.put(TCA_TBF_RATE64, &self.rate.to_ne_bytes());
        }
    }

    fn parse(options: &[u8]) -> Option<Self> {
        let parameters = Attributes::find(options, TCA_TBF_PARMS)?.value;
        let long = Attributes::find(options, TCA_TBF_RATE64).and_then(|a| a.u64());
        Some(Self {
            rate: long.or_else(|| rate::parse(parameters))?,
            limit: rate::word(parameters, 24)?,
            buffer: rate::word(parameters, 28)?,
        })
    }
}
