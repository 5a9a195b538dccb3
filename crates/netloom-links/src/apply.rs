//! Makes links as they are wanted.

use std::collections::HashMap;

use netloom_kernel::netns::NetnsId;
use netloom_kernel::rtnl::{LinkChange, LinkSpec, PeerSpec, VxlanOptions};
use netloom_kernel::sysctl;

use crate::change::{configure, finish};
use crate::identity::{group_of, is_of_topology, mark_prefix};
use crate::outside;
use crate::present::Present;
use crate::remove::Removed;
use crate::seen::{Found, Views};
use crate::validate::wanted;
use crate::wanted::{Wanted, WantedEnd};
use crate::{Error, Far, Link, Outside, Place, Result, Seen};

/// How many links are asked for at once: the kernel's answers must fit in the socket's buffer.
const AT_ONCE: usize = 16;

/// What a topology is found to be, or was found to be before it was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// How each link is, in the order of the links.
    pub links: Vec<Seen>,
    /// Interfaces of the topology that no link wants.
    pub others: Vec<Removed>,
}

impl Survey {
    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_as_wanted(&self) -> bool {
        self.others.is_empty() && self.links.iter().all(|seen| *seen == Seen::AsWanted)
    }
}

impl Link<'_> {
    /// How the link is. Changes nothing.
    ///
    /// # Errors
    /// As [`apply`].
    pub fn look(&self) -> Result<Seen> {
        Ok(look(std::slice::from_ref(self))?.remove(0))
    }

    /// Makes the link as it is wanted, and says how it was before.
    ///
    /// # Errors
    /// As [`apply`].
    pub fn apply(&self) -> Result<Seen> {
        Ok(apply(std::slice::from_ref(self))?.remove(0))
    }
}

