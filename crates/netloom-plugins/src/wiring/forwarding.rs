//! Forwarding between the host's links.

use super::Fault;
use netloom_kernel::sysctl;
use std::net::IpAddr;

/// Lets the host forward packets of the families of these addresses. Shared: never undone.
pub(crate) fn ensure_forwarding(of: impl IntoIterator<Item = IpAddr>) -> Result<(), Fault> {
    let (mut v4, mut v6) = (false, false);
    for ip in of {
        *(if ip.is_ipv4() { &mut v4 } else { &mut v6 }) = true;
    }
    for (wanted, path) in [
        (v4, "net/ipv4/ip_forward"),
        (v6, "net/ipv6/conf/all/forwarding"),
    ] {
        if wanted {
            sysctl::set_if_different(path, "1")
                .map_err(Fault::kernel("failed to enable forwarding"))?;
        }
    }
    Ok(())
}
