//! The forwarding database of a VXLAN tunnel end: which other end has which hardware address.

use std::net::IpAddr;

use super::neighbour::{RTM_DELNEIGH, RTM_GETNEIGH, RTM_NEWNEIGH};
use super::route::octets;
use super::{Batch, NeighbourState, Socket};
use crate::MacAddress;
use crate::error::Result;
use crate::netlink::{Attributes, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, Request};

const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NDA_IFINDEX: u16 = 8;
/// The entry is the device's own, not that of a bridge that it is a port of.
const NTF_SELF: u8 = 2;

/// An entry of a forwarding database: frames to `mac` go to the tunnel end at `remote`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Forwarding {
    /// The hardware address; all zeroes for what has no entry of its own.
    pub mac: MacAddress,
    /// The address of the tunnel end.
    pub remote: IpAddr,
}

impl Forwarding {
    fn parse(payload: &[u8], link: u32) -> Option<Self> {
        let fixed = payload.first_chunk::<12>()?;
        if u32::from_ne_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]) != link {
            return None;
        }
        let (mut mac, mut remote) = (None, None);
        for a in Attributes::after(payload, 12) {
            match a.kind {
                NDA_DST => remote = a.ip(),
                NDA_LLADDR => mac = a.mac(),
                _ => {}
            }
        }
        Some(Self {
            mac: mac?,
            remote: remote?,
        })
    }

    fn request(&self, operation: &'static str, kind: u16, flags: u16, link: u32) -> Request {
        let mac = self.mac.map(|byte| format!("{byte:02x}")).join(":");
        let object = format!("{mac} to {} on the link with index {link}", self.remote);
        let mut header = header();
        header[4..8].copy_from_slice(&link.to_ne_bytes());
        header[8..10].copy_from_slice(&NeighbourState::PERMANENT.bits().to_ne_bytes());
        header[10] = NTF_SELF;
        let mut r = Request::new(operation, object, kind, flags, &header);
        r.buffer.put(NDA_LLADDR, &self.mac);
        r.buffer.put(NDA_DST, &octets(self.remote));
        r
    }
}

/// The kernel's `struct ndmsg`, of the family that stands for forwarding databases.
fn header() -> [u8; 12] {
    let mut header = [0; 12];
    header[0] = libc::AF_BRIDGE as u8;
    header
}

fn set(link: u32, entry: &Forwarding) -> Request {
    let flags = NLM_F_CREATE | NLM_F_REPLACE;
    entry.request("set forwarding of", RTM_NEWNEIGH, flags, link)
}

fn remove(link: u32, entry: &Forwarding) -> Request {
    entry
        .request("remove forwarding of", RTM_DELNEIGH, 0, link)
        .absent_is_success()
}

impl Socket {
    /// Sets where frames to a hardware address go, in place of where they went before. The entry is
    /// permanent.
    ///
    /// # Errors
    /// `is_absent()` if there is no link of that index; EOPNOTSUPP if it is no tunnel.
    pub fn set_forwarding(&self, link: u32, entry: &Forwarding) -> Result<()> {
        self.execute(set(link, entry)).map(drop)
    }

    /// Removes an entry. `false` if there was none.
    ///
    /// # Errors
    /// Anything but absence.
    pub fn remove_forwarding(&self, link: u32, entry: &Forwarding) -> Result<bool> {
        self.execute(remove(link, entry))
    }

    /// The entries of one tunnel end, learned ones included; filtered by the kernel.
    ///
    /// # Errors
    /// If the kernel refuses the dump.
    pub fn list_forwarding(&self, link: u32) -> Result<Vec<Forwarding>> {
        let object = format!("forwarding of the link with index {link}");
        let mut r = Request::new("list", object, RTM_GETNEIGH, NLM_F_DUMP, &header());
        r.buffer.put_u32(NDA_IFINDEX, link);
        self.dump(r, |_, payload| Forwarding::parse(payload, link))
    }
}

impl Batch<'_> {
    /// See [`Socket::set_forwarding`].
    pub fn set_forwarding(&mut self, link: u32, entry: &Forwarding) -> &mut Self {
        self.push(set(link, entry))
    }

    /// See [`Socket::remove_forwarding`].
    pub fn remove_forwarding(&mut self, link: u32, entry: &Forwarding) -> &mut Self {
        self.push(remove(link, entry))
    }
}
