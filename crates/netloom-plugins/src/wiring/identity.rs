//! Whether a link in a pod is that of an attachment, or of another pod that has the path of the
//! namespace now.
//!
//! What the host remembers (`record`) counts most. Without it, the alias of a link in the pod counts: a
//! link of netloom's that has no end on the host is marked there with the container's id. A link without
//! a mark is compared with the result of ADD: by its MAC address where the link has one of its own, else
//! by its addresses.

use super::ends::Ends;
use super::owner::Owner;
use super::record::Record;
use ipnet::IpNet;
use netloom_kernel::rtnl::{Link, LinkKind, Socket};
use netloom_spec::{AddResult, Attachment, Mac};

/// What the alias of a marked link begins with. No name of a link contains the colon, so it is no
/// device that host-device has lent.
const PREFIX: &str = "cni:";
/// The longest alias that the kernel takes, in bytes (`IFALIASZ` with its end).
const LONGEST: usize = 255;

/// The alias of a link that belongs to this container.
#[must_use]
pub fn mark(container_id: &str) -> String {
    // Container ids are ASCII.
    let fits = container_id.len().min(LONGEST - PREFIX.len());
    format!(
        "{PREFIX}{}",
        container_id.get(..fits).unwrap_or(container_id)
    )
}

/// The mark of a link, if it has one.
#[must_use]
pub fn marked(link: &Link) -> Option<&str> {
    link.alias
        .as_deref()
        .filter(|alias| alias.starts_with(PREFIX))
}

/// Whether the attachment's link is still in the namespace into which ADD put it, by the record that ADD
/// left on the host. False without a record.
#[must_use]
pub fn is_where_it_was(network: &str, container_id: &str, if_name: &str) -> bool {
    let owner = Owner {
        network,
        container_id,
        if_name,
    };
    Record::of(owner).is_some_and(|record| record.has_its_link())
}

/// Whether a link of the host is marked as the host's end of the attachment's veth.
#[must_use]
pub fn is_wire_of(network: &str, attachment: &Attachment, link: &Link) -> bool {
    let owner = Owner::of(network, attachment);
    link.is_veth() && owner.owns_wire(link.alias.as_deref()) == Some(true)
}

/// Whether the link that has the name of an attachment's interface is the attachment's. Without a mark
/// and without a result of ADD the answer is yes.
///
/// # Errors
/// The kernel's, when it does not tell the addresses. It is asked for them only where neither mark
/// nor MAC address decides.
pub fn is_own(
    inside: &Socket,
    link: &Link,
    container_id: &str,
    made: Option<&AddResult>,
) -> netloom_kernel::Result<bool> {
    if let Some(mark_of_link) = marked(link) {
        return Ok(mark_of_link == mark(container_id));
    }
    match made {
        Some(made) => is_of_result(inside, link, made),
        None => Ok(true),
    }
}

/// The same for plugins whose DEL may run after that of tuning, which gives the link its former MAC
/// address back. So an address of the result is enough where neither mark nor wire decides.
///
/// # Errors
/// The kernel's.
pub(crate) fn may_be_own(
    inside: &Socket,
    link: &Link,
    container_id: &str,
    made: &AddResult,
) -> netloom_kernel::Result<bool> {
    if marked(link).is_some() {
        return is_own(inside, link, container_id, Some(made));
    }
    if let Some(decided) = is_on_wire(link, made)? {
        return Ok(decided);
    }
    Ok(is_of_result(inside, link, made)?
        || has_addresses_of(inside, link, made, position_of(made, &link.name))?)
}

