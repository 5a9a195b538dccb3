//! The emulator of bad networks.

use super::rate;
use crate::netlink::{Attributes, Buffer};

const TCA_NETEM_CORRUPT: u16 = 4;
const TCA_NETEM_RATE: u16 = 6;
const TCA_NETEM_RATE64: u16 = 8;
const TCA_NETEM_LATENCY64: u16 = 10;
const TCA_NETEM_JITTER64: u16 = 11;
/// The length of `struct tc_netem_qopt`.
const OPTIONS_LEN: usize = 24;

/// The settings of netem. Probabilities are parts of `u32::MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Netem {
    /// How long a packet waits, in nanoseconds.
    pub delay: u64,
    /// By how much that varies either way, in nanoseconds.
    pub jitter: u64,
    /// How many packets are lost.
    pub loss: u32,
    /// How many come twice.
    pub duplicate: u32,
    /// How many have one bit wrong.
    pub corrupt: u32,
    /// In bytes per second; 0 is as fast as it goes.
    pub rate: u64,
    /// How many packets may wait.
    pub limit: u32,
}

impl Netem {
    pub(super) fn put(&self, b: &mut Buffer) {
        let mut options = [0; OPTIONS_LEN];
        // The delay and the jitter have attributes that hold more.
        options[4..8].copy_from_slice(&self.limit.to_ne_bytes());
        options[8..12].copy_from_slice(&self.loss.to_ne_bytes());
        options[16..20].copy_from_slice(&self.duplicate.to_ne_bytes());
        b.raw(&options);
        b.put(TCA_NETEM_LATENCY64, &self.delay.to_ne_bytes());
        b.put(TCA_NETEM_JITTER64, &self.jitter.to_ne_bytes());
        if self.corrupt != 0 {
            let mut corrupt = [0; 8];
            corrupt[..4].copy_from_slice(&self.corrupt.to_ne_bytes());
            b.put(TCA_NETEM_CORRUPT, &corrupt);
        }
        if self.rate != 0 {
            let mut parameters = [0; 16];
            let short = u32::try_from(self.rate).unwrap_or(u32::MAX);
            parameters[..4].copy_from_slice(&short.to_ne_bytes());
            b.put(TCA_NETEM_RATE, &parameters);
            if rate::is_long(self.rate) {
                b.put(TCA_NETEM_RATE64, &self.rate.to_ne_bytes());
            }
        }
    }

    pub(super) fn parse(options: &[u8]) -> Option<Self> {
        let mut netem = Self {
            limit: rate::word(options, 4)?,
            loss: rate::word(options, 8)?,
            duplicate: rate::word(options, 16)?,
            ..Self::default()
        };
        for a in Attributes::new(options.get(OPTIONS_LEN..)?) {
            match a.kind {
                TCA_NETEM_LATENCY64 => netem.delay = a.u64()?,
                TCA_NETEM_JITTER64 => netem.jitter = a.u64()?,
                TCA_NETEM_CORRUPT => netem.corrupt = rate::word(a.value, 0)?,
                TCA_NETEM_RATE if netem.rate == 0 => netem.rate = rate::word(a.value, 0)?.into(),
                TCA_NETEM_RATE64 => netem.rate = a.u64()?,
                _ => {}
            }
        }
        Some(netem)
    }
}
