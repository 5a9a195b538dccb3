//! The kernel's settings per link.

use netloom_kernel::sysctl;

/// Stops the host from taking routes and addresses from router advertisements that come
/// in by this link (CVE-2020-10749). A kernel without IPv6 accepts none.
pub(crate) fn refuse_router_advertisements(link: &str) {
    let _ = sysctl::set(&format!("net/ipv6/conf/{link}/accept_ra"), "0");
}
