//! DHCP for IPv6 (RFC 8415), without input and output. One address for each client (IA_NA).

pub(super) mod lease;
pub(super) mod machine;
pub(super) mod message;
#[cfg(test)]
mod tests;

/// Where servers listen, and clients.
pub(super) const SERVER_PORT: u16 = 547;
pub(super) const CLIENT_PORT: u16 = 546;

/// All servers and relay agents on the link.
pub(super) const ALL_SERVERS: std::net::Ipv6Addr =
    std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
