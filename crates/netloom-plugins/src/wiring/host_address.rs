//! The gateway's addresses on the host's side.

use super::{SetupError, sysctls};
use ipnet::IpNet;
use netloom_kernel::Error;
use netloom_kernel::rtnl::{AddressSpec, Link, LinkChange, Socket};

/// Gives `link` the address, which its pods use as their gateway. Shared: never undone.
///
/// Any other IPv4 address on the link is a conflict, and so is an IPv6 address of an overlapping subnet.
/// With `force` it is replaced; else that is an error.
pub(crate) fn ensure_address(
    host: &Socket,
    link: &Link,
    wanted: IpNet,
    force: bool,
) -> Result<(), SetupError> {
    let present = host
        .list_addresses(link.index)
        .map_err(SetupError::kernel(format!(
            "could not list the addresses of {:?}",
            link.name
        )))?;
    if present.iter().any(|address| address.address == wanted) {
        return Ok(());
    }
    for found in present
        .iter()
        .map(|address| address.address)
        .filter(|a| conflicts(*a, wanted))
    {
        if !force {
            return Err(SetupError::OtherAddress {
                link: link.name.clone(),
                wanted,
                found,
            });
        }
        host.remove_address(link.index, found)
            .map_err(SetupError::kernel(format!(
                "could not remove an address of {:?}",
                link.name
            )))?;
    }
    add(host, link, wanted)
}

/// Adds the address, and sets the link's MAC address to what it is: a bridge whose address was not set
/// takes the lowest of its ports' addresses, and then the pods' neighbour entries would be wrong. If IPv6
/// is off for new links of the host, it is switched on for this one.
fn add(host: &Socket, link: &Link, wanted: IpNet) -> Result<(), SetupError> {
    let what = || format!("could not add IP address to {:?}", link.name);
    let add = || host.add_address(link.index, AddressSpec::new(wanted).no_dad());
    let mut added = add();
    if wanted.addr().is_ipv6() && added.as_ref().is_err_and(Error::is_denied) {
        sysctls::enable_ipv6(&link.name)?;
        added = add();
    }
    match added {
        // A plugin that ran at the same time was faster.
        Err(error) if error.is_exists() => return Ok(()),
        done => done.map_err(SetupError::kernel(what()))?,
    }
    let Some(mac) = link.mac else { return Ok(()) };
    host.set_link(link.index, &LinkChange::new().mac(mac))
        .map_err(SetupError::kernel(format!(
            "could not pin the MAC address of {:?}",
            link.name
        )))
}

fn conflicts(found: IpNet, wanted: IpNet) -> bool {
    match (found, wanted) {
        (IpNet::V4(_), IpNet::V4(_)) => true,
        (IpNet::V6(_), IpNet::V6(_)) => {
            found.contains(&wanted.addr()) || wanted.contains(&found.addr())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_addresses_always_conflict_and_ipv6_ones_only_when_they_overlap() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        assert!(conflicts(net("10.9.0.1/24"), net("10.1.0.1/24")));
        assert!(!conflicts(net("10.9.0.1/24"), net("fd00::1/64")));
        assert!(!conflicts(net("fd00:9::1/64"), net("fd00:1::1/64")));
        assert!(conflicts(net("fd00:1::9/64"), net("fd00:1::1/96")));
        assert!(conflicts(net("fd00:1::9/96"), net("fd00:1::1/64")));
    }
}
