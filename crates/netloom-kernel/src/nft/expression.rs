//! The steps of a rule, as the kernel executes them.

mod found;

use super::table::Family;
use super::verdict::{NFTA_DATA_VALUE, Verdict};
use crate::netlink::Buffer;

pub(super) use found::{Found, Loaded, found_in};

const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;

/// The verdict register.
pub(super) const REG_VERDICT: u32 = 0;
/// The first data register, of 16 bytes.
pub(super) const REG_1: u32 = 1;
/// The second data register.
pub(super) const REG_2: u32 = 2;
/// The first of the registers of 4 bytes, which is the beginning of [`REG_1`].
const REG32_00: u32 = 8;

/// The register at an offset of a concatenated key.
pub(super) fn register_at(offset: usize) -> u32 {
    if offset == 0 {
        REG_1
    } else {
        REG32_00 + (offset / 4) as u32
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    Link = 0,
    Network = 1,
    Transport = 2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MetaKey {
    Protocol = 1,
    Mark = 3,
    Iifname = 6,
    Oifname = 7,
    Nfproto = 15,
    L4proto = 16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    Equal = 0,
    NotEqual = 1,
}

/// Up to 16 bytes to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Data {
    bytes: [u8; 16],
    length: u8,
}

impl Data {
    pub(super) fn new(value: &[u8]) -> Self {
        let mut bytes = [0; 16];
        let length = value.len().min(16);
        bytes[..length].copy_from_slice(&value[..length]);
        Self {
            bytes,
            length: length as u8,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length.into()]
    }
}

/// One step of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    /// The packet must be IPv4 (4) or IPv6 (6); written only where the family leaves it open.
    Network(u8),
    Meta(MetaKey, u32),
    MetaSet(MetaKey),
    Payload {
        base: Base,
        offset: u8,
        length: u8,
        register: u32,
    },
    Bitwise {
        mask: Data,
        xor: Data,
    },
    Cmp(Compare, Data),
    Lookup {
        set: String,
        invert: bool,
        verdict: bool,
        data: Option<u32>,
    },
    Verdict(Verdict),
    Load(Data, u32),
    Masquerade {
        flags: u32,
    },
    Nat {
        destination: bool,
        ip6: bool,
        port: bool,
        port_register: u32,
        flags: u32,
    },
    FibDaddrType,
    CtState,
    CtStatus,
    /// Writes the first register into the IPv6 header; the transport checksum follows.
    Ip6Write {
        offset: u8,
    },
    Counter,
}

impl Expression {
    pub(super) fn payload(base: Base, offset: u8, length: u8, register: u32) -> Self {
        Self::Payload {
            base,
            offset,
            length,
            register,
        }
    }

    /// Writes it as one element of a list of expressions.
    pub(super) fn put(&self, family: Family, b: &mut Buffer) {
        match self {
            Self::Network(version) => put_network(*version, family, b),
            Self::Meta(key, register) => put(b, "meta", |b| {
                b.put_be32(2, *key as u32);
                b.put_be32(1, *register);
            }),
            Self::MetaSet(key) => put(b, "meta", |b| {
                b.put_be32(2, *key as u32);
                b.put_be32(3, REG_1);
            }),
            Self::Payload {
                base,
                offset,
                length,
                register,
            } => put_payload(b, *base, *offset, *length, *register),
            Self::Bitwise { mask, xor } => put_bitwise(b, mask, xor),
            Self::Cmp(compare, data) => put(b, "cmp", |b| {
                b.put_be32(1, REG_1);
                b.put_be32(2, *compare as u32);
                put_data(b, 3, data);
            }),
            Self::Lookup {
                set,
                invert,
                verdict,
                data,
            } => {
                let target = if *verdict { Some(REG_VERDICT) } else { *data };
                put_lookup(b, set, target, *invert);
            }
            Self::Verdict(verdict) => put(b, "immediate", |b| {
                b.put_be32(1, REG_VERDICT);
                b.nest(2, |b| verdict.put(b));
            }),
            Self::Load(data, register) => put(b, "immediate", |b| {
                b.put_be32(1, *register);
                put_data(b, 2, data);
            }),
            Self::Masquerade { flags } => put_masquerade(b, *flags),
            Self::Nat {
                destination,
                ip6,
                port,
                port_register,
                flags,
            } => {
                let port = port.then_some(*port_register);
                put_nat(b, *destination, *ip6, port, *flags);
            }
            Self::FibDaddrType => put_fib_daddr_type(b),
            Self::CtState => put_ct(b, 0),
            Self::CtStatus => put_ct(b, 2),
            Self::Ip6Write { offset } => put_ip6_write(b, *offset),
            Self::Counter => put(b, "counter", |_| {}),
        }
    }
}

