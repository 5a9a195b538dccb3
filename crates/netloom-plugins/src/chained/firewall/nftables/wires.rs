//! By which link the packets of a pod come. What comes from its address by any other link is not let
//! pass: who is elsewhere could send it, to where only pods may.
//!
//! ```text
//! set wired4 { type ipv4_addr; … }                # the addresses of which that is known
//! set wires4 { type ipv4_addr . ifname; … }       # and the link
//! ```
//!
//! It is the link by which the host reaches the pod, if that is the attachment's: with a gateway on a
//! VLAN, say, it is another one. Commit 17b6fbc made none of this, and for its pods nothing changes.

use super::super::plan::Wanted;
use super::table::TABLE;
use crate::wiring::claims::{Place, Shape, withdraw};
use crate::wiring::owner::Owner;
use netloom_kernel::Result;
use netloom_kernel::nft::{Batch, Field, Key, KeyType, Rule, Set, Socket};
use netloom_kernel::rtnl;
use std::net::IpAddr;

const WIRED: [&str; 2] = ["wired4", "wired6"];
const WIRES: [&str; 2] = ["wires4", "wires6"];

/// All of these sets.
pub(super) fn sets() -> impl Iterator<Item = &'static str> {
    WIRED.into_iter().chain(WIRES)
}

pub(super) fn shape(set: &str) -> Option<Shape<'static>> {
    use KeyType::{Ifname, Ipv4Addr, Ipv6Addr};
    let key: &[KeyType] = match set {
        "wired4" => &[Ipv4Addr],
        "wired6" => &[Ipv6Addr],
        "wires4" => &[Ipv4Addr, Ifname],
        "wires6" => &[Ipv6Addr, Ifname],
        _ => return None,
    };
    Some(Shape { key, value: &[] })
}

/// The rules that look into them.
pub(super) fn rules() -> [(&'static str, Rule); 2] {
    let rule = |v6: usize, saddr| {
        Rule::new()
            .in_set(&[saddr], WIRED[v6])
            .not_in_set(&[saddr, Field::Iifname], WIRES[v6])
            .return_()
    };
    [
        ("IPv4 pods by other links", rule(0, Field::IpSaddr)),
        ("IPv6 pods by other links", rule(1, Field::Ip6Saddr)),
    ]
}

pub(super) fn ensure(batch: &mut Batch<'_>) {
    for set in sets() {
        let key = shape(set).map_or(&[][..], |shape| shape.key);
        batch.ensure_set(&TABLE, &Set::new(set, key));
    }
}

fn keys(ip: IpAddr, link: &str) -> [(&'static str, Key); 2] {
    let v6 = usize::from(ip.is_ipv6());
    let key = || Key::new().ip(ip);
    [(WIRED[v6], key()), (WIRES[v6], key().link(link))]
}

/// The elements for the addresses of which the link is known.
pub(super) fn entries(wanted: &Wanted) -> Result<Vec<(&'static str, Key)>> {
    let mut entries = Vec::new();
    if wanted.links.is_empty() {
        return Ok(entries);
    }
    let host = rtnl::Socket::open()?;
    // The same for both families, but for odd hosts.
    let mut named: Option<(u32, String)> = None;
    for ip in &wanted.ips {
        // Where there is no way to the pod, it has none through the host either.
        let route = host.lookup_route(*ip).ok();
        let Some(out) = route
            .filter(|it| it.gateway.is_none())
            .and_then(|it| it.device)
        else {
            continue;
        };
        if named.as_ref().is_none_or(|(index, _)| *index != out) {
            named = Some((out, host.get_link(out)?.name));
        }
        let link = named.as_ref().map_or("", |(_, name)| name.as_str());
        if wanted.links.iter().any(|listed| listed == link) {
            entries.extend(keys(*ip, link));
        }
    }
    Ok(entries)
}

/// Withdraws what the owner has for these addresses, under whatever link.
pub(super) fn remove(
    socket: &Socket,
    batch: &mut Batch<'_>,
    ips: &[IpAddr],
    links: &[String],
    is_own: impl Fn(&str) -> bool,
) -> Result<()> {
    for ip in ips {
        let v6 = usize::from(ip.is_ipv6());
        let mut leave = |set: &str, key: &Key| -> Result<bool> {
            let place = Place {
                table: &TABLE,
                set,
                key,
            };
            let stack = place.read(socket)?;
            let found = stack.claim(&is_own).is_some();
            if found {
                place.leave(batch, &stack, &is_own);
            }
            Ok(found)
        };
        if !leave(WIRED[v6], &Key::new().ip(*ip))? {
            continue;
        }
        let mut found = false;
        for link in links {
            found |= leave(WIRES[v6], &Key::new().ip(*ip).link(link))?;
        }
        if !found {
            let of_ip = |key: &[u8]| key.starts_with(Key::new().ip(*ip).bytes());
            let is_gone = |key: &[u8], comment: &str| of_ip(key) && is_own(comment);
            withdraw(socket, batch, &TABLE, WIRES[v6], is_gone)?;
        }
    }
    Ok(())
}

/// Withdraws everything that is to go, whatever the addresses are but these. Whose it was.
pub(super) fn sweep(
    socket: &Socket,
    batch: &mut Batch<'_>,
    but: &[IpAddr],
    is_gone: impl Fn(&str) -> bool,
) -> Result<Vec<String>> {
    let mut owners = Vec::new();
    let known = |key: &[u8]| {
        but.iter()
            .any(|ip| key.starts_with(Key::new().ip(*ip).bytes()))
    };
    for set in sets() {
        let withdrawn = withdraw(socket, batch, &TABLE, set, |key, comment| {
            !known(key) && is_gone(comment)
        })?;
        owners.extend(withdrawn.comments());
    }
    Ok(owners)
}

/// The address whose packets would be taken for another's, because its link is not there.
pub(super) fn missing(
    socket: &Socket,
    owner: Owner<'_>,
    wanted: &Wanted,
) -> Result<Option<IpAddr>> {
    let prefix = owner.nft_prefix();
    let has = |set: &str, key: &Key| -> Result<bool> {
        let stack = Place {
            table: &TABLE,
            set,
            key,
        }
        .read(socket)?;
        Ok(stack
            .claim(|comment| comment.starts_with(&prefix))
            .is_some())
    };
    for ip in &wanted.ips {
        let v6 = usize::from(ip.is_ipv6());
        if !has(WIRED[v6], &Key::new().ip(*ip))? {
            continue;
        }
        let mut any = false;
        for link in &wanted.links {
            any |= has(WIRES[v6], &Key::new().ip(*ip).link(link))?;
        }
        if !any {
            return Ok(Some(*ip));
        }
    }
    Ok(None)
}
