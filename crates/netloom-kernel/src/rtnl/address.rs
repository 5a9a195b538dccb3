//! Addresses of links.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::route::{Scope, family_of, octets};
use super::{Batch, Socket};
use crate::error::Result;
use crate::netlink::{
    Attributes, Dump, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, Request,
};

pub(super) const RTM_NEWADDR: u16 = 20;
pub(super) const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const IFA_TARGET_NETNSID: u16 = 10;
const IFA_PROTO: u16 = 11;

/// The flags of an address (`IFA_F_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct AddressFlags(u32);

impl AddressFlags {
    /// Duplicate address detection has not finished (and is not optimistic).
    #[must_use]
    pub fn is_tentative(self) -> bool {
        self.0 & libc::IFA_F_TENTATIVE != 0 && self.0 & libc::IFA_F_OPTIMISTIC == 0
    }

    /// Duplicate address detection found another owner.
    #[must_use]
    pub fn is_duplicate(self) -> bool {
        self.0 & libc::IFA_F_DADFAILED != 0
    }

    /// It does not expire.
    #[must_use]
    pub fn is_permanent(self) -> bool {
        self.0 & libc::IFA_F_PERMANENT != 0
    }

    /// Duplicate address detection was not asked for.
    #[must_use]
    pub fn is_without_dad(self) -> bool {
        self.0 & libc::IFA_F_NODAD != 0
    }

    /// It has brought no route to its subnet.
    #[must_use]
    pub fn is_without_prefix_route(self) -> bool {
        self.0 & libc::IFA_F_NOPREFIXROUTE != 0
    }

    /// The kernel made it of a prefix in a router advertisement.
    #[must_use]
    pub fn is_autoconfigured(self) -> bool {
        self.0 & libc::IFA_F_MANAGETEMPADDR != 0
    }

    /// The bits as the kernel has them.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }
}

/// An address to give to a link. The IPv4 broadcast address is computed for prefixes up to 30.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressSpec<'a> {
    address: IpNet,
    peer: Option<IpAddr>,
    scope: Scope,
    flags: u32,
    label: Option<&'a str>,
    protocol: u8,
}

impl<'a> AddressSpec<'a> {
    /// The address with the prefix length of its subnet.
    #[must_use]
    pub fn new(address: IpNet) -> Self {
        Self {
            address,
            peer: None,
            scope: Scope::Universe,
            flags: 0,
            label: None,
            protocol: 0,
        }
    }

    /// IPv6: usable at once, without duplicate address detection.
    #[must_use]
    pub fn no_dad(mut self) -> Self {
        self.flags |= libc::IFA_F_NODAD;
        self
    }

    /// Adds no route to the subnet.
    #[must_use]
    pub fn no_prefix_route(mut self) -> Self {
        self.flags |= libc::IFA_F_NOPREFIXROUTE;
        self
    }

    /// The other end of a point-to-point link.
    #[must_use]
    pub fn peer(mut self, peer: IpAddr) -> Self {
        self.peer = Some(peer);
        self
    }

    /// How far the address is valid.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// IPv4: a label, which must begin with the link's name.
    #[must_use]
    pub fn label(mut self, label: &'a str) -> Self {
        self.label = Some(label);
        self
    }

    /// Who gives it, a number that the kernel keeps from Linux 5.18 on; below 4 are its own.
    #[must_use]
    pub fn protocol(mut self, protocol: u8) -> Self {
        self.protocol = protocol;
        self
    }

    fn request(&self, operation: &'static str, kind: u16, flags: u16, link: u32) -> Request {
        let object = format!("{} on the link with index {link}", self.address);
        let mut header = [
            family_of(self.address.addr()),
            self.address.prefix_len(),
            0,
            0,
            0,
            0,
            0,
            0,
        ];
        header[3] = self.scope.to_wire();
        header[4..].copy_from_slice(&link.to_ne_bytes());
        let mut r = Request::new(operation, object, kind, flags, &header);
        let local = octets(self.address.addr());
        r.buffer.put(IFA_LOCAL, &local);
        r.buffer.put(IFA_ADDRESS, &self.peer.map_or(local, octets));
        if let Some(broadcast) = broadcast(&self.address).filter(|_| self.peer.is_none()) {
            r.buffer.put(IFA_BROADCAST, &broadcast.octets());
        }
        if let Some(label) = self.label {
            r.buffer.put_str(IFA_LABEL, label);
        }
        if self.protocol != 0 {
            r.buffer.put_u8(IFA_PROTO, self.protocol);
        }
        if self.flags != 0 {
            r.buffer.put_u32(IFA_FLAGS, self.flags);
        }
        r
    }
}

impl From<IpNet> for AddressSpec<'_> {
    fn from(address: IpNet) -> Self {
        Self::new(address)
    }
}

fn broadcast(address: &IpNet) -> Option<Ipv4Addr> {
    match address {
        IpNet::V4(net) if net.prefix_len() < 31 => Some(net.broadcast()),
        _ => None,
    }
}

/// An address of a link as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The index of its link.
    pub link: u32,
    /// The address with its prefix length.
    pub address: IpNet,
    /// The other end of a point-to-point link.
    pub peer: Option<IpAddr>,
    /// The IPv4 broadcast address.
    pub broadcast: Option<IpAddr>,
    /// How far it is valid.
    pub scope: Scope,
    /// The flags.
    pub flags: AddressFlags,
    /// The IPv4 label, usually the name of the link.
    pub label: Option<String>,
    /// Who gave it; 0 if nobody said so, and before Linux 5.18.
    pub protocol: u8,
}

