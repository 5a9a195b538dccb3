//! What a bridge keeps for each of its ports.

use crate::netlink::{Attributes, Buffer};

const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
const IFLA_BRPORT_STATE: u16 = 1;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_LEARNING: u16 = 8;
const IFLA_BRPORT_UNICAST_FLOOD: u16 = 9;
const IFLA_BRPORT_ISOLATED: u16 = 33;

/// Whether a port passes frames (IEEE 802.1D).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BridgePortState {
    /// The link is down.
    #[default]
    Disabled,
    /// Waiting to see whether it would make a loop.
    Listening,
    /// Learning addresses, not passing yet.
    Learning,
    /// Passing frames.
    Forwarding,
    /// It would make a loop.
    Blocking,
}

/// The settings of a bridge's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BridgePort {
    /// Whether it passes frames.
    pub state: BridgePortState,
    /// Frames may go back out of the port they came in by.
    pub hairpin: bool,
    /// It exchanges frames only with ports that are not isolated.
    pub isolated: bool,
    /// It learns MAC addresses.
    pub learning: bool,
}

/// Changes to a bridge's port. What is `None` stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BridgePortChange {
    /// See [`BridgePort::hairpin`].
    pub hairpin: Option<bool>,
    /// See [`BridgePort::isolated`].
    pub isolated: Option<bool>,
    /// See [`BridgePort::learning`].
    pub learning: Option<bool>,
    /// Whether frames to unknown addresses go out of it.
    pub unicast_flood: Option<bool>,
}

impl BridgePort {
    /// Reads the inside of `IFLA_LINKINFO`.
    pub(super) fn parse(info: &[u8]) -> Option<Self> {
        let kind = Attributes::find(info, IFLA_INFO_SLAVE_KIND)?;
        if kind.string() != "bridge" {
            return None;
        }
        let mut port = Self::default();
        for a in Attributes::find(info, IFLA_INFO_SLAVE_DATA)?.nested() {
            let on = a.u8().is_some_and(|v| v != 0);
            match a.kind {
                IFLA_BRPORT_STATE => port.state = state(a.u8().unwrap_or_default()),
                IFLA_BRPORT_MODE => port.hairpin = on,
                IFLA_BRPORT_ISOLATED => port.isolated = on,
                IFLA_BRPORT_LEARNING => port.learning = on,
                _ => {}
            }
        }
        Some(port)
    }
}

fn state(value: u8) -> BridgePortState {
    match value {
        1 => BridgePortState::Listening,
        2 => BridgePortState::Learning,
        3 => BridgePortState::Forwarding,
        4 => BridgePortState::Blocking,
        _ => BridgePortState::Disabled,
    }
}

/// Writes the port's part of `IFLA_LINKINFO`.
pub(super) fn put_port(buffer: &mut Buffer, change: &BridgePortChange) {
    buffer.put_str(IFLA_INFO_SLAVE_KIND, "bridge");
    buffer.nest(IFLA_INFO_SLAVE_DATA, |b| {
        let switches = [
            (IFLA_BRPORT_MODE, change.hairpin),
            (IFLA_BRPORT_ISOLATED, change.isolated),
            (IFLA_BRPORT_LEARNING, change.learning),
            (IFLA_BRPORT_UNICAST_FLOOD, change.unicast_flood),
        ];
        for (kind, on) in switches {
            if let Some(on) = on {
                b.put_u8(kind, on.into());
            }
        }
    });
}
