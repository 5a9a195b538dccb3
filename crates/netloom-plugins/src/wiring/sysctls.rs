//! The kernel's settings per link.

use netloom_kernel::sysctl;

/// Stops the host from taking routes and addresses from router advertisements that come
/// in by this link (CVE-2020-10749). A kernel without IPv6 accepts none.
pub(crate) fn refuse_router_advertisements(link: &str) {
    let _ = sysctl::set(&format!("net/ipv6/conf/{link}/accept_ra"), "0");
}

/// Lets this link of the host use its link-local address at once. Without it the host asks for no
/// neighbour on behalf of others before duplicate address detection is done, a second or two
/// after the pod came. Both ends of the wire are ours: there is nobody to conflict with.
pub(crate) fn skip_duplicate_address_detection(link: &str) {
    let _ = sysctl::set_if_different(&format!("net/ipv6/conf/{link}/accept_dad"), "0");
}
