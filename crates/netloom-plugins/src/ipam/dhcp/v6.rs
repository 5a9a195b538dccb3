//! DHCP for IPv6 (RFC 8415), without input and output.

pub(super) mod lease;
