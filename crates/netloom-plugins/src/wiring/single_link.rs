//! Attachments that are one link in the pod: macvlan, ipvlan, vlan, dummy, tap.
//!
//! The link is made where it will live, under its final name, in one message: it is never seen
//! half made, and never on the host.

mod check;
mod remove;

use super::master::Master;
use super::place::Place;
use super::pod::{self, Addressing, Announce, Dad, PodLink, Subnet};
use super::record::{self, Links};
use super::router_advertisements::RouterAdvertisements;
use super::{SetupError, identity, ipam, listed, sandbox};
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{Link, LinkSpec, Socket};
use netloom_plugin::{AddRequest, Undo};
use netloom_spec::{AddResult, Dns, Error, code};
use std::cell::Cell;
use std::rc::Rc;

pub(crate) use check::check;
pub(crate) use remove::del;
use remove::remove_link;

/// Position of the link in the result's `interfaces`.
pub(crate) const POSITION: usize = 0;

/// The two sides of an attachment, and the name of its link.
#[derive(Debug)]
pub(crate) struct LinkSides<'a> {
    /// The pod's namespace.
    pub(crate) netns: Netns,
    /// A socket of the pod.
    pub(crate) inside: Rc<Socket>,
    /// A socket of the host.
    pub(crate) host: Socket,
    /// `CNI_IFNAME`.
    pub(crate) name: &'a str,
    /// `CNI_NETNS`.
    pub(crate) path: &'a str,
    /// Whether the link takes router advertisements.
    ra: RouterAdvertisements,
    /// The request, if it is an ADD.
    request: Option<&'a AddRequest<'a>>,
    /// Whether the link stands on one that has a carrier, which it then has too.
    has_carrier: Cell<bool>,
}

impl<'a> LinkSides<'a> {
    /// Opens both sides.
    pub(crate) fn open(name: &'a str, path: &'a str) -> Result<Self, SetupError> {
        let netns = sandbox::open(path)?;
        let inside =
            Socket::open_in(&netns).map_err(SetupError::kernel("failed to enter the netns"))?;
        let host = Socket::open().map_err(SetupError::kernel("failed to reach the kernel"))?;
        Ok(Self {
            netns,
            inside: Rc::new(inside),
            host,
            name,
            path,
            ra: RouterAdvertisements::AsSet,
            request: None,
            has_carrier: Cell::new(true),
        })
    }

    /// Opens both sides for ADD. Fails if the pod has a link of that name, or if the attachment exists.
    pub(crate) fn open_for_add(request: &'a AddRequest<'a>) -> Result<Self, Error> {
        let ra = RouterAdvertisements::read(request)?;
        let sides = Self::open(request.if_name.as_str(), request.netns)?;
        pod::refuse_taken_name(&sides.inside, sides.name, sides.path)?;
        record::refuse_second(request)?;
        Ok(Self {
            ra,
            request: Some(request),
            ..sides
        })
    }

    /// The master: the link of that name, or without a name the link of the default route.
    pub(crate) fn master(&self, place: Place, name: Option<&str>) -> Result<Master, SetupError> {
        let socket = match place {
            Place::Host => &self.host,
            Place::Pod => &self.inside,
        };
        Master::find(socket, place, name)
    }

