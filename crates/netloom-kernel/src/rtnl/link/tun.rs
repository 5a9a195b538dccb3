//! Tun and tap devices, as links tell of them. They are made in [`tuntap`](crate::tuntap).

use crate::netlink::Attributes;

const IFLA_TUN_OWNER: u16 = 1;
const IFLA_TUN_GROUP: u16 = 2;
const IFLA_TUN_TYPE: u16 = 3;
const IFLA_TUN_PERSIST: u16 = 6;
const IFLA_TUN_MULTI_QUEUE: u16 = 7;

/// The settings of a tun or tap device that do not change with those who attach to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TunOptions {
    /// It carries Ethernet frames (tap), not IP packets (tun).
    pub tap: bool,
    /// The user who may attach to it.
    pub owner: Option<u32>,
    /// The group whose members may attach to it.
    pub group: Option<u32>,
    /// It stays when nobody is attached.
    pub persistent: bool,
    /// Several may be attached at once.
    pub multi_queue: bool,
}

impl TunOptions {
    /// `None` from kernels before 4.20, which tell nothing.
    pub(super) fn parse(data: &[u8]) -> Option<Self> {
        let mut options = Self::default();
        let mut told = false;
        for a in Attributes::new(data) {
            match a.kind {
                IFLA_TUN_OWNER => options.owner = a.u32(),
                IFLA_TUN_GROUP => options.group = a.u32(),
                IFLA_TUN_TYPE => {
                    told = true;
                    options.tap = a.u8().map(libc::c_int::from) == Some(libc::IFF_TAP);
                }
                IFLA_TUN_PERSIST => options.persistent = a.u8() == Some(1),
                IFLA_TUN_MULTI_QUEUE => options.multi_queue = a.u8() == Some(1),
                _ => {}
            }
        }
        told.then_some(options)
    }
}
