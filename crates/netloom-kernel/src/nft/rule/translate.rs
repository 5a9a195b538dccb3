//! Steps of rules that translate addresses of more than one pod at once.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{Rule, bytes};
use crate::nft::Field;
use crate::nft::expression::{Compare, Data, Expression, REG_1};
use crate::rtnl::Family;

/// The bit of a connection's status that says that its destination was translated.
pub(super) const IPS_DST_NAT: u32 = 1 << 5;
/// Where the addresses are in an IPv6 header.
const SADDR6: u8 = 8;
const DADDR6: u8 = 24;

impl Rule {
    /// `ct status dnat`: the destination of the connection was translated.
    pub fn ct_is_dnat(self) -> Self {
        let none = Data::new(&[0; 4]);
        self.push(Expression::CtStatus)
            .push(Expression::Bitwise {
                mask: Data::new(&IPS_DST_NAT.to_ne_bytes()),
                xor: none,
            })
            .push(Expression::Cmp(Compare::NotEqual, none))
    }

    /// `ip saddr & MASK . ip daddr @set`: the first `prefix_len` bits of the source address
    /// together with the destination are an element of a set of two addresses.
    pub fn subnet_and_daddr_in_set(self, prefix_len: u8, set: &str, family: Family) -> Self {
        let (source, destination, any): (_, _, IpAddr) = match family {
            Family::V4 => (Field::IpSaddr, Field::IpDaddr, Ipv4Addr::UNSPECIFIED.into()),
            Family::V6 => (
                Field::Ip6Saddr,
                Field::Ip6Daddr,
                Ipv6Addr::UNSPECIFIED.into(),
            ),
        };
        let longest = if any.is_ipv4() { 32 } else { 128 };
        let mask = IpNet::new(any, prefix_len.min(longest)).map_or(any, |net| net.netmask());
        let mut this = self.in_set(&[source, destination], set);
        if prefix_len < longest {
            // Behind the load of the source; the destination goes to the registers after it.
            let lookups = this.expressions.split_off(this.expressions.len() - 2);
            this = this.push(Expression::Bitwise {
                mask: bytes(mask),
                xor: bytes(any),
            });
            this.expressions.extend(lookups);
        }
        this
    }

    /// `ip6 saddr set A . B map @map`: a new source address, from a map of the fields. Nothing
    /// remembers the old one.
    pub fn set_ip6_saddr_by_map(self, fields: &[Field], map: &str) -> Self {
        let set = map.to_owned();
        self.key(fields)
            .push(Expression::Lookup {
                set,
                invert: false,
                verdict: false,
                data: Some(REG_1),
            })
            .push(Expression::Ip6Write { offset: SADDR6 })
    }

    /// `ip6 saddr set A`: a new source address. Nothing remembers the old one.
    pub fn set_ip6_saddr(self, ip: Ipv6Addr) -> Self {
        self.push(Expression::Load(bytes(ip.into()), REG_1))
            .push(Expression::Ip6Write { offset: SADDR6 })
    }

    /// `ip6 daddr set A`: a new destination address. Nothing remembers the old one.
    pub fn set_ip6_daddr(self, ip: Ipv6Addr) -> Self {
        self.push(Expression::Load(bytes(ip.into()), REG_1))
            .push(Expression::Ip6Write { offset: DADDR6 })
    }
}