/// How links are, in their order. Changes nothing.
///
/// # Errors
/// As [`apply`].
pub fn look(links: &[Link<'_>]) -> Result<Vec<Seen>> {
    let links = wanted(links)?;
    let mut views = Views::of(&links, &[])?;
    let look = |link| Ok(views.look(link, false)?.seen);
    links.iter().map(look).collect()
}

/// Makes links as they are wanted, and says how they were before, in their order. Those that are as
/// wanted are left as they are.
///
/// # Errors
/// [`Error::Invalid`], [`Error::Unsupported`] or [`Error::Foreign`], before anything is changed. If
/// the kernel refuses something after that, the links that were not there before are removed again.
pub fn apply(links: &[Link<'_>]) -> Result<Vec<Seen>> {
    let links = wanted(links)?;
    let mut views = Views::of(&links, &[])?;
    let found = links.iter().map(|link| views.look(link, false));
    make(&links, found.collect::<Result<_>>()?)
}

/// What [`apply_topology`] would do. Changes nothing.
///
/// # Errors
/// As [`apply`].
pub fn plan_topology(topology: &str, places: &[&Place], links: &[Link<'_>]) -> Result<Survey> {
    let links = wanted(links)?;
    let mut views = Views::of(&links, places)?;
    let others = others(&views, topology, places, &links);
    let look = |link| Ok(views.look(link, true)?.seen);
    Ok(Survey {
        links: links.iter().map(look).collect::<Result<_>>()?,
        others: others.into_iter().map(|(_, _, removed)| removed).collect(),
    })
}

/// Makes the links of a topology as they are wanted, and removes what else it has in `places`, which
/// are all namespaces that it may have anything in. Says how all was before.
///
/// # Errors
/// As [`apply`].
pub fn apply_topology(topology: &str, places: &[&Place], links: &[Link<'_>]) -> Result<Survey> {
    let links = wanted(links)?;
    let mut views = Views::of(&links, places)?;
    let others = others(&views, topology, places, &links);
    let found: Result<Vec<_>> = links.iter().map(|link| views.look(link, true)).collect();
    let found = found?;
    for (place, index, _) in &others {
        place.socket().remove_link(*index)?;
    }
    Ok(Survey {
        links: make(&links, found)?,
        others: others.into_iter().map(|(_, _, removed)| removed).collect(),
    })
}

/// The interfaces of a topology that no link wants where they are.
fn others<'a>(
    views: &Views,
    topology: &str,
    places: &[&'a Place],
    links: &[Wanted<'_, '_>],
) -> Vec<(&'a Place, u32, Removed)> {
    let (group, prefix) = (group_of(topology), mark_prefix(topology));
    let mut marks: HashMap<NetnsId, Vec<&WantedEnd<'_, '_>>> = HashMap::new();
    for end in links.iter().flat_map(Wanted::ends) {
        marks.entry(end.place.id()).or_default().push(end);
    }
    let mut found = Vec::new();
    for place in places {
        let ends = marks.get(&place.id()).map_or(&[][..], |ends| ends);
        for link in views.of_topology(place, topology) {
            let is_marked = |end: &&WantedEnd<'_, '_>| link.alternative_names.contains(&end.mark);
            let is_half_made = |end: &&WantedEnd<'_, '_>| {
                *end.name == link.name
                    && !link
                        .alternative_names
                        .iter()
                        .any(|n| n.starts_with(&prefix))
            };
            debug_assert!(is_of_topology(link, group, &prefix));
            if !ends.iter().any(|end| is_marked(end) || is_half_made(end)) {
                found.push((*place, link.index, Removed::of(place, link)));
            }
        }
    }
    found
}

/// Brings every link from what was found to what is wanted.
fn make(links: &[Wanted<'_, '_>], mut found: Vec<Found>) -> Result<Vec<Seen>> {
    clear(links, &found)?;
    let outcome = create(links, &mut found).and_then(|()| settle(links, &mut found));
    if let Err(cause) = outcome {
        return Err(undo(links, &found, cause));
    }
    Ok(found.into_iter().map(|found| found.seen).collect())
}

/// Removes what is to be made anew.
fn clear(links: &[Wanted<'_, '_>], found: &[Found]) -> Result<()> {
    for (link, found) in links.iter().zip(found) {
        if !matches!(found.seen, Seen::Broken(_)) {
            continue;
        }
        let ends = [
            (Some(&link.near), &found.near),
            (link.far.as_ref(), &found.far),
        ];
        for (end, present) in ends {
            if let (Some(end), Some(present)) = (end, present) {
                end.place.socket().remove_link(present.interface.index)?;
            }
        }
    }
    Ok(())
}

/// Makes what is not there, the cables of each namespace together.
fn create(links: &[Wanted<'_, '_>], found: &mut [Found]) -> Result<()> {
    let mut cables: HashMap<NetnsId, Vec<usize>> = HashMap::new();
    for (at, link) in links.iter().enumerate() {
        if !matches!(found[at].seen, Seen::Absent | Seen::Broken(_)) {
            continue;
        }
        found[at].near = None;
        found[at].far = None;
        match &link.link.far {
            Far::End(_) => cables.entry(link.near.place.id()).or_default().push(at),
            Far::Outside { base, by } => {
                outside::create(link, base, by)?;
                let created = link.near.place.socket().get_link(&*link.near.name)?;
                found[at].near = Some(Present::fresh(created));
            }
        }
    }
    let mut cables: Vec<_> = cables.into_values().collect();
    cables.sort();
    for together in cables.iter().flat_map(|cables| cables.chunks(AT_ONCE)) {
        create_cables(links, found, together)?;
    }
    Ok(())
}

fn create_cables(links: &[Wanted<'_, '_>], found: &mut [Found], which: &[usize]) -> Result<()> {
    let Some(first) = which.first() else {
        return Ok(());
    };
    let mut batch = links[*first].near.place.socket().batch();
    for at in which {
        if let Some(far) = &links[*at].far {
            put_cable(&links[*at].near, far, &mut batch);
        }
    }
    let outcome = batch.commit_all()?;
    let mut created = outcome.created.into_iter();
    let failed: Vec<usize> = outcome.failures.iter().map(|(index, _)| *index).collect();
    for (position, at) in which.iter().enumerate() {
        if failed.contains(&position) {
            continue;
        }
        let (link, found) = (&links[*at], &mut found[*at]);
        let near = match created.next() {
            Some(near) => near,
            None => link.near.place.socket().get_link(&*link.near.name)?, // a kernel that does not echo
        };
        if let Some(end) = &link.far {
            let far = netloom_kernel::rtnl::Link {
                index: near.lower.unwrap_or_default(),
                name: end.name.clone().into_owned(),
                mac: end.mac,
                mtu: end.mtu.unwrap_or_default(),
                ..Default::default()
            };
            found.far = Some(Present::fresh(far));
        }
        found.near = Some(Present::fresh(near));
    }
    match outcome.failures.into_iter().next() {
        Some((_, error)) => Err(error.into()),
        None => Ok(()),
    }
}

/// Both ends in one message: names, namespaces, hardware addresses, MTU, and whose they are.
fn put_cable(
    near: &WantedEnd<'_, '_>,
    far: &WantedEnd<'_, '_>,
    batch: &mut netloom_kernel::rtnl::Batch<'_>,
) {
    let group = near.id.group();
    let mut peer = PeerSpec::new(&far.name)
        .group(group)
        .mtu(far.mtu.unwrap_or(0));
    if near.place.id() != far.place.id() {
        peer = peer.in_netns(far.place.netns());
    }
    if let Some(mac) = far.mac {
        peer = peer.mac(mac);
    }
    let mut spec = LinkSpec::veth(&near.name, peer)
        .group(group)
        .mtu(near.mtu.unwrap_or(0));
    if let Some(mac) = near.mac {
        spec = spec.mac(mac);
    }
    batch.create_link(&spec);
}

/// Marks, addresses and sets up all ends that are new or differ, the ends of each namespace together.
fn settle(links: &[Wanted<'_, '_>], found: &mut [Found]) -> Result<()> {
    let mut places: HashMap<NetnsId, Vec<(&WantedEnd<'_, '_>, &Present)>> = HashMap::new();
    for (link, found) in links.iter().zip(found.iter()) {
        if found.seen == Seen::AsWanted {
            continue;
        }
        let ends = [
            (Some(&link.near), &found.near),
            (link.far.as_ref(), &found.far),
        ];
        for (end, present) in ends {
            if let (Some(end), Some(present)) = (end, present) {
                places
                    .entry(end.place.id())
                    .or_default()
                    .push((end, present));
            }
        }
        redirect(link, found)?;
    }
    for ends in places.values() {
        settle_in(ends, |end, present, batch| {
            configure(end, present, batch);
            Ok(())
        })?;
    }
    // A route needs both ends of its cable up.
    places.values().try_for_each(|ends| settle_in(ends, finish))
}

/// Tells a tunnel of another host than the one it leads to.
fn redirect(link: &Wanted<'_, '_>, found: &Found) -> Result<()> {
    if let (
        Far::Outside {
            by: Outside::Vxlan(vxlan),
            ..
        },
        Seen::Differs(_),
        Some(near),
    ) = (&link.link.far, &found.seen, &found.near)
    {
        // The kernel refuses to be told again what cannot change.
        let options = VxlanOptions {
            vni: vxlan.vni,
            remote: Some(vxlan.remote),
            ..VxlanOptions::default()
        };
        let options = LinkChange::new().vxlan(options);
        link.near
            .place
            .socket()
            .set_link(near.interface.index, &options)?;
    }
    Ok(())
}

fn settle_in(
    ends: &[(&WantedEnd<'_, '_>, &Present)],
    put: impl Fn(&WantedEnd<'_, '_>, &Present, &mut netloom_kernel::rtnl::Batch<'_>) -> Result<()>,
) -> Result<()> {
    for together in ends.chunks(AT_ONCE) {
        let Some((first, _)) = together.first() else {
            continue;
        };
        let fill = || -> Result<_> {
            let mut batch = first.place.socket().batch();
            for (end, present) in together {
                put(end, present, &mut batch)?;
            }
            Ok(batch)
        };
        match fill()?.commit() {
            Ok(_) => {}
            Err(error) if error.errno() == rustix::io::Errno::ACCESS.raw_os_error() => {
                together.iter().try_for_each(|(end, _)| allow_ipv6(end))?;
                again(together, &put)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Once more, for each end what it still lacks.
fn again(
    ends: &[(&WantedEnd<'_, '_>, &Present)],
    put: impl Fn(&WantedEnd<'_, '_>, &Present, &mut netloom_kernel::rtnl::Batch<'_>) -> Result<()>,
) -> Result<()> {
    for (end, present) in ends {
        let socket = end.place.socket();
        let now = Present {
            interface: socket.get_link(present.interface.index)?,
            addresses: socket.list_addresses(present.interface.index)?,
            routes: present.routes.clone(),
        };
        let mut batch = socket.batch();
        put(end, &now, &mut batch)?;
        batch.commit()?;
    }
    Ok(())
}

/// An address of IPv6 is refused where IPv6 is off for new interfaces.
fn allow_ipv6(end: &WantedEnd<'_, '_>) -> Result<()> {
    if end
        .interface
        .addresses
        .iter()
        .any(|net| net.addr().is_ipv6())
    {
        let key = format!("net/ipv6/conf/{}/disable_ipv6", end.name);
        end.place.netns().run(|| sysctl::set(&key, "0"))??;
    }
    Ok(())
}

/// Removes what was made, and tells why. The kernel is asked what that is: its answer may be what failed.
fn undo(links: &[Wanted<'_, '_>], found: &[Found], cause: Error) -> Error {
    let is_new = |found: &Found| matches!(found.seen, Seen::Absent | Seen::Broken(_));
    let mut residue = None;
    for (link, _) in links.iter().zip(found).filter(|(_, found)| is_new(found)) {
        residue = residue.or(link.link.remove().err());
    }
    match residue {
        None => cause,
        Some(residue) => Error::NotUndone {
            cause: Box::new(cause),
            residue: Box::new(residue),
        },
    }
}