impl Address {
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let fixed = payload.first_chunk::<8>()?;
        let (mut local, mut address, mut broadcast, mut label) = (None, None, None, None);
        let (mut flags, mut protocol) = (u32::from(fixed[2]), 0);
        for a in Attributes::after(payload, 8) {
            match a.kind {
                IFA_LOCAL => local = a.ip(),
                IFA_ADDRESS => address = a.ip(),
                IFA_BROADCAST => broadcast = a.ip(),
                IFA_LABEL => label = Some(a.string()),
                IFA_PROTO => protocol = a.u8().unwrap_or_default(),
                IFA_FLAGS => flags = a.u32().unwrap_or(flags),
                _ => {}
            }
        }
        let own = local.or(address)?;
        Some(Self {
            link: u32::from_ne_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            address: IpNet::new(own, fixed[1]).ok()?,
            peer: address.filter(|peer| *peer != own),
            broadcast,
            scope: Scope::from_wire(fixed[3]),
            flags: AddressFlags(flags),
            label,
            protocol,
        })
    }
}

fn add(link: u32, spec: &AddressSpec<'_>) -> Request {
    spec.request("add address", RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, link)
}

fn replace(link: u32, spec: &AddressSpec<'_>) -> Request {
    spec.request(
        "replace address",
        RTM_NEWADDR,
        NLM_F_CREATE | NLM_F_REPLACE,
        link,
    )
}

fn remove(link: u32, address: IpNet) -> Request {
    let spec = AddressSpec::new(address);
    spec.request("remove address", RTM_DELADDR, 0, link)
        .absent_is_success()
}

impl Socket {
    /// Gives an address to a link.
    ///
    /// # Errors
    /// `is_exists()` if the link has it; `is_absent()` if there is no link of that index.
    pub fn add_address<'a>(&self, link: u32, spec: impl Into<AddressSpec<'a>>) -> Result<()> {
        self.execute(add(link, &spec.into())).map(drop)
    }

    /// Gives an address to a link, or changes the flags of the one it has.
    ///
    /// # Errors
    /// `is_absent()` if there is no link of that index.
    pub fn replace_address<'a>(&self, link: u32, spec: impl Into<AddressSpec<'a>>) -> Result<()> {
        self.execute(replace(link, &spec.into())).map(drop)
    }

    /// Takes an address from a link. `false` if it did not have it.
    ///
    /// # Errors
    /// Anything but absence.
    pub fn remove_address(&self, link: u32, address: IpNet) -> Result<bool> {
        self.execute(remove(link, address))
    }

    /// The addresses of one link, filtered by the kernel.
    ///
    /// # Errors
    /// If the kernel refuses the dump.
    pub fn list_addresses(&self, link: u32) -> Result<Vec<Address>> {
        match self.dump_addresses(link, link) {
            // Of more parts than one the kernel does not say whether they belong together (it
            // compares the table's sequence number only when it is not asked to filter).
            Ok(dump) if dump.parts > 1 => Ok(self.dump_addresses(0, link)?.found),
            Ok(dump) => Ok(dump.found),
            // What the kernel filters by has no addresses because it is not there.
            Err(error) if error.errno() == libc::ENODEV => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The addresses of all links.
    ///
    /// # Errors
    /// If the kernel refuses the dump.
    pub fn list_all_addresses(&self) -> Result<Vec<Address>> {
        Ok(self.dump_addresses(0, 0)?.found)
    }

    /// The addresses of all links of another namespace, which this one knows by a number: see
    /// [`Socket::list_namespace_ids`].
    ///
    /// # Errors
    /// If the number stands for no namespace (any more).
    pub fn list_all_addresses_of(&self, namespace_id: i32) -> Result<Vec<Address>> {
        let object = format!("addresses of the namespace known as {namespace_id}");
        let mut r = Request::new("list", object, RTM_GETADDR, NLM_F_DUMP, &[0; 8]);
        r.buffer
            .put_u32(IFA_TARGET_NETNSID, namespace_id.cast_unsigned());
        self.dump(r, |_, payload| Address::parse(payload))
    }

    /// Asks for the addresses of `asked` and keeps those of `wanted`; 0 is any link.
    fn dump_addresses(&self, asked: u32, wanted: u32) -> Result<Dump<Address>> {
        let object = match wanted {
            0 => "addresses of all links".to_owned(),
            link => format!("addresses of the link with index {link}"),
        };
        let mut header = [0; 8];
        header[4..].copy_from_slice(&asked.to_ne_bytes());
        let r = Request::new("list", object, RTM_GETADDR, NLM_F_DUMP, &header);
        self.dump_in_parts(r, |_, payload| {
            Address::parse(payload).filter(|address| wanted == 0 || address.link == wanted)
        })
    }
}

impl Batch<'_> {
    /// See [`Socket::add_address`].
    pub fn add_address<'a>(&mut self, link: u32, spec: impl Into<AddressSpec<'a>>) -> &mut Self {
        self.push(add(link, &spec.into()))
    }

    /// See [`Socket::replace_address`].
    pub fn replace_address<'a>(
        &mut self,
        link: u32,
        spec: impl Into<AddressSpec<'a>>,
    ) -> &mut Self {
        self.push(replace(link, &spec.into()))
    }

    /// See [`Socket::remove_address`].
    pub fn remove_address(&mut self, link: u32, address: IpNet) -> &mut Self {
        self.push(remove(link, address))
    }
}
