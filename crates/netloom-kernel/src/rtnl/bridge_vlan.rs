//! The VLANs of a bridge's port.

use super::link::{IFLA_AF_SPEC, RTM_DELLINK, RTM_NEWLINK, header};
use super::{Batch, Socket};
use crate::error::Result;
use crate::netlink::{Attributes, NLM_F_DUMP, Request};

const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const RTM_GETVLAN: u16 = 114;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_BRIDGE_FLAGS: u16 = 0;
const IFLA_BRIDGE_VLAN_INFO: u16 = 2;
const BRIDGE_FLAGS_SELF: u16 = 2;
const BRIDGE_VLANDB_ENTRY: u16 = 1;
const BRIDGE_VLANDB_ENTRY_INFO: u16 = 1;
const BRIDGE_VLANDB_ENTRY_RANGE: u16 = 2;
const VLAN_PVID: u16 = 1 << 1;
const VLAN_UNTAGGED: u16 = 1 << 2;
const VLAN_RANGE_BEGIN: u16 = 1 << 3;
const VLAN_RANGE_END: u16 = 1 << 4;
const RTEXT_FILTER_BRVLAN_COMPRESSED: u32 = 1 << 2;

/// How a port treats a VLAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct BridgeVlanFlags {
    /// Untagged frames that come in belong to it.
    pub pvid: bool,
    /// Its frames leave without a tag.
    pub untagged: bool,
}

/// A VLAN, or a range of VLANs treated alike, on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BridgeVlan {
    /// The first VLAN id, 1–4094.
    pub first: u16,
    /// The last VLAN id; the same as `first` for one VLAN.
    pub last: u16,
    /// How the port treats it.
    pub flags: BridgeVlanFlags,
}

impl BridgeVlan {
    /// One VLAN, tagged.
    #[must_use]
    pub fn tagged(id: u16) -> Self {
        Self {
            first: id,
            last: id,
            flags: BridgeVlanFlags::default(),
        }
    }

    /// A range of VLANs, tagged.
    #[must_use]
    pub fn tagged_range(first: u16, last: u16) -> Self {
        Self {
            first,
            last,
            flags: BridgeVlanFlags::default(),
        }
    }

    /// The VLAN of untagged frames, in and out.
    #[must_use]
    pub fn pvid_untagged(id: u16) -> Self {
        Self {
            first: id,
            last: id,
            flags: BridgeVlanFlags {
                pvid: true,
                untagged: true,
            },
        }
    }

    fn bits(self) -> u16 {
        let pvid = if self.flags.pvid { VLAN_PVID } else { 0 };
        pvid | if self.flags.untagged {
            VLAN_UNTAGGED
        } else {
            0
        }
    }

    fn from_bits(first: u16, last: u16, bits: u16) -> Self {
        let flags = BridgeVlanFlags {
            pvid: bits & VLAN_PVID != 0,
            untagged: bits & VLAN_UNTAGGED != 0,
        };
        Self { first, last, flags }
    }

    fn request(self, operation: &'static str, kind: u16, link: u32, on_bridge: bool) -> Request {
        let object = format!("{}-{} on the link with index {link}", self.first, self.last);
        let mut head = header(link, 0, 0);
        head[0] = libc::AF_BRIDGE as u8;
        let mut r = Request::new(operation, object, kind, 0, &head);
        r.buffer.nest(IFLA_AF_SPEC, |b| {
            if on_bridge {
                b.put_u16(IFLA_BRIDGE_FLAGS, BRIDGE_FLAGS_SELF);
            }
            let mut put = |id: u16, range: u16| {
                let mut info = [0; 4];
                info[..2].copy_from_slice(&(self.bits() | range).to_ne_bytes());
                info[2..].copy_from_slice(&id.to_ne_bytes());
                b.put(IFLA_BRIDGE_VLAN_INFO, &info);
            };
            if self.first == self.last {
                put(self.first, 0);
            } else {
                put(self.first, VLAN_RANGE_BEGIN);
                put(self.last, VLAN_RANGE_END);
            }
        });
        r
    }
}

fn add(port: u32, vlan: BridgeVlan) -> Request {
    vlan.request("add VLAN", RTM_SETLINK, port, false)
}

fn add_to_bridge(bridge: u32, vlan: BridgeVlan) -> Request {
    vlan.request("add VLAN", RTM_SETLINK, bridge, true)
}

fn remove(port: u32, vlan: BridgeVlan) -> Request {
    vlan.request("remove VLAN", RTM_DELLINK, port, false)
        .absent_is_success()
}

impl Socket {
    /// Adds VLANs to a port of a bridge; one that it has gets the flags.
    ///
    /// # Errors
    /// `is_unsupported()` if the kernel's bridge has no VLAN filtering.
    pub fn add_bridge_vlan(&self, port: u32, vlan: BridgeVlan) -> Result<()> {
        self.execute(add(port, vlan)).map(drop)
    }

