//! Codes of options (RFC 2132 and later) that mean something here.

pub(super) const PAD: u8 = 0;
pub(super) const SUBNET_MASK: u8 = 1;
pub(super) const ROUTERS: u8 = 3;
pub(super) const NAME_SERVERS: u8 = 6;
pub(super) const DOMAIN: u8 = 15;
pub(super) const MTU: u8 = 26;
pub(super) const STATIC_ROUTES: u8 = 33;
pub(super) const REQUESTED_ADDRESS: u8 = 50;
pub(super) const LEASE_TIME: u8 = 51;
pub(super) const OVERLOAD: u8 = 52;
pub(super) const MESSAGE_TYPE: u8 = 53;
pub(super) const SERVER: u8 = 54;
pub(super) const REQUEST_LIST: u8 = 55;
pub(super) const TEXT: u8 = 56;
pub(super) const MAX_SIZE: u8 = 57;
pub(super) const RENEWAL_TIME: u8 = 58;
pub(super) const REBINDING_TIME: u8 = 59;
pub(super) const CLIENT_ID: u8 = 61;
/// RFC 3397.
pub(super) const SEARCH: u8 = 119;
/// RFC 3442.
pub(super) const CLASSLESS_ROUTES: u8 = 121;
/// The same under the number that Microsoft's servers give it.
pub(super) const CLASSLESS_ROUTES_MICROSOFT: u8 = 249;
pub(super) const END: u8 = 255;
