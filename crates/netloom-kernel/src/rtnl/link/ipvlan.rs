//! Settings of an ipvlan.

use crate::netlink::{Attributes, Buffer};

const IFLA_IPVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_FLAGS: u16 = 2;

/// The settings of an ipvlan. All ipvlans of one lower link have the same: what one is made with
/// counts for those that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct IpvlanOptions {
    /// At which layer it works.
    pub mode: IpvlanMode,
    /// How it reaches its siblings; `None` leaves that as it is, or the kernel (before 4.15) does
    /// not tell.
    pub flag: Option<IpvlanFlag>,
}

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

impl IpvlanOptions {
    pub(super) fn put(self, b: &mut Buffer) {
        let mode = match self.mode {
            IpvlanMode::L2 => 0,
            IpvlanMode::L3 => 1,
            IpvlanMode::L3s => 2,
        };
        b.put_u16(IFLA_IPVLAN_MODE, mode);
        if let Some(flag) = self.flag {
            let bits = match flag {
                IpvlanFlag::Bridge => 0,
                IpvlanFlag::Private => 1,
                IpvlanFlag::Vepa => 2,
            };
            b.put_u16(IFLA_IPVLAN_FLAGS, bits);
        }
    }

    pub(super) fn parse(data: &[u8]) -> Self {
        let number = |kind| Attributes::find(data, kind).and_then(|a| a.u16());
        Self {
            mode: match number(IFLA_IPVLAN_MODE) {
                Some(1) => IpvlanMode::L3,
                Some(2) => IpvlanMode::L3s,
                _ => IpvlanMode::L2,
            },
            flag: number(IFLA_IPVLAN_FLAGS).map(|bits| match bits {
                1 => IpvlanFlag::Private,
                2 => IpvlanFlag::Vepa,
                _ => IpvlanFlag::Bridge,
            }),
        }
    }
}
