//! Settings of a bridge.

use crate::netlink::{Attributes, Buffer};

const IFLA_BR_AGEING_TIME: u16 = 4;
const IFLA_BR_STP_STATE: u16 = 5;
const IFLA_BR_VLAN_FILTERING: u16 = 7;
const IFLA_BR_MCAST_SNOOPING: u16 = 23;
const IFLA_BR_VLAN_DEFAULT_PVID: u16 = 39;
const IFLA_BR_MULTI_BOOLOPT: u16 = 46;
/// `BR_BOOLOPT_NO_LL_LEARN`, as a bit.
const NO_LL_LEARN: u32 = 1;

/// The settings of a bridge; `None` leaves one as it is, or the kernel does not have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BridgeOptions {
    /// Whether ports filter by VLAN.
    pub vlan_filtering: Option<bool>,
    /// The VLAN that ports get when they join; 0 for none. Only with `vlan_filtering`.
    pub default_vlan: Option<u16>,
    /// Whether the spanning tree protocol runs.
    pub stp: Option<bool>,
    /// How long a learnt MAC address is kept, in hundredths of a second.
    pub ageing_time: Option<u32>,
    /// Whether multicast goes only to ports that asked for it.
    pub multicast_snooping: Option<bool>,
    /// Whether the sources of frames to the link-local addresses (01:80:c2:00:00:0x) are learnt. Such
    /// frames pass no packet filter before they are.
    pub link_local_learning: Option<bool>,
}

impl BridgeOptions {
    pub(super) fn parse(data: &[u8]) -> Self {
        let mut options = Self::default();
        for a in Attributes::new(data) {
            match a.kind {
                IFLA_BR_AGEING_TIME => options.ageing_time = a.u32(),
                IFLA_BR_STP_STATE => options.stp = a.u32().map(|v| v != 0),
                IFLA_BR_VLAN_FILTERING => options.vlan_filtering = a.u8().map(|v| v != 0),
                IFLA_BR_MCAST_SNOOPING => options.multicast_snooping = a.u8().map(|v| v != 0),
                // Values, and which of them are known.
                IFLA_BR_MULTI_BOOLOPT => {
                    options.link_local_learning = a.u32().map(|values| values & NO_LL_LEARN == 0);
                }
                IFLA_BR_VLAN_DEFAULT_PVID => options.default_vlan = a.u16(),
                _ => {}
            }
        }
        options
    }
}

pub(super) fn put_bridge(b: &mut Buffer, options: &BridgeOptions) {
    if let Some(time) = options.ageing_time {
        b.put_u32(IFLA_BR_AGEING_TIME, time);
    }
    if let Some(stp) = options.stp {
        b.put_u32(IFLA_BR_STP_STATE, stp.into());
    }
    if let Some(filter) = options.vlan_filtering {
        b.put_u8(IFLA_BR_VLAN_FILTERING, filter.into());
    }
    if let Some(snooping) = options.multicast_snooping {
        b.put_u8(IFLA_BR_MCAST_SNOOPING, snooping.into());
    }
    if let Some(learns) = options.link_local_learning {
        let value = if learns { 0 } else { NO_LL_LEARN };
        b.put(
            IFLA_BR_MULTI_BOOLOPT,
            &[value.to_ne_bytes(), NO_LL_LEARN.to_ne_bytes()].concat(),
        );
    }
    if let Some(vlan) = options.default_vlan {
        b.put_u16(IFLA_BR_VLAN_DEFAULT_PVID, vlan);
    }
}
