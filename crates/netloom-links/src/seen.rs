//! What is there, and how it differs from what is wanted.

use std::collections::HashMap;

use netloom_kernel::netns::NetnsId;
use netloom_kernel::rtnl::{Address, Family, Link as Interface, LinkKind, Route, RouteFilter};

use crate::change::{self, PROTOCOL};
use crate::identity::{group_of, is_mark, is_of_topology, mark_prefix};
use crate::present::Present;
use crate::wanted::{Wanted, WantedEnd, places};
use crate::{Error, Far, Outside, Place, Result};

/// How many interfaces of a namespace are asked for one by one; of more, all that it has are listed.
const FEW: usize = 3;

/// How a link is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Not there.
    Absent,
    /// As wanted.
    AsWanted,
    /// There, and something is not as wanted. `apply` mends it in place.
    Differs(Vec<String>),
    /// There, and so different that `apply` makes it anew.
    Broken(Vec<String>),
}

/// What is known of one link.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) near: Option<Present>,
    pub(crate) far: Option<Present>,
    pub(crate) seen: Seen,
}

/// What is there of one namespace.
struct View {
    links: Vec<Interface>,
    addresses: Vec<Address>,
    routes: Vec<Route>,
}

/// What is there of all namespaces that matter.
pub(crate) struct Views(
    HashMap<NetnsId, View>,
    HashMap<(NetnsId, NetnsId), Option<i32>>,
);

impl View {
    fn all(place: &Place) -> Result<Self> {
        let socket = place.socket();
        let mut routes = Vec::new();
        for family in [Family::V4, Family::V6] {
            routes.extend(socket.list_routes(&RouteFilter::main(family).protocol(PROTOCOL))?);
        }
        Ok(Self {
            links: socket.list_links()?,
            addresses: socket.list_all_addresses()?,
            routes,
        })
    }

    /// Only what bears some names, or marks.
    fn of(place: &Place, ends: &[&WantedEnd<'_, '_>]) -> Result<Self> {
        let socket = place.socket();
        let mut view = Self {
            links: Vec::new(),
            addresses: Vec::new(),
            routes: Vec::new(),
        };
        for end in ends {
            let found = match socket.find_link(&*end.name)? {
                Some(link) => Some(link),
                None => socket.find_link(end.mark.as_str())?,
            };
            let Some(link) = found else { continue };
            view.addresses.extend(socket.list_addresses(link.index)?);
            for family in [Family::V4, Family::V6] {
                let filter = RouteFilter::main(family)
                    .protocol(PROTOCOL)
                    .device(link.index);
                view.routes.extend(socket.list_routes(&filter)?);
            }
            view.links.push(link);
        }
        Ok(view)
    }

    fn present(&self, interface: &Interface) -> Present {
        let index = interface.index;
        let of_link = |address: &&Address| address.link == index;
        let by_link = |route: &&Route| route.device == Some(index);
        Present {
            interface: interface.clone(),
            addresses: self.addresses.iter().filter(of_link).cloned().collect(),
            routes: self.routes.iter().filter(by_link).cloned().collect(),
        }
    }
}

impl Views {
    /// Of the namespaces of these links, and all of those of `whole`.
    pub(crate) fn of(links: &[Wanted<'_, '_>], whole: &[&Place]) -> Result<Self> {
        let mut ends: HashMap<NetnsId, Vec<&WantedEnd<'_, '_>>> = HashMap::new();
        for end in links.iter().flat_map(Wanted::ends) {
            ends.entry(end.place.id()).or_default().push(end);
        }
        let mut views = HashMap::new();
        for place in whole {
            views.insert(place.id(), View::all(place)?);
        }
        for (id, place) in places(links) {
            if views.contains_key(&id) {
                continue;
            }
            let ends = &ends[&id];
            let view = if ends.len() <= FEW {
                View::of(place, ends)?
            } else {
                View::all(place)?
            };
            views.insert(id, view);
        }
        Ok(Self(views, HashMap::new()))
    }

    /// The interfaces of a topology in a place, for which `whole` was asked.
    pub(crate) fn of_topology(&self, place: &Place, topology: &str) -> Vec<&Interface> {
        let group = group_of(topology);
        let prefix = mark_prefix(topology);
        let is_ours = |link: &&Interface| is_of_topology(link, group, &prefix);
        self.0[&place.id()].links.iter().filter(is_ours).collect()
    }

    /// The end, if it is there. `None` where another link of the same topology has the name, and that
    /// is about to go.
    fn end(&self, end: &WantedEnd<'_, '_>, siblings_go: bool) -> Result<Option<Present>> {
        let view = &self.0[&end.place.id()];
        let marked = |link: &&Interface| link.alternative_names.contains(&end.mark);
        if let Some(link) = view.links.iter().find(marked) {
            return Ok(Some(view.present(link)));
        }
        let named = |link: &&Interface| {
            link.name == *end.name || link.alternative_names.contains(&end.interface.name)
        };
        let Some(link) = view.links.iter().find(named) else {
            return Ok(None);
        };
        let is_in_group = link.group == end.id.group();
        let other = link.alternative_names.iter().find(|name| is_mark(name));
        if is_in_group && other.is_none() && kind_of(link) == end.kind && link.name == *end.name {
            // Killed before it was marked.
            return Ok(Some(view.present(link)));
        }
        let prefix = mark_prefix(end.id.topology());
        if siblings_go && is_in_group && other.is_some_and(|mark| mark.starts_with(&prefix)) {
            return Ok(None);
        }
        Err(Error::Foreign {
            place: end.place.to_string(),
            name: end.interface.name.clone(),
            found: describe(link),
        })
    }

