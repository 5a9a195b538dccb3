//! Modes of an ipvlan.

use crate::netlink::{Attributes, Buffer};

const IFLA_IPVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_FLAGS: u16 = 2;

/// At which layer an ipvlan works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum IpvlanMode {
    /// As a switch.
    #[default]
    L2,
    /// As a router.
    L3,
    /// As a router that passes netfilter of the host.
    L3s,
}

/// How the ipvlans of one lower link reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum IpvlanFlag {
    /// Directly.
    #[default]
    Bridge,
    /// Not at all.
    Private,
    /// Through a switch outside that reflects frames.
    Vepa,
}

impl IpvlanMode {
    pub(super) fn put(self, flag: IpvlanFlag, b: &mut Buffer) {
        let mode = match self {
            Self::L2 => 0,
            Self::L3 => 1,
            Self::L3s => 2,
        };
        b.put_u16(IFLA_IPVLAN_MODE, mode);
        match flag {
            IpvlanFlag::Bridge => {}
            IpvlanFlag::Private => b.put_u16(IFLA_IPVLAN_FLAGS, 1),
            IpvlanFlag::Vepa => b.put_u16(IFLA_IPVLAN_FLAGS, 2),
        }
    }

    pub(super) fn parse(data: &[u8]) -> (Self, IpvlanFlag) {
        let number = |kind| {
            Attributes::find(data, kind)
                .and_then(|a| a.u16())
                .unwrap_or(0)
        };
        let mode = match number(IFLA_IPVLAN_MODE) {
            1 => Self::L3,
            2 => Self::L3s,
            _ => Self::L2,
        };
        let flag = match number(IFLA_IPVLAN_FLAGS) {
            1 => IpvlanFlag::Private,
            2 => IpvlanFlag::Vepa,
            _ => IpvlanFlag::Bridge,
        };
        (mode, flag)
    }
}
