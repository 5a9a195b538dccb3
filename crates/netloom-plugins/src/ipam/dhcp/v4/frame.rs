//! UDP over IPv4 by hand, for a link that has no address yet (RFC 791, RFC 768).

use std::net::Ipv4Addr;

pub(in super::super) const CLIENT_PORT: u16 = 68;
pub(in super::super) const SERVER_PORT: u16 = 67;
const IP_LEN: usize = 20;
const UDP_LEN: usize = 8;
const UDP: u8 = 17;
const TIME_TO_LIVE: u8 = 64;

/// The packet that carries a message from the client's port to the server's.
pub(in super::super) fn packet(from: Ipv4Addr, to: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let udp_len = UDP_LEN + payload.len();
    let mut out = vec![0; IP_LEN];
    out[0] = 0x45;
    // Messages are far below 64 KiB: they are kept below the MTU.
    out[2..4].copy_from_slice(&((IP_LEN + udp_len) as u16).to_be_bytes());
    (out[8], out[9]) = (TIME_TO_LIVE, UDP);
    out[12..16].copy_from_slice(&from.octets());
    out[16..20].copy_from_slice(&to.octets());
    let header_sum = checksum(&[&out]);
    out[10..12].copy_from_slice(&header_sum.to_be_bytes());

    let mut udp = Vec::with_capacity(udp_len);
    udp.extend_from_slice(&CLIENT_PORT.to_be_bytes());
    udp.extend_from_slice(&SERVER_PORT.to_be_bytes());
    udp.extend_from_slice(&(udp_len as u16).to_be_bytes());
    udp.extend_from_slice(&[0, 0]);
    udp.extend_from_slice(payload);
    let length = (udp_len as u32).to_be_bytes();
    let pseudo = [&from.octets()[..], &to.octets(), &[0, UDP], &length[2..]].concat();
    // A sum of 0 would say that there is none.
    let sum = match checksum(&[&pseudo, &udp]) {
        0 => u16::MAX,
        sum => sum,
    };
    udp[6..8].copy_from_slice(&sum.to_be_bytes());
    out.extend(udp);
    out
}

/// Where a packet to the client's port comes from. [`payload`] tells whether it is one.
pub(in super::super) fn source(packet: &[u8]) -> Option<Ipv4Addr> {
    let source = <[u8; 4]>::try_from(packet.get(12..16)?).ok()?;
    Some(Ipv4Addr::from(source)).filter(|source| !source.is_unspecified())
}

/// The payload of a packet to the client's port. `None` if it is anything else, or a fragment.
///
/// The checksum of UDP is not looked at: between two namespaces of one host the kernel leaves it
/// out, and a packet socket sees that.
pub(in super::super) fn payload(packet: &[u8]) -> Option<&[u8]> {
    let first = *packet.first()?;
    let header_len = usize::from(first & 0xf) * 4;
    let (header, rest) = packet.split_at_checked(header_len)?;
    if first >> 4 != 4 || header_len < IP_LEN || header[9] != UDP || checksum(&[header]) != 0 {
        return None;
    }
    if u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0 {
        return None;
    }
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    // The link may have padded it.
    let datagram = rest.get(..total.checked_sub(header_len)?)?;
    let (udp, payload) = datagram.split_first_chunk::<UDP_LEN>()?;
    if u16::from_be_bytes([udp[2], udp[3]]) != CLIENT_PORT {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([udp[4], udp[5]]));
    payload.get(..length.checked_sub(UDP_LEN)?)
}

/// The Internet checksum (RFC 1071) of parts, all of which but the last are of even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for pair in parts.iter().flat_map(|part| part.chunks(2)) {
        let low = pair.get(1).copied().unwrap_or_default();
        sum += u32::from(u16::from_be_bytes([pair[0], low]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