fn put(b: &mut Buffer, name: &str, data: impl FnOnce(&mut Buffer)) {
    b.nest(NFTA_LIST_ELEM, |b| {
        b.put_str(NFTA_EXPR_NAME, name);
        b.nest(NFTA_EXPR_DATA, data);
    });
}

fn put_payload(b: &mut Buffer, base: Base, offset: u8, length: u8, register: u32) {
    put(b, "payload", |b| {
        b.put_be32(1, register);
        b.put_be32(2, base as u32);
        b.put_be32(3, offset.into());
        b.put_be32(4, length.into());
    });
}

/// Writes an address into the IPv6 header.
fn put_ip6_write(b: &mut Buffer, offset: u8) {
    put(b, "payload", |b| {
        b.put_be32(2, Base::Network as u32);
        b.put_be32(3, offset.into());
        b.put_be32(4, 16);
        b.put_be32(5, REG_1);
        b.put_be32(6, 0); // IPv6 has no checksum of its own
        b.put_be32(7, 0);
        b.put_be32(8, 1); // but those of TCP and UDP cover the addresses
    });
}

fn put_bitwise(b: &mut Buffer, mask: &Data, xor: &Data) {
    put(b, "bitwise", |b| {
        b.put_be32(1, REG_1);
        b.put_be32(2, REG_1);
        b.put_be32(3, mask.length.into());
        put_data(b, 4, mask);
        put_data(b, 5, xor);
    });
}

/// `target`: the register that gets what a map has for the key.
fn put_lookup(b: &mut Buffer, set: &str, target: Option<u32>, invert: bool) {
    put(b, "lookup", |b| {
        b.put_str(1, set);
        b.put_be32(2, REG_1);
        if let Some(register) = target {
            b.put_be32(3, register);
        }
        if invert {
            b.put_be32(5, 1);
        }
    });
}

/// `port`: the register that the port is in.
fn put_nat(b: &mut Buffer, destination: bool, ip6: bool, port: Option<u32>, flags: u32) {
    put(b, "nat", |b| {
        b.put_be32(1, destination.into());
        b.put_be32(2, if ip6 { 10 } else { 2 });
        b.put_be32(3, REG_1);
        if let Some(register) = port {
            b.put_be32(5, register);
        }
        if flags != 0 {
            b.put_be32(7, flags);
        }
    });
}

fn put_masquerade(b: &mut Buffer, flags: u32) {
    put(b, "masq", |b| {
        if flags != 0 {
            b.put_be32(1, flags);
        }
    });
}

fn put_fib_daddr_type(b: &mut Buffer) {
    put(b, "fib", |b| {
        b.put_be32(1, REG_1);
        b.put_be32(2, 3); // the type of the address
        b.put_be32(3, 2); // of the destination
    });
}

fn put_ct(b: &mut Buffer, key: u32) {
    put(b, "ct", |b| {
        b.put_be32(2, key);
        b.put_be32(1, REG_1);
    });
}

fn put_data(b: &mut Buffer, kind: u16, data: &Data) {
    b.nest(kind, |b| b.put(NFTA_DATA_VALUE, data.bytes()));
}

/// What `nft` puts before a match of IP addresses where the family does not imply it.
fn put_network(version: u8, family: Family, b: &mut Buffer) {
    let (key, data) = match family {
        Family::Ip | Family::Ip6 | Family::Arp => return,
        Family::Inet => (
            MetaKey::Nfproto,
            Data::new(&[if version == 4 { 2 } else { 10 }]),
        ),
        Family::Bridge | Family::Netdev => {
            let ethertype: u16 = if version == 4 { 0x0800 } else { 0x86dd };
            (MetaKey::Protocol, Data::new(&ethertype.to_be_bytes()))
        }
    };
    Expression::Meta(key, REG_1).put(family, b);
    Expression::Cmp(Compare::Equal, data).put(family, b);
}
