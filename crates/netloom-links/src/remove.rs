//! Removes what is ours, and nothing else.

use netloom_kernel::rtnl::Link as Interface;

use crate::identity::{group_of, is_mark, is_of_topology, mark_prefix};
use crate::{Error, Far, Link, Place, Result, Side};

/// An interface that was removed, or is to be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Removed {
    /// The namespace, in its user's words.
    pub place: String,
    /// Its name.
    pub name: String,
}

impl Removed {
    pub(crate) fn of(place: &Place, link: &Interface) -> Self {
        Self {
            place: place.to_string(),
            name: link.name.clone(),
        }
    }
}

impl Link<'_> {
    /// Removes the link. `false` if there was none. What bears its name and is not it stays.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn remove(&self) -> Result<bool> {
        let mut removed = remove_end(self, Side::A)?;
        if let Far::End(_) = self.far {
            removed |= remove_end(self, Side::B)?;
        }
        Ok(removed)
    }
}

fn remove_end(link: &Link<'_>, side: Side) -> Result<bool> {
    let ends = link.ends();
    let Some((_, end)) = ends.into_iter().find(|(of, _)| *of == side) else {
        return Ok(false);
    };
    let socket = end.place.socket();
    let mark = link.id.mark(side);
    // By its mark first: a pod may have renamed it.
    let marked = socket.find_link(mark.as_str())?;
    let found = match marked {
        Some(found) => Some(found),
        None => socket
            .find_link(&*end.interface.kernel_name())?
            .filter(|found| {
                let is_marked = found.alternative_names.iter().any(|name| is_mark(name));
                found.group == link.id.group() && !is_marked && !found.flags.is_up()
            }),
    };
    match found {
        Some(found) => Ok(socket.remove_link(found.index)?),
        None => Ok(false),
    }
}

/// Removes the link of an interface, whichever it is of: it must bear a mark. `false` if there is no
/// interface of that name.
///
/// # Errors
/// [`Error::Foreign`] if it is not one of ours.
pub fn remove_interface(place: &Place, name: &str) -> Result<bool> {
    let socket = place.socket();
    let Some(found) = socket.find_link(&*crate::kernel_name(name))? else {
        return Ok(false);
    };
    let is_marked = found.alternative_names.iter().any(|name| is_mark(name));
    let is_loopback_or_default = found.group == 0;
    if !is_marked || is_loopback_or_default {
        let kind = found.kind.as_ref().map_or("device", |kind| kind.name());
        return Err(Error::Foreign {
            place: place.to_string(),
            name: name.to_owned(),
            found: format!("a {kind} without a mark of netloom"),
        });
    }
    Ok(socket.remove_link(found.index)?)
}

/// Removes all that a topology has in a place, in one request where the place has nothing else in
/// that group.
///
/// # Errors
/// If the kernel refuses.
pub fn remove_topology(place: &Place, topology: &str) -> Result<Vec<Removed>> {
    let (group, prefix) = (group_of(topology), mark_prefix(topology));
    let socket = place.socket();
    let mut in_group = socket.list_links()?;
    in_group.retain(|link| link.group == group);
    let (ours, others): (Vec<_>, Vec<_>) = in_group
        .into_iter()
        .partition(|link| is_of_topology(link, group, &prefix));
    if ours.is_empty() {
        return Ok(Vec::new());
    }
    if others.is_empty() {
        socket.remove_group(group)?;
    } else {
        for link in &ours {
            socket.remove_link(link.index)?;
        }
    }
    Ok(ours.iter().map(|link| Removed::of(place, link)).collect())
}
