//! Forwarding between the host's links.

use super::{SetupError, learnt};
use netloom_kernel::rtnl::Socket;
use netloom_kernel::sysctl;
use std::net::IpAddr;

const V4: &str = "net/ipv4/ip_forward";
const V6: &str = "net/ipv6/conf/all/forwarding";

/// Lets the host forward packets of the families of these addresses. Shared: never undone. `host`
/// is a socket of the host.
pub(crate) fn ensure_forwarding(
    host: &Socket,
    of: impl IntoIterator<Item = IpAddr>,
) -> Result<(), SetupError> {
    let (mut v4, mut v6) = (false, false);
    for ip in of {
        *(if ip.is_ipv4() { &mut v4 } else { &mut v6 }) = true;
    }
    let failed = || SetupError::kernel("failed to enable forwarding");
    if v4 && is_off(V4).map_err(failed())? {
        sysctl::set(V4, "1").map_err(failed())?;
    }
    if v6 && is_off(V6).map_err(failed())? {
        keep_routers(host).map_err(SetupError::kernel(
            "failed to keep the routes that the host has by router advertisements",
        ))?;
        sysctl::set(V6, "1").map_err(failed())?;
    }
    Ok(())
}

fn is_off(key: &str) -> netloom_kernel::Result<bool> {
    Ok(sysctl::get(key)?.trim() == "0")
}

/// Keeps what the host has by router advertisements. With `accept_ra` 1 a host that begins to forward takes
/// no more advertisements: it forgets its default routes, and later its addresses, so that it would be
/// without IPv6 from its first pod on. So `accept_ra` becomes 2 on links by which it has something.
/// Other links are left as they are.
fn keep_routers(host: &Socket) -> netloom_kernel::Result<()> {
    for link in learnt::links(host)? {
        // It may have gone since.
        let Some(link) = host.find_link(link)? else {
            continue;
        };
        let key = format!("net/ipv6/conf/{}/accept_ra", link.name);
        if sysctl::get(&key).is_ok_and(|value| value.trim() == "1") {
            sysctl::set(&key, "2")?;
        }
    }
    Ok(())
}
