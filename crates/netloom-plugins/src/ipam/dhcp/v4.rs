//! DHCP for IPv4 (RFC 2131), without input and output.

pub(super) mod frame;
pub(super) mod lease;
pub(super) mod machine;
pub(super) mod message;
mod option;
#[cfg(test)]
mod tests;