/// Whether the attachment may still be using the link. If the answer is no, the caller frees what the
/// attachment has; so what is not known counts as yes.
///
/// A device that is lent has the same MAC address in every pod, so only addresses count. For other
/// links without mark and wire, either the MAC address or an address must fit: a bond may have changed
/// the one, and an administrator the other.
///
/// # Errors
/// The kernel's.
pub fn may_live(
    inside: &Socket,
    link: &Link,
    container_id: &str,
    made: Option<&AddResult>,
    is_lent: bool,
) -> netloom_kernel::Result<bool> {
    let Some(made) = made.filter(|_| marked(link).is_none()) else {
        return is_own(inside, link, container_id, made);
    };
    let has_addresses = || has_addresses_of(inside, link, made, position_of(made, &link.name));
    if is_lent {
        return has_addresses();
    }
    match is_on_wire(link, made)? {
        Some(true) => Ok(true),
        // The host's end may have got another name.
        Some(false) => is_of_result(inside, link, made),
        None => Ok(is_of_result(inside, link, made)? || has_addresses()?),
    }
}

/// Whether a veth's other end is the host's end in the result of ADD: surer than a MAC address,
/// which another container may have been given too. `None` if the result does not tell.
///
/// # Errors
/// The kernel's.
pub(crate) fn is_on_wire(link: &Link, made: &AddResult) -> netloom_kernel::Result<Option<bool>> {
    let end = Ends::of(made, &link.name).host;
    // The same name twice proves nothing: the reference's tuning confuses the host's link with the pod's.
    let Some(end) = end.filter(|end| link.is_veth() && end.name != link.name) else {
        return Ok(None);
    };
    let listed = end.mac.parse::<Mac>().ok().map(|mac| mac.0);
    Ok(match Socket::open()?.find_link(&end.name)? {
        Some(found) if link.lower == Some(found.index) => Some(true),
        // It is another link, or its MAC address was changed since.
        Some(found) if !found.is_veth() || found.mac != listed => None,
        // The ends of a veth exist only together, so this one is of another veth.
        Some(_) | None => Some(false),
    })
}

fn is_of_result(inside: &Socket, link: &Link, made: &AddResult) -> netloom_kernel::Result<bool> {
    let position = position_of(made, &link.name);
    let listed: Option<Mac> = position.and_then(|at| made.interfaces[at].mac.parse().ok());
    if let (Some(listed), true) = (listed, has_own_mac(link)) {
        return Ok(link.mac == Some(listed.0));
    }
    has_addresses_of(inside, link, made, position)
}

/// The position of the pod's interface in the result.
fn position_of(made: &AddResult, name: &str) -> Option<usize> {
    let listed = |in_pod: bool| {
        made.interfaces
            .iter()
            .position(|i| i.name == name && (!in_pod || !i.sandbox.is_empty()))
    };
    listed(true).or_else(|| listed(false))
}

/// Whether the link has an address of the result. True also if the link or the result has none.
///
/// # Errors
/// The kernel's.
pub(crate) fn has_addresses_of(
    inside: &Socket,
    link: &Link,
    made: &AddResult,
    position: Option<usize>,
) -> netloom_kernel::Result<bool> {
    let is_of_link = |of: Option<usize>| of.is_none() || of == position;
    let mut given = made
        .ips
        .iter()
        .filter(|ip| is_of_link(ip.interface))
        .map(|ip| ip.address)
        .peekable();
    if given.peek().is_none() {
        return Ok(true);
    }
    let present: Vec<IpNet> = inside
        .list_addresses(link.index)?
        .into_iter()
        .map(|address| address.address)
        .filter(is_global)
        .collect();
    Ok(present.is_empty() || given.any(|ip| present.contains(&ip)))
}

/// Links of these kinds share their master's, and `lo` has none.
fn has_own_mac(link: &Link) -> bool {
    !matches!(link.kind, Some(LinkKind::Ipvlan(_) | LinkKind::Vlan { .. }))
        && !link.flags.is_loopback()
}

/// Whether somebody gave the address to the link: link-local ones it makes itself.
#[must_use]
pub fn is_global(net: &IpNet) -> bool {
    match net {
        IpNet::V4(net) => !net.addr().is_link_local(),
        IpNet::V6(net) => !net.addr().is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_fits_into_an_alias_whatever_the_id() {
        assert_eq!(mark("0d5ee8"), "cni:0d5ee8");
        assert_eq!(mark(&"a".repeat(300)).len(), LONGEST);
    }
}
