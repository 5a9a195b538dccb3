//! What of a packet a rule looks at.

use super::expression::{Base, Expression, MetaKey};

/// A transport protocol, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP.
    pub const ICMP: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// ICMPv6.
    pub const ICMPV6: Self = Self(58);
    /// SCTP.
    pub const SCTP: Self = Self(132);
}

/// A part of a packet, or something known of it, to compare or to look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// The IPv4 source address.
    IpSaddr,
    /// The IPv4 destination address.
    IpDaddr,
    /// The IPv6 source address.
    Ip6Saddr,
    /// The IPv6 destination address.
    Ip6Daddr,
    /// The Ethernet source address.
    EtherSaddr,
    /// The Ethernet destination address.
    EtherDaddr,
    /// The name of the link it came in by.
    Iifname,
    /// The name of the link it leaves by.
    Oifname,
    /// The transport protocol.
    L4proto,
    /// The destination port of any transport protocol.
    Dport,
    /// The packet's mark.
    Mark,
}

impl Field {
    /// Its length in bytes.
    pub(super) fn length(self) -> u8 {
        match self {
            Self::IpSaddr | Self::IpDaddr | Self::Mark => 4,
            Self::Ip6Saddr | Self::Ip6Daddr | Self::Iifname | Self::Oifname => 16,
            Self::EtherSaddr | Self::EtherDaddr => 6,
            Self::L4proto => 1,
            Self::Dport => 2,
        }
    }

    /// Loads it into a register.
    pub(super) fn load(self, register: u32) -> Expression {
        use Base::{Link, Network, Transport};
        let payload = |base, offset| Expression::payload(base, offset, self.length(), register);
        match self {
            Self::IpSaddr => payload(Network, 12),
            Self::IpDaddr => payload(Network, 16),
            Self::Ip6Saddr => payload(Network, 8),
            Self::Ip6Daddr => payload(Network, 24),
            Self::EtherDaddr => payload(Link, 0),
            Self::EtherSaddr => payload(Link, 6),
            Self::Dport => payload(Transport, 2),
            Self::Iifname => Expression::Meta(MetaKey::Iifname, register),
            Self::Oifname => Expression::Meta(MetaKey::Oifname, register),
            Self::L4proto => Expression::Meta(MetaKey::L4proto, register),
            Self::Mark => Expression::Meta(MetaKey::Mark, register),
        }
    }

    /// The network protocol that the packet must have for it to make sense: 4, 6, or none.
    pub(super) fn network(self) -> Option<u8> {
        match self {
            Self::IpSaddr | Self::IpDaddr => Some(4),
            Self::Ip6Saddr | Self::Ip6Daddr => Some(6),
            _ => None,
        }
    }
}
