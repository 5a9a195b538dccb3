//! Rules.

mod stored;
mod translate;

use std::net::IpAddr;

use ipnet::IpNet;

use super::expression::{Base, Compare, Data, Expression, MetaKey, REG_1, REG_2, register_at};
use super::{Family, Field, Protocol, Verdict, userdata};
use crate::MacAddress;
use crate::netlink::Buffer;

pub use stored::{Fate, RuleInfo};

pub(super) const NFTA_RULE_TABLE: u16 = 1;
pub(super) const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_RULE_USERDATA: u16 = 7;
const NF_NAT_RANGE_PROTO_SPECIFIED: u32 = 2;
const NF_NAT_RANGE_PROTO_RANDOM_FULLY: u32 = 0x10;

/// What connection tracking thinks of a packet; states are joined with `|`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CtState(u32);

impl CtState {
    /// It belongs to no connection and is wrong.
    pub const INVALID: Self = Self(1);
    /// It belongs to a connection seen in both directions.
    pub const ESTABLISHED: Self = Self(2);
    /// It begins a connection that another one announced.
    pub const RELATED: Self = Self(4);
    /// It begins a connection.
    pub const NEW: Self = Self(8);
}

impl std::ops::BitOr for CtState {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A rule to add: matches from left to right, then what to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct Rule {
    expressions: Vec<Expression>,
    comment: Option<String>,
}

impl Rule {
    /// A rule that matches every packet and does nothing.
    pub fn new() -> Self {
        Self {
            expressions: Vec::with_capacity(8),
            comment: None,
        }
    }

    fn push(mut self, expression: Expression) -> Self {
        self.expressions.push(expression);
        self
    }

    /// Requires an IP version, once.
    fn network(self, version: u8) -> Self {
        let needed = Expression::Network(version);
        if self.expressions.contains(&needed) {
            self
        } else {
            self.push(needed)
        }
    }

    fn compare(self, field: Field, compare: Compare, value: &[u8]) -> Self {
        let this = match field.network() {
            Some(version) => self.network(version),
            None => self,
        };
        this.push(field.load(REG_1))
            .push(Expression::Cmp(compare, Data::new(value)))
    }

    fn address(self, source: bool, compare: Compare, ip: IpAddr) -> Self {
        match (ip, source) {
            (IpAddr::V4(ip), true) => self.compare(Field::IpSaddr, compare, &ip.octets()),
            (IpAddr::V4(ip), false) => self.compare(Field::IpDaddr, compare, &ip.octets()),
            (IpAddr::V6(ip), true) => self.compare(Field::Ip6Saddr, compare, &ip.octets()),
            (IpAddr::V6(ip), false) => self.compare(Field::Ip6Daddr, compare, &ip.octets()),
        }
    }

    fn prefix(self, source: bool, compare: Compare, net: IpNet) -> Self {
        let net = net.trunc();
        let length = net.prefix_len();
        if length == net.max_prefix_len() {
            return self.address(source, compare, net.addr());
        }
        let (version, offset) = match (net, source) {
            (IpNet::V4(_), true) => (4, 12),
            (IpNet::V4(_), false) => (4, 16),
            (IpNet::V6(_), true) => (6, 8),
            (IpNet::V6(_), false) => (6, 24),
        };
        let (value, mask) = (bytes(net.addr()), bytes(net.netmask()));
        let this = self.network(version);
        if length == 0 && compare == Compare::Equal {
            return this; // every address is in it
        }
        // As nft does: whole bytes need no mask.
        if length.is_multiple_of(8) && length != 0 {
            let load = Expression::payload(Base::Network, offset, length / 8, REG_1);
            let value = Data::new(&value.bytes()[..usize::from(length / 8)]);
            return this.push(load).push(Expression::Cmp(compare, value));
        }
        let whole = value.bytes().len() as u8;
        this.push(Expression::payload(Base::Network, offset, whole, REG_1))
            .push(Expression::Bitwise {
                mask,
                xor: Data::new(&[0; 16][..whole.into()]),
            })
            .push(Expression::Cmp(compare, value))
    }

    /// `ip saddr A` or `ip6 saddr A`.
    pub fn saddr_eq(self, ip: IpAddr) -> Self {
        self.address(true, Compare::Equal, ip)
    }

