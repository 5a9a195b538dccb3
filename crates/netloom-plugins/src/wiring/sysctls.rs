//! The kernel's settings per link.

use super::SetupError;
use netloom_kernel::sysctl;

/// Stops the host from taking routes and addresses from router advertisements that come
/// in by this link (CVE-2020-10749). A kernel without IPv6 accepts none.
pub(crate) fn refuse_router_advertisements(link: &str) {
    let _ = sysctl::set(&format!("net/ipv6/conf/{link}/accept_ra"), "0");
}

/// Lets this new link of the host use its link-local address at once. Otherwise the host would not
/// resolve neighbours for packets that it forwards until duplicate address detection is done, a second
/// or two after the pod came. Both ends of the wire are ours, so there is nobody to conflict with.
pub(crate) fn skip_duplicate_address_detection(link: &str) {
    let _ = sysctl::set(&format!("net/ipv6/conf/{link}/accept_dad"), "0");
}

/// Turns IPv6 on for a link, if it is off for new links of its namespace.
pub(crate) fn enable_ipv6(link: &str) -> Result<(), SetupError> {
    let key = format!("net/ipv6/conf/{link}/disable_ipv6");
    (sysctl::set_if_different(&key, "0").map(drop)).map_err(SetupError::kernel(format!(
        "failed to enable IPv6 on {link:?}"
    )))
}
