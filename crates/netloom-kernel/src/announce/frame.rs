//! The Ethernet frames of announcements.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::MacAddress;

const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ICMPV6: u8 = 58;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const OVERRIDE: u8 = 0x20;
const TARGET_LINK_LAYER_ADDRESS: u8 = 2;
pub(super) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: MacAddress = [0x33, 0x33, 0, 0, 0, 1];

fn ethernet(to: MacAddress, from: MacAddress, ethertype: u16, capacity: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(14 + capacity);
    frame.extend_from_slice(&to);
    frame.extend_from_slice(&from);
    frame.extend_from_slice(&ethertype.to_be_bytes());
    frame
}

/// An ARP request whose sender and target are the announced address.
pub(super) fn gratuitous_arp(mac: MacAddress, ip: Ipv4Addr) -> Vec<u8> {
    let mut frame = ethernet([0xff; 6], mac, ETHERTYPE_ARP, 28);
    // Ethernet and IPv4, of 6 and 4 octets; operation 1 is a request.
    frame.extend_from_slice(&[0, 1, 0x08, 0, 6, 4, 0, 1]);
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&ip.octets());
    frame.extend_from_slice(&[0; 6]);
    frame.extend_from_slice(&ip.octets());
    frame
}

/// A neighbour advertisement that overrides what neighbours know, as an ICMPv6 message without its
/// checksum.
pub(super) fn advertisement(mac: MacAddress, ip: Ipv6Addr) -> Vec<u8> {
    let mut message = vec![NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, OVERRIDE, 0, 0, 0];
    message.extend_from_slice(&ip.octets());
    message.extend_from_slice(&[TARGET_LINK_LAYER_ADDRESS, 1]);
    message.extend_from_slice(&mac);
    message
}

/// A whole frame with that advertisement, to all nodes of a link.
pub(super) fn unsolicited_na(mac: MacAddress, ip: Ipv6Addr) -> Vec<u8> {
    let mut message = advertisement(mac, ip);
    let sum = checksum(ip, ALL_NODES, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());

    let mut frame = ethernet(ALL_NODES_MAC, mac, ETHERTYPE_IPV6, 40 + message.len());
    frame.extend_from_slice(&[0x60, 0, 0, 0, 0, message.len() as u8, ICMPV6, 255]);
    frame.extend_from_slice(&ip.octets());
    frame.extend_from_slice(&ALL_NODES.octets());
    frame.extend_from_slice(&message);
    frame
}

/// The ICMPv6 checksum with its pseudo header (RFC 8200, section 8.1).
fn checksum(from: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> u16 {
    let length = (message.len() as u32).to_be_bytes();
    let pseudo = [
        &from.octets()[..],
        &to.octets(),
        &length,
        &[0, 0, 0, ICMPV6],
    ];
    let mut sum: u32 = pseudo
        .iter()
        .copied()
        .chain([message])
        .flat_map(|part| part.chunks(2))
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_over_the_whole_advertisement_is_zero() {
        let ip = "2001:db8::5".parse().unwrap();
        let frame = unsolicited_na([2, 0, 0, 0, 0, 7], ip);
        assert_eq!(frame.len(), 14 + 40 + 32);
        assert_eq!(checksum(ip, ALL_NODES, &frame[54..]), 0);
    }

    #[test]
    fn a_gratuitous_arp_has_the_address_as_sender_and_target() {
        let frame = gratuitous_arp([2, 0, 0, 0, 0, 7], [10, 1, 2, 3].into());
        assert_eq!(frame.len(), 42);
        assert_eq!(frame[..6], [0xff; 6]);
        assert_eq!(frame[28..32], [10, 1, 2, 3]);
        assert_eq!(frame[38..42], [10, 1, 2, 3]);
    }
}