    /// `ip saddr != A`.
    pub fn saddr_ne(self, ip: IpAddr) -> Self {
        self.address(true, Compare::NotEqual, ip)
    }

    /// `ip saddr NET/p`.
    pub fn saddr_in(self, net: IpNet) -> Self {
        self.prefix(true, Compare::Equal, net)
    }

    /// `ip saddr != NET/p`.
    pub fn saddr_not_in(self, net: IpNet) -> Self {
        self.prefix(true, Compare::NotEqual, net)
    }

    /// `ip daddr A` or `ip6 daddr A`.
    pub fn daddr_eq(self, ip: IpAddr) -> Self {
        self.address(false, Compare::Equal, ip)
    }

    /// `ip daddr NET/p`.
    pub fn daddr_in(self, net: IpNet) -> Self {
        self.prefix(false, Compare::Equal, net)
    }

    /// `ip daddr != NET/p`.
    pub fn daddr_not_in(self, net: IpNet) -> Self {
        self.prefix(false, Compare::NotEqual, net)
    }

    /// `ether saddr M`.
    pub fn ether_saddr_eq(self, mac: MacAddress) -> Self {
        self.compare(Field::EtherSaddr, Compare::Equal, &mac)
    }

    /// `iifname "N"`.
    pub fn iifname_eq(self, name: &str) -> Self {
        self.compare(Field::Iifname, Compare::Equal, &link_name(name))
    }

    /// `iifname != "N"`.
    pub fn iifname_ne(self, name: &str) -> Self {
        self.compare(Field::Iifname, Compare::NotEqual, &link_name(name))
    }

    /// `meta nfproto ipv4` or `ipv6`, where the table's family leaves it open.
    pub fn nfproto_is(self, family: crate::rtnl::Family) -> Self {
        self.network(if family == crate::rtnl::Family::V4 {
            4
        } else {
            6
        })
    }

    /// `meta l4proto P`.
    pub fn l4proto_eq(self, protocol: Protocol) -> Self {
        self.compare(Field::L4proto, Compare::Equal, &[protocol.0])
    }

    /// `fib daddr type local`: the destination is an address of this host.
    pub fn daddr_is_local(self) -> Self {
        self.push(Expression::FibDaddrType).push(Expression::Cmp(
            Compare::Equal,
            Data::new(&2u32.to_ne_bytes()),
        ))
    }

    /// `ct state A,B`.
    pub fn ct_state(self, states: CtState) -> Self {
        let none = Data::new(&[0; 4]);
        self.push(Expression::CtState)
            .push(Expression::Bitwise {
                mask: Data::new(&states.0.to_ne_bytes()),
                xor: none,
            })
            .push(Expression::Cmp(Compare::NotEqual, none))
    }

    /// `meta mark N`.
    pub fn mark_eq(self, mark: u32) -> Self {
        self.compare(Field::Mark, Compare::Equal, &mark.to_ne_bytes())
    }

    /// `meta mark set N`.
    pub fn mark_set(self, mark: u32) -> Self {
        self.push(Expression::Load(Data::new(&mark.to_ne_bytes()), REG_1))
            .push(Expression::MetaSet(MetaKey::Mark))
    }

    /// Loads fields one after the other, as the key of a set or map.
    fn key(self, fields: &[Field]) -> Self {
        let mut this = self;
        for version in fields.iter().filter_map(|field| field.network()) {
            this = this.network(version);
        }
        let mut offset = 0;
        for field in fields {
            this = this.push(field.load(register_at(offset)));
            offset += usize::from(field.length()).next_multiple_of(4);
        }
        this
    }

    /// `A . B @set`: the fields together are an element of a set.
    pub fn in_set(self, fields: &[Field], set: &str) -> Self {
        let set = set.to_owned();
        self.key(fields).push(Expression::Lookup {
            set,
            invert: false,
            verdict: false,
            data: None,
        })
    }

    /// `A . B != @set`.
    pub fn not_in_set(self, fields: &[Field], set: &str) -> Self {
        let set = set.to_owned();
        self.key(fields).push(Expression::Lookup {
            set,
            invert: true,
            verdict: false,
            data: None,
        })
    }

