//! Settings of a macvlan.

use crate::netlink::{Attributes, Buffer};

const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_MACVLAN_BC_QUEUE_LEN: u16 = 7;

/// The settings of a macvlan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MacvlanOptions {
    /// How it reaches its siblings.
    pub mode: MacvlanMode,
    /// How many broadcast and multicast packets may wait; `None` leaves the kernel's default (1000).
    /// The lower link uses the largest that any of its macvlans asks for.
    pub broadcast_queue_len: Option<u32>,
}

impl From<MacvlanMode> for MacvlanOptions {
    fn from(mode: MacvlanMode) -> Self {
        Self {
            mode,
            ..Self::default()
        }
    }
}

impl MacvlanOptions {
    pub(super) fn put(&self, b: &mut Buffer) {
        b.put_u32(IFLA_MACVLAN_MODE, self.mode.bit());
        if let Some(packets) = self.broadcast_queue_len {
            b.put_u32(IFLA_MACVLAN_BC_QUEUE_LEN, packets);
        }
    }

    pub(super) fn parse(data: &[u8]) -> Self {
        Self {
            mode: MacvlanMode::parse(data),
            broadcast_queue_len: Attributes::find(data, IFLA_MACVLAN_BC_QUEUE_LEN)
                .and_then(|a| a.u32()),
        }
    }
}

/// How the macvlans of one lower link reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MacvlanMode {
    /// Not at all.
    Private,
    /// Through a switch outside that reflects frames.
    Vepa,
    /// Directly.
    #[default]
    Bridge,
    /// There is only one; it takes over the lower link.
    Passthru,
    /// Only from listed MAC addresses.
    Source,
}

impl MacvlanMode {
    const fn bit(self) -> u32 {
        match self {
            Self::Private => 1,
            Self::Vepa => 2,
            Self::Bridge => 4,
            Self::Passthru => 8,
            Self::Source => 16,
        }
    }

    fn parse(data: &[u8]) -> Self {
        let bits = Attributes::find(data, IFLA_MACVLAN_MODE)
            .and_then(|a| a.u32())
            .unwrap_or(0);
        [
            Self::Private,
            Self::Vepa,
            Self::Bridge,
            Self::Passthru,
            Self::Source,
        ]
        .into_iter()
        .find(|mode| mode.bit() == bits)
        .unwrap_or_default()
    }
}
