//! VLANs of a lower link.

use crate::netlink::{Attributes, Buffer};

const IFLA_VLAN_ID: u16 = 1;
const IFLA_VLAN_PROTOCOL: u16 = 5;
const ETH_P_8021Q: u16 = 0x8100;
const ETH_P_8021AD: u16 = 0x88a8;

/// The protocol of a VLAN tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum VlanProtocol {
    /// IEEE 802.1Q, the usual tag.
    #[default]
    Dot1q,
    /// IEEE 802.1ad, the outer tag of two.
    Dot1ad,
}

impl VlanProtocol {
    pub(super) fn put(self, id: u16, b: &mut Buffer) {
        b.put_u16(IFLA_VLAN_ID, id);
        if self == Self::Dot1ad {
            b.put(IFLA_VLAN_PROTOCOL, &ETH_P_8021AD.to_be_bytes());
        }
    }

    pub(super) fn parse(data: &[u8]) -> (u16, Self) {
        let id = Attributes::find(data, IFLA_VLAN_ID)
            .and_then(|a| a.u16())
            .unwrap_or(0);
        let protocol = Attributes::find(data, IFLA_VLAN_PROTOCOL)
            .and_then(|a| a.value.first_chunk().map(|b| u16::from_be_bytes(*b)))
            .unwrap_or(ETH_P_8021Q);
        (
            id,
            if protocol == ETH_P_8021AD {
                Self::Dot1ad
            } else {
                Self::Dot1q
            },
        )
    }
}
