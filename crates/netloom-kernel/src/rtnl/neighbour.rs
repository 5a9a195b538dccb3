//! Neighbours: which hardware address an IP address on a link has.

use std::net::IpAddr;

use super::route::{Family, family_of, octets};
use super::{Batch, Socket};
use crate::MacAddress;
use crate::error::Result;
use crate::netlink::{Attributes, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, Request};

pub(super) const RTM_NEWNEIGH: u16 = 28;
pub(super) const RTM_DELNEIGH: u16 = 29;
pub(super) const RTM_GETNEIGH: u16 = 30;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NDA_IFINDEX: u16 = 8;
const NTF_USE: u8 = 1;
const NTF_PROXY: u8 = 8;

/// What the kernel knows of a neighbour (`NUD_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NeighbourState(u16);

impl NeighbourState {
    /// Set by hand, never forgotten.
    pub const PERMANENT: Self = Self(libc::NUD_PERMANENT);
    /// Known to be there.
    pub const REACHABLE: Self = Self(libc::NUD_REACHABLE);
    /// To be verified when used.
    pub const STALE: Self = Self(libc::NUD_STALE);
    /// It did not answer.
    pub const FAILED: Self = Self(libc::NUD_FAILED);

    /// The bits as the kernel has them.
    #[must_use]
    pub fn bits(self) -> u16 {
        self.0
    }
}

/// A neighbour to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeighbourSpec {
    ip: IpAddr,
    mac: Option<MacAddress>,
    state: NeighbourState,
    flags: u8,
}

impl NeighbourSpec {
    /// A permanent neighbour.
    #[must_use]
    pub fn new(ip: IpAddr, mac: MacAddress) -> Self {
        Self {
            ip,
            mac: Some(mac),
            state: NeighbourState::PERMANENT,
            flags: 0,
        }
    }

    /// An address that this host answers for on the link (proxy ARP, proxy NDP).
    #[must_use]
    pub fn proxy(ip: IpAddr) -> Self {
        Self {
            ip,
            mac: None,
            state: NeighbourState::PERMANENT,
            flags: NTF_PROXY,
        }
    }

    /// One that a packet is to be sent to, as it were: the kernel asks for it at once if it is not
    /// known.
    fn used(ip: IpAddr) -> Self {
        Self {
            ip,
            mac: None,
            state: NeighbourState(libc::NUD_NONE),
            flags: NTF_USE,
        }
    }

    /// Its state.
    #[must_use]
    pub fn state(mut self, state: NeighbourState) -> Self {
        self.state = state;
        self
    }

    fn request(&self, operation: &'static str, kind: u16, flags: u16, link: u32) -> Request {
        let object = format!("{} on the link with index {link}", self.ip);
        let mut header = [0; 12];
        header[0] = family_of(self.ip);
        header[4..8].copy_from_slice(&link.to_ne_bytes());
        header[8..10].copy_from_slice(&self.state.0.to_ne_bytes());
        header[10] = self.flags;
        let mut r = Request::new(operation, object, kind, flags, &header);
        r.buffer.put(NDA_DST, &octets(self.ip));
        if let Some(mac) = &self.mac {
            r.buffer.put(NDA_LLADDR, mac);
        }
        r
    }
}

/// A neighbour as the kernel describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// The index of the link.
    pub link: u32,
    /// Its IP address.
    pub ip: IpAddr,
    /// Its hardware address, if known.
    pub mac: Option<MacAddress>,
    /// What the kernel knows of it.
    pub state: NeighbourState,
}

impl Neighbour {
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let fixed = payload.first_chunk::<12>()?;
        let (mut ip, mut mac) = (None, None);
        for a in Attributes::after(payload, 12) {
            match a.kind {
                NDA_DST => ip = a.ip(),
                NDA_LLADDR => mac = a.mac(),
                _ => {}
            }
        }
        Some(Self {
            link: u32::from_ne_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ip: ip?,
            mac,
            state: NeighbourState(u16::from_ne_bytes([fixed[8], fixed[9]])),
        })
    }
}

fn set(link: u32, spec: &NeighbourSpec) -> Request {
    spec.request(
        "set neighbour",
        RTM_NEWNEIGH,
        NLM_F_CREATE | NLM_F_REPLACE,
        link,
    )
}

fn remove(link: u32, spec: &NeighbourSpec) -> Request {
    spec.request("remove neighbour", RTM_DELNEIGH, 0, link)
        .absent_is_success()
}

impl Socket {
    /// Sets a neighbour, known before or not.
    ///
    /// # Errors
    /// `is_absent()` if there is no link of that index.
    pub fn set_neighbour(&self, link: u32, spec: &NeighbourSpec) -> Result<()> {
        self.execute(set(link, spec)).map(drop)
    }

    /// Forgets a neighbour. `false` if it was not known.
    ///
    /// # Errors
    /// Anything but absence.
    pub fn remove_neighbour(&self, link: u32, spec: &NeighbourSpec) -> Result<bool> {
        self.execute(remove(link, spec))
    }

    /// The neighbours on one link, filtered by the kernel.
    ///
    /// # Errors
    /// If the kernel refuses the dump.
    pub fn list_neighbours(&self, family: Family, link: u32) -> Result<Vec<Neighbour>> {
        let object = format!("neighbours on the link with index {link}");
        let mut header = [0; 12];
        header[0] = family.to_wire();
        let mut r = Request::new("list", object, RTM_GETNEIGH, NLM_F_DUMP, &header);
        r.buffer.put_u32(NDA_IFINDEX, link);
        self.dump(r, |_, payload| {
            Neighbour::parse(payload).filter(|n| n.link == link)
        })
    }
}

impl Batch<'_> {
    /// See [`Socket::set_neighbour`].
    pub fn set_neighbour(&mut self, link: u32, spec: &NeighbourSpec) -> &mut Self {
        self.push(set(link, spec))
    }

    /// See [`Socket::remove_neighbour`].
    pub fn remove_neighbour(&mut self, link: u32, spec: &NeighbourSpec) -> &mut Self {
        self.push(remove(link, spec))
    }

    /// Has the kernel ask on the link who has an address, once, and forget that it asked. An answer
    /// is not waited for. Of several addresses, the asking one is that whose subnet this is in.
    pub fn ask_for_neighbour(&mut self, link: u32, ip: IpAddr) -> &mut Self {
        let spec = NeighbourSpec::used(ip);
        self.push(set(link, &spec)).push(remove(link, &spec))
    }
}