    /// Makes the link in the pod, down, and registers its removal.
    pub(crate) fn create_link<'r>(
        &self,
        spec: &LinkSpec<'_>,
        kind: &'static str,
        undo: &mut Undo<'r>,
    ) -> Result<Link, SetupError> {
        let made = self.inside.create_link(spec).map(Some);
        self.finish_creation(made, kind, undo)?
            .map_err(SetupError::kernel(format!(
                "failed to create {kind} {:?}",
                self.name
            )))
    }

    /// The same for a link that has a master.
    pub(crate) fn create_link_on<'r>(
        &self,
        master: &Master,
        spec: &LinkSpec<'_>,
        kind: &'static str,
        undo: &mut Undo<'r>,
    ) -> Result<Link, SetupError> {
        self.has_carrier.set(master.link.flags.has_carrier());
        let spec = spec.clone().lower(master.link.index);
        let made = match master.place {
            Place::Host => self.host.create_link_in(&self.netns, &spec).map(|()| None),
            Place::Pod => self.inside.create_link(&spec).map(Some),
        };
        self.finish_creation(made, kind, undo)?.map_err(|cause| {
            let reason = if cause.is_exists() {
                ", which has such a link already"
            } else if cause.is_busy() {
                ", which is a port of a bridge or bond, or carries links of another kind"
            } else {
                ""
            };
            let name = self.name;
            SetupError::Kernel {
                what: format!("failed to create {kind} {name:?} on master {master}{reason}"),
                cause,
            }
        })
    }

    /// The rest of making a link, after the kernel's answer: registers the removal, and leaves the record.
    /// The outer error says that the name is taken in the pod, the inner one is the kernel's.
    fn finish_creation<'r>(
        &self,
        made: netloom_kernel::Result<Option<Link>>,
        kind: &'static str,
        undo: &mut Undo<'r>,
    ) -> Result<netloom_kernel::Result<Link>, SetupError> {
        if made.as_ref().is_err_and(netloom_kernel::Error::is_exists) {
            pod::refuse_taken_name(&self.inside, self.name, self.path)?;
        }
        self.register_removal(kind, undo);
        let link = made.and_then(|link| match link {
            Some(link) => Ok(link),
            None => self.inside.get_link(self.name),
        });
        if let Ok(link) = &link {
            self.remember(link, undo);
        }
        Ok(link)
    }

    /// Leaves the record of the attachment, with this link.
    pub(crate) fn remember(&self, link: &Link, undo: &mut Undo<'_>) {
        let links = Links {
            pod: link.index,
            ..Links::default()
        };
        if let Some(request) = self.request {
            record::create(request, &self.netns, &self.inside, links, undo);
        }
    }

    /// Registers the removal of the link, which is of that kind. It is called after a failure too: only
    /// the kernel's answer may have been lost.
    pub(crate) fn register_removal<'r>(&self, kind: &'static str, undo: &mut Undo<'r>) {
        let (inside, name) = (Rc::clone(&self.inside), self.name.to_owned());
        undo.on_failure(format!("remove the link {name}"), move || {
            Ok(remove_link(&inside, name.as_str(), kind, |_| Ok(true))?)
        });
    }

    /// The rest of ADD: has the IPAM plugin give addresses, if there is one, puts them on the link and
    /// sets it up. The link is there before, because an IPAM plugin such as dhcp talks through it.
    /// `dns` replaces that of the IPAM plugin.
    pub(crate) fn attach<'r>(
        &self,
        link: &Link,
        request: &'r AddRequest<'r>,
        announce: Announce,
        dns: Option<Dns>,
        undo: &mut Undo<'r>,
    ) -> Result<AddResult, Error> {
        let mut result = AddResult::new();
        ipam::take_addresses(request, POSITION, &mut result, undo)?;
        Ok(self.attach_with(result, link, request, announce, dns)?)
    }

    /// The same with addresses, routes and DNS that are known.
    pub(crate) fn attach_with(
        &self,
        mut result: AddResult,
        link: &Link,
        request: &AddRequest<'_>,
        announce: Announce,
        dns: Option<Dns>,
    ) -> Result<AddResult, SetupError> {
        let version = request.version();
        let listed = listed::pod_link(self.name, link.mac, link.mtu, self.path, version);
        result.interfaces = vec![listed];
        self.configure(link, &mut result, announce, request)?;
        if let Some(dns) = dns {
            result.dns = dns;
        }
        Ok(result)
    }

    /// Puts the result's addresses and routes on the link, marks it as the container's and sets it
    /// up.
    fn configure(
        &self,
        link: &Link,
        result: &mut AddResult,
        announce: Announce,
        request: &AddRequest<'_>,
    ) -> Result<(), SetupError> {
        let mark = identity::mark(request.container_id.as_str());
        let pod = PodLink {
            netns: &self.netns,
            socket: &self.inside,
            name: self.name,
            index: link.index,
            mac: link.mac,
            position: POSITION,
            mtu: link.mtu,
            ra: self.ra,
            version: request.version(),
            mark: Some(&mark),
        };
        if result.ips.is_empty() {
            return pod::set_up(pod);
        }
        let addressing = Addressing {
            dad: Dad::AsSet,
            subnet: Subnet::OnLink,
            announce,
        };
        let announcement = pod::configure(pod, result, addressing)?;
        match self.has_carrier.get() {
            true => announcement.send(&self.netns, &self.inside),
            false => announcement.send_with_carrier(&self.netns, &self.inside),
        }
        Ok(())
    }
}

/// STATUS: fails without the master, since no ADD could be served. `None` if the master is to be in the
/// pod, which is not there yet.
pub(crate) fn status_of_master(place: Place, name: Option<&str>) -> Result<Option<Master>, Error> {
    if place == Place::Pod {
        return Ok(None);
    }
    let find = || {
        let host = Socket::open().map_err(SetupError::kernel("failed to reach the kernel"))?;
        Master::find(&host, place, name)
    };
    let unavailable = |fault: SetupError| Error::new(code::PLUGIN_NOT_AVAILABLE, fault.to_string());
    find().map(Some).map_err(unavailable)
}

/// Refuses a configuration without an IPAM plugin, for plugins that make no sense without
/// addresses.
pub(crate) fn require_ipam(kind: &str, ipam_type: Option<&str>) -> Result<(), Error> {
    match ipam_type.filter(|kind| !kind.is_empty()) {
        Some(_) => Ok(()),
        None => Err(super::setup_error::invalid(format!(
            "{kind} interface requires an IPAM configuration: no plugin name provided as ipam.type"
        ))),
    }
}