    /// `A . B vmap @map`: does what the map says of the fields.
    pub fn vmap(self, fields: &[Field], map: &str) -> Self {
        let set = map.to_owned();
        self.key(fields).push(Expression::Lookup {
            set,
            invert: false,
            verdict: true,
            data: None,
        })
    }

    /// `counter`.
    pub fn counter(self) -> Self {
        self.push(Expression::Counter)
    }

    /// `masquerade`.
    pub fn masquerade(self) -> Self {
        self.push(Expression::Masquerade { flags: 0 })
    }

    /// `masquerade fully-random`.
    pub fn masquerade_fully_random(self) -> Self {
        self.push(Expression::Masquerade {
            flags: NF_NAT_RANGE_PROTO_RANDOM_FULLY,
        })
    }

    /// `dnat to A` or `dnat to A:N`.
    pub fn dnat(self, ip: IpAddr, port: Option<u16>) -> Self {
        self.nat(true, ip, port)
    }

    /// `snat to A` or `snat to A:N`.
    pub fn snat(self, ip: IpAddr, port: Option<u16>) -> Self {
        self.nat(false, ip, port)
    }

    fn nat(self, destination: bool, ip: IpAddr, port: Option<u16>) -> Self {
        let mut this = self.push(Expression::Load(bytes(ip), REG_1));
        if let Some(port) = port {
            this = this.push(Expression::Load(Data::new(&port.to_be_bytes()), REG_2));
        }
        this.push(Expression::Nat {
            destination,
            ip6: ip.is_ipv6(),
            port: port.is_some(),
            port_register: REG_2,
            flags: if port.is_some() {
                NF_NAT_RANGE_PROTO_SPECIFIED
            } else {
                0
            },
        })
    }

    /// `dnat ip to A . B map @map`: to the address and port that a map has for the fields.
    pub fn dnat_map(self, fields: &[Field], map: &str, family: crate::rtnl::Family) -> Self {
        let ip6 = family == crate::rtnl::Family::V6;
        let set = map.to_owned();
        let lookup = Expression::Lookup {
            set,
            invert: false,
            verdict: false,
            data: Some(REG_1),
        };
        self.key(fields).push(lookup).push(Expression::Nat {
            destination: true,
            ip6,
            port: true,
            port_register: register_at(if ip6 { 16 } else { 4 }),
            flags: 0,
        })
    }

    /// `accept`.
    pub fn accept(self) -> Self {
        self.verdict(Verdict::Accept)
    }

    /// `drop`.
    pub fn drop(self) -> Self {
        self.verdict(Verdict::Drop)
    }

    /// `return`.
    pub fn return_(self) -> Self {
        self.verdict(Verdict::Return)
    }

    /// `jump CHAIN`.
    pub fn jump(self, chain: &str) -> Self {
        self.verdict(Verdict::Jump(chain.to_owned()))
    }

    /// `goto CHAIN`.
    pub fn goto(self, chain: &str) -> Self {
        self.verdict(Verdict::Goto(chain.to_owned()))
    }

    /// Any verdict.
    pub fn verdict(self, verdict: Verdict) -> Self {
        self.push(Expression::Verdict(verdict))
    }

    /// `comment "…"`; cut to [`COMMENT_MAX`](super::COMMENT_MAX) bytes.
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    fn put(&self, family: Family, b: &mut Buffer) {
        b.nest(NFTA_RULE_EXPRESSIONS, |b| {
            for expression in &self.expressions {
                expression.put(family, b);
            }
        });
        if let Some(text) = &self.comment {
            b.put(
                NFTA_RULE_USERDATA,
                &userdata::comment(userdata::COMMENT, text),
            );
        }
    }
}

fn bytes(ip: IpAddr) -> Data {
    match ip {
        IpAddr::V4(ip) => Data::new(&ip.octets()),
        IpAddr::V6(ip) => Data::new(&ip.octets()),
    }
}

/// The name of a link as the kernel compares it.
pub(super) fn link_name(name: &str) -> [u8; 16] {
    let mut padded = [0; 16];
    let length = name.len().min(15);
    padded[..length].copy_from_slice(&name.as_bytes()[..length]);
    padded
}