    /// Compares a link with what is there.
    pub(crate) fn look(&mut self, wanted: &Wanted<'_, '_>, siblings_go: bool) -> Result<Found> {
        let near = self.end(&wanted.near, siblings_go)?;
        let far = match &wanted.far {
            Some(end) => self.end(end, siblings_go)?,
            None => None,
        };
        let seen = self.compare(wanted, near.as_ref(), far.as_ref())?;
        Ok(Found { near, far, seen })
    }

    fn compare(
        &mut self,
        wanted: &Wanted<'_, '_>,
        near: Option<&Present>,
        far: Option<&Present>,
    ) -> Result<Seen> {
        let Some(near) = near else {
            let words = "its near end is missing".to_owned();
            return Ok(far.map_or(Seen::Absent, |_| Seen::Broken(vec![words])));
        };
        let mut broken = structure(&wanted.near, &near.interface);
        let mut differs = change::differences(&wanted.near, near)?;
        match (&wanted.far, far) {
            (None, _) => broken.extend(outside(wanted, &near.interface, &mut differs)),
            (Some(_), None) => broken.push("its far end is missing".into()),
            (Some(end), Some(far)) => {
                broken.extend(structure(end, &far.interface));
                differs.extend(change::differences(end, far)?);
                if !self.are_joined(wanted, &near.interface, &far.interface)? {
                    broken.push("its ends are not each other's".into());
                }
            }
        }
        Ok(if !broken.is_empty() {
            Seen::Broken(broken)
        } else if !differs.is_empty() {
            Seen::Differs(differs)
        } else {
            Seen::AsWanted
        })
    }

    /// Whether two veths are the ends of one cable, as the kernel tells it.
    fn are_joined(
        &mut self,
        wanted: &Wanted<'_, '_>,
        near: &Interface,
        far: &Interface,
    ) -> Result<bool> {
        let Some(end) = &wanted.far else {
            return Ok(true);
        };
        let (here, there) = (wanted.near.place, end.place);
        let expected = if here.id() == there.id() {
            None
        } else {
            let known = self.1.get(&(here.id(), there.id())).copied();
            let number = match known {
                Some(number) => number,
                None => here.socket().namespace_id(there.netns())?,
            };
            self.1.insert((here.id(), there.id()), number);
            // A namespace without a number is one that no link leads to.
            if number.is_none() {
                return Ok(false);
            }
            number
        };
        Ok(near.lower == Some(far.index) && near.lower_netns == expected)
    }
}

/// What cannot be changed of an interface.
fn structure(end: &WantedEnd<'_, '_>, link: &Interface) -> Vec<String> {
    let mut words = Vec::new();
    if kind_of(link) != end.kind {
        words.push(format!(
            "{} in {} is a {}, not a {}",
            link.name,
            end.place,
            kind_of(link),
            end.kind
        ));
    }
    if link.name != *end.name {
        words.push(format!(
            "{} in {} is called {}",
            end.name, end.place, link.name
        ));
    }
    words
}

/// What is different of an interface that leads outside; what can be changed goes to `differs`.
fn outside(wanted: &Wanted<'_, '_>, link: &Interface, differs: &mut Vec<String>) -> Vec<String> {
    let mut broken = Vec::new();
    let Far::Outside { base, by } = &wanted.link.far else {
        return broken;
    };
    let name = &link.name;
    let mut differ = |what: &str, is: String, should: String| {
        if is != should {
            broken.push(format!("{name}: {what} is {is}, not {should}"));
        }
    };
    let is_elsewhere = base.id() != wanted.near.place.id();
    if by.parent().is_some()
        && !matches!(by, Outside::Vxlan(_))
        && link.lower_netns.is_some() != is_elsewhere
    {
        differ(
            "the namespace of its parent",
            "another".into(),
            base.to_string(),
        );
    }
    let parent = (option(link.lower), option(wanted.parent));
    match (by, &link.kind) {
        (Outside::Vxlan(vxlan), Some(LinkKind::Vxlan(is))) => {
            let (port, learning) = (is.port.unwrap_or(0), Some(vxlan.learning));
            differ("vni", is.vni.to_string(), vxlan.vni.to_string());
            differ("port", port.to_string(), vxlan.port.to_string());
            differ("local", option(is.local), option(vxlan.local));
            differ("device", option(is.device), option(wanted.parent));
            differ("learning", option(is.learning), option(learning));
            if is.remote != Some(vxlan.remote) {
                differs.push(format!(
                    "{name}: remote is {}, not {}",
                    option(is.remote),
                    vxlan.remote
                ));
            }
        }
        (Outside::Macvlan { mode, .. }, Some(LinkKind::Macvlan(is))) => {
            differ("mode", format!("{:?}", is.mode), format!("{mode:?}"));
            differ("parent", parent.0, parent.1);
        }
        (Outside::Ipvlan { options, .. }, Some(LinkKind::Ipvlan(is))) => {
            let (is, should) = (format!("{:?}", is.mode), format!("{:?}", options.mode));
            differ("mode", is, should);
            differ("parent", parent.0, parent.1);
        }
        (Outside::Vlan { id, .. }, Some(LinkKind::Vlan { id: is, .. })) => {
            differ("id", is.to_string(), id.to_string());
            differ("parent", parent.0, parent.1);
        }
        // Of another kind, which is told already.
        _ => {}
    }
    broken
}

fn option<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "none".into(), |value| value.to_string())
}

/// The kernel's name of the kind of a link.
fn kind_of(link: &Interface) -> &str {
    link.kind.as_ref().map_or("device", LinkKind::name)
}

/// What an interface is, for who did not expect it.
fn describe(link: &Interface) -> String {
    let kind = kind_of(link);
    match &link.alias {
        Some(alias) => format!("a {kind} with the alias \"{}\"", alias.escape_debug()),
        None => format!("a {kind}"),
    }
}