    /// Adds VLANs to the bridge itself, as the port by which the host reaches it.
    ///
    /// # Errors
    /// As [`Socket::add_bridge_vlan`].
    pub fn add_bridge_vlan_to_bridge(&self, bridge: u32, vlan: BridgeVlan) -> Result<()> {
        self.execute(add_to_bridge(bridge, vlan)).map(drop)
    }

    /// Removes VLANs from a port of a bridge. Those it does not have are no error.
    ///
    /// # Errors
    /// As [`Socket::add_bridge_vlan`].
    pub fn remove_bridge_vlan(&self, port: u32, vlan: BridgeVlan) -> Result<()> {
        self.execute(remove(port, vlan)).map(drop)
    }

    /// The VLANs of one port, filtered by the kernel (from Linux 5.6; before, by reading those of
    /// all ports).
    ///
    /// # Errors
    /// If the kernel refuses the dump.
    pub fn list_bridge_vlans(&self, port: u32) -> Result<Vec<BridgeVlan>> {
        let object = format!("VLANs of the port with index {port}");
        let mut head = [0; 8]; // struct br_vlan_msg
        head[0] = libc::AF_BRIDGE as u8;
        head[4..].copy_from_slice(&port.to_ne_bytes());
        let r = Request::new("list", object, RTM_GETVLAN, NLM_F_DUMP, &head);
        let found = self.dump(r, |_, payload| {
            let link = payload
                .get(4..8)?
                .first_chunk()
                .map(|b| u32::from_ne_bytes(*b))?;
            (link == port).then(|| entries(payload))
        });
        match found {
            Ok(found) => Ok(found.into_iter().flatten().collect()),
            // Unknown message type: before Linux 5.6, or a bridge without VLAN filtering.
            Err(error) if error.is_unsupported() => self.list_bridge_vlans_the_old_way(port),
            Err(error) => Err(error),
        }
    }

    fn list_bridge_vlans_the_old_way(&self, port: u32) -> Result<Vec<BridgeVlan>> {
        let object = format!("VLANs of the port with index {port}");
        let mut head = header(0, 0, 0);
        head[0] = libc::AF_BRIDGE as u8;
        let mut r = Request::new("list", object, RTM_GETLINK, NLM_F_DUMP, &head);
        r.buffer
            .put_u32(IFLA_EXT_MASK, RTEXT_FILTER_BRVLAN_COMPRESSED);
        let found = self.dump(r, |header, payload| {
            let link = payload
                .get(4..8)?
                .first_chunk()
                .map(|b| u32::from_ne_bytes(*b))?;
            (header.kind == RTM_NEWLINK && link == port).then(|| compressed(payload))
        })?;
        Ok(found.into_iter().flatten().collect())
    }
}

/// The entries of an RTM_NEWVLAN.
fn entries(payload: &[u8]) -> Vec<BridgeVlan> {
    Attributes::after(payload, 8)
        .filter(|a| a.kind == BRIDGE_VLANDB_ENTRY)
        .filter_map(|entry| {
            let info = Attributes::find(entry.value, BRIDGE_VLANDB_ENTRY_INFO)?;
            let (bits, first) = vlan_info(info.value)?;
            let last = Attributes::find(entry.value, BRIDGE_VLANDB_ENTRY_RANGE)
                .and_then(|a| a.u16())
                .unwrap_or(first);
            Some(BridgeVlan::from_bits(first, last, bits))
        })
        .collect()
}

/// The VLANs in an RTM_NEWLINK of the bridge family, where ranges are two entries.
fn compressed(payload: &[u8]) -> Vec<BridgeVlan> {
    let mut begin = None;
    let mut found = Vec::new();
    for spec in Attributes::after(payload, 16).filter(|a| a.kind == IFLA_AF_SPEC) {
        for info in spec.nested().filter(|a| a.kind == IFLA_BRIDGE_VLAN_INFO) {
            let Some((bits, id)) = vlan_info(info.value) else {
                continue;
            };
            if bits & VLAN_RANGE_BEGIN != 0 {
                begin = Some(id);
            } else {
                found.push(BridgeVlan::from_bits(begin.take().unwrap_or(id), id, bits));
            }
        }
    }
    found
}

/// Reads a `struct bridge_vlan_info`: flags and id.
fn vlan_info(value: &[u8]) -> Option<(u16, u16)> {
    let b = value.first_chunk::<4>()?;
    Some((
        u16::from_ne_bytes([b[0], b[1]]),
        u16::from_ne_bytes([b[2], b[3]]),
    ))
}

impl Batch<'_> {
    /// See [`Socket::add_bridge_vlan`].
    pub fn add_bridge_vlan(&mut self, port: u32, vlan: BridgeVlan) -> &mut Self {
        self.push(add(port, vlan))
    }

    /// See [`Socket::add_bridge_vlan_to_bridge`].
    pub fn add_bridge_vlan_to_bridge(&mut self, bridge: u32, vlan: BridgeVlan) -> &mut Self {
        self.push(add_to_bridge(bridge, vlan))
    }

    /// See [`Socket::remove_bridge_vlan`].
    pub fn remove_bridge_vlan(&mut self, port: u32, vlan: BridgeVlan) -> &mut Self {
        self.push(remove(port, vlan))
    }
}
