//! How the links of several network namespaces hang together.

use std::collections::HashMap;
use std::net::IpAddr;

use netloom_kernel::Result;
use netloom_kernel::netns::{Netns, NetnsId};
use netloom_kernel::rtnl::{Family, Link, RouteFilter, Scope, Socket};

use crate::Place;

/// The links of some network namespaces, each with what is at its other end.
#[derive(Debug, Clone, Default)]
pub struct Map {
    /// The namespaces, in the order of the places.
    pub namespaces: Vec<Namespace>,
}

/// A network namespace and what is in it.
#[derive(Debug, Clone)]
pub struct Namespace {
    /// The name of its [`Place`].
    pub name: String,
    /// What tells it from others.
    pub id: NetnsId,
    /// Its links, in the order of their indices.
    pub links: Vec<Interface>,
    /// Where it sends what it knows no other way for.
    pub defaults: Vec<DefaultRoute>,
}

/// A link with its addresses and its other end.
#[derive(Debug, Clone)]
pub struct Interface {
    /// The link.
    pub link: Link,
    /// Its addresses with their prefixes, as text; link-local ones are left out.
    pub addresses: Vec<String>,
    /// The link it stands on, or the peer of a veth.
    pub other: Option<Other>,
}

/// Where the other end of a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Other {
    /// The place of its namespace in [`Map::namespaces`]; `None` for one that is not among them.
    pub namespace: Option<usize>,
    /// Its index there.
    pub index: u32,
}

/// A default route of the main table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefaultRoute {
    /// The index of the link that it leaves by.
    pub link: u32,
    /// The next router, if it is not the link itself.
    pub gateway: Option<IpAddr>,
}

/// A namespace while it is looked at.
struct Open<'p> {
    place: &'p Place,
    netns: Netns,
    socket: Socket,
}

impl Map {
    /// Looks at each place: a few questions for each, and for each the number by which the host knows it.
    ///
    /// # Errors
    /// If a namespace cannot be entered, or the kernel refuses to tell.
    pub fn take(places: &[Place]) -> Result<Self> {
        let open = places.iter().map(Open::new).collect::<Result<Vec<_>>>()?;
        let mut namespaces = Vec::new();
        for place in &open {
            namespaces.push(place.look()?);
        }
        let mut map = Self { namespaces };
        map.join(&open)?;
        Ok(map)
    }

    /// The link with this index.
    #[must_use]
    pub fn interface(&self, namespace: usize, index: u32) -> Option<&Interface> {
        let links = &self.namespaces.get(namespace)?.links;
        links.iter().find(|it| it.link.index == index)
    }

    /// Finds the namespaces of the other ends. A namespace knows others by numbers of its own.
    fn join(&mut self, open: &[Open<'_>]) -> Result<()> {
        for (at, namespace) in self.namespaces.iter_mut().enumerate() {
            let mut numbers = Numbers::of(&open[at].socket);
            for interface in &mut namespace.links {
                let link = &interface.link;
                let Some(index) = link.lower else { continue };
                let namespace = match link.lower_netns {
                    None => Some(at),
                    Some(number) => numbers.place(open, number)?,
                };
                interface.other = Some(Other { namespace, index });
            }
        }
        Ok(())
    }
}

/// The numbers by which one namespace knows the others. Each place is asked for once, and only as far
/// as is needed: the first comes first, as most links of pods lead to the host.
struct Numbers<'s> {
    socket: &'s Socket,
    known: HashMap<i32, usize>,
    asked: usize,
}

impl<'s> Numbers<'s> {
    fn of(socket: &'s Socket) -> Self {
        Self {
            socket,
            known: HashMap::new(),
            asked: 0,
        }
    }

    /// The place with this number, if it is among them.
    fn place(&mut self, open: &[Open<'_>], number: i32) -> Result<Option<usize>> {
        while !self.known.contains_key(&number) && self.asked < open.len() {
            let told = self.socket.namespace_id(&open[self.asked].netns)?;
            if let Some(told) = told {
                // Of two places that are one namespace the first counts.
                self.known.entry(told).or_insert(self.asked);
            }
            self.asked += 1;
        }
        Ok(self.known.get(&number).copied())
    }
}

impl<'p> Open<'p> {
    fn new(place: &'p Place) -> Result<Self> {
        let (netns, socket) = place.run(|| Ok((Netns::current()?, Socket::open()?)))?;
        Ok(Self {
            place,
            netns,
            socket,
        })
    }

    fn look(&self) -> Result<Namespace> {
        let links = self.socket.list_links()?;
        let mut addresses: HashMap<u32, Vec<String>> = HashMap::new();
        for it in self.socket.list_all_addresses()? {
            if it.scope != Scope::Link {
                let of_link = addresses.entry(it.link).or_default();
                of_link.push(it.address.to_string());
            }
        }
        let mut defaults = Vec::new();
        for family in [Family::V4, Family::V6] {
            let routes = self.socket.list_routes(&RouteFilter::main(family))?;
            let routes = routes.iter().filter(|it| it.is_default());
            defaults.extend(routes.filter_map(|it| {
                let link = it.device.or(it.next_hops.first().map(|hop| hop.device))?;
                let gateway = it.gateway;
                Some(DefaultRoute { link, gateway })
            }));
        }
        let interface = |link: Link| Interface {
            addresses: addresses.remove(&link.index).unwrap_or_default(),
            other: None,
            link,
        };
        Ok(Namespace {
            name: self.place.name().to_owned(),
            id: self.netns.id()?,
            links: links.into_iter().map(interface).collect(),
            defaults,
        })
    }
}
