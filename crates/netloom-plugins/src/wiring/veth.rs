//! The wire between host and pod: a veth.

use super::ends::Ends;
use super::owner::Owner;
use super::pod::PodLink;
use super::record::{Links, Record};
use super::router_advertisements::RouterAdvertisements;
use super::{SetupError, identity, mtu, random, sysctls};
use netloom_kernel::MacAddress;
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{Link, LinkChange, LinkSpec, PeerSpec, Socket};
use netloom_plugin::{AddRequest, Undo};
use netloom_spec::{AddResult, Error, Interface, Mac};

/// How often another random name is tried when one is taken.
const NAME_ATTEMPTS: usize = 10;

/// The pod's end of a new wire.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PodEnd<'a> {
    /// `CNI_IFNAME`.
    pub(crate) name: &'a str,
    /// Where it will live.
    pub(crate) netns: &'a Netns,
    /// Its address; a random one when absent.
    pub(crate) mac: Option<Mac>,
}

/// A new wire.
#[derive(Debug)]
pub(crate) struct Wire {
    /// The host's end.
    pub(crate) host: Link,
    /// Interface index of the pod's end, in the pod.
    pub(crate) pod_index: u32,
    /// MAC address of the pod's end.
    pub(crate) pod_mac: MacAddress,
}

impl Wire {
    /// What the record of the attachment says of it.
    pub(crate) fn links(&self) -> Links<'static> {
        Links {
            pod: self.pod_index,
            host: Some(self.host.index),
            lent: None,
        }
    }

    /// The pod's end, ready for addresses; `position` is its place in the result's `interfaces`.
    pub(crate) fn pod_link<'a>(
        &self,
        request: &'a AddRequest<'a>,
        (netns, inside): (&'a Netns, &'a Socket),
        ra: RouterAdvertisements,
        position: usize,
    ) -> PodLink<'a> {
        PodLink {
            netns,
            socket: inside,
            name: request.if_name.as_str(),
            index: self.pod_index,
            mac: Some(self.pod_mac),
            position,
            mtu: self.host.mtu,
            ra,
            version: request.version(),
            mark: None,
        }
    }
}

/// Reads `mtu`; `None` leaves the choice to the kernel.
pub(crate) fn mtu(value: i64) -> Result<Option<u32>, Error> {
    Ok(Some(mtu::read(value, mtu::LARGEST)?).filter(|mtu| *mtu != 0))
}

/// Makes both ends in one message, each where it will live. The host's end is up and, if there is a
/// `master`, a port of it. The pod's end is down. The alias of the host's end names the owner, since no
/// pod can change it there.
pub(crate) fn create_wire<'r>(
    host: &Socket,
    owner: Owner<'_>,
    pod: PodEnd<'_>,
    mtu: Option<u32>,
    master: Option<u32>,
    undo: &mut Undo<'r>,
) -> Result<Wire, SetupError> {
    let mark = owner.wire_mark();
    let pod_mac = pod.mac.map_or_else(random::mac, |mac| mac.0);
    for attempt in 1.. {
        let (name, mac) = (random::veth_name(), random::mac());
        let peer = PeerSpec::new(pod.name)
            .in_netns(pod.netns)
            .mac(pod_mac)
            .mtu(mtu.unwrap_or(0));
        let spec = LinkSpec::veth(&name, peer).mac(mac).mtu(mtu.unwrap_or(0));
        let spec = match master {
            Some(master) => spec.master(master),
            None => spec,
        };
        match create_marked(host, &spec.up(), &name, &mark) {
            Ok(link) => {
                let index = link.index;
                undo.on_failure(format!("remove the veth {name}"), move || {
                    remove_by_index(index)
                });
                sysctls::refuse_router_advertisements(&name);
                return Ok(Wire {
                    pod_index: link.lower.unwrap_or(0),
                    pod_mac,
                    host: link,
                });
            }
            Err(error) if error.is_exists() && attempt < NAME_ATTEMPTS => {
                require_pod_name_free(host, pod, &name, &mark)?;
            }
            Err(error) => {
                let what = format!("failed to make the veth {name} and its peer {:?}", pod.name);
                // If only the kernel's answer was lost, the wire is there.
                undo.on_failure(format!("remove the veth {name}"), move || {
                    remove_by_name(&name, mac)
                });
                return Err(SetupError::kernel(what)(error));
            }
        }
    }
    unreachable!("the last attempt returns")
}

/// After the kernel said that a name is taken. Fails if that is the name of the pod's end. If it is the
/// random one of the host's end, another can be tried.
fn require_pod_name_free(
    host: &Socket,
    pod: PodEnd<'_>,
    name: &str,
    mark: &str,
) -> Result<(), SetupError> {
    let found = host
        .find_link(name)
        .map_err(SetupError::kernel("look up a veth"))?;
    let Some(other) = found else {
        return Err(SetupError::NameTaken {
            name: pod.name.to_owned(),
            netns: pod.netns.path().display().to_string(),
        });
    };
    // The second message of the batch gave our mark to that link. What alias it had is lost.
    if other.alias.as_deref() == Some(mark) {
        let _ = host.set_link(other.index, &LinkChange::new().alias(""));
    }
    Ok(())
}

/// Makes the link and marks it. The kernel takes no alias in the message that makes a link. So a second
/// message in the same system call gives the alias, to the link of that random name.
fn create_marked(
    host: &Socket,
    spec: &LinkSpec<'_>,
    name: &str,
    mark: &str,
) -> netloom_kernel::Result<Link> {
    let mut batch = host.batch();
    batch
        .create_link(spec)
        .set_link(name, &LinkChange::new().alias(mark));
    match batch.commit()?.into_iter().next() {
        Some(link) => Ok(link),
        None => host.get_link(name), // a kernel that does not echo
    }
}

fn remove_by_index(index: u32) -> Result<(), Error> {
    let remove = || Socket::open()?.remove_link(index).map(drop);
    Ok(remove().map_err(SetupError::kernel("failed to remove the veth"))?)
}

/// Removes the host's end by name and MAC address: somebody else may have made a link of this name.
fn remove_by_name(name: &str, mac: MacAddress) -> Result<(), Error> {
    let mac = Mac(mac).to_string();
    let remove = || {
        let host = Socket::open()?;
        match find_veth(&host, name, Some(&mac), |_| true)? {
            Some(end) => host.remove_link(end.index).map(drop),
            None => Ok(()),
        }
    };
    Ok(remove().map_err(SetupError::kernel("failed to remove the veth"))?)
}

/// Removes the wire of an attachment.
///
/// A record or a result of ADD names the host's end, whose name is random. The wire is removed by that
/// end: so it works if the pod's namespace is gone or its interface was renamed, and it cannot hit
/// another pod whose namespace is at the path by now. Without record and result, it is removed by the
/// attachment's interface name in the pod.
///
/// `meanwhile` is called while the kernel removes a link, and not at all if there is none to remove.
pub(crate) fn remove_wire(
    netns: Option<&Netns>,
    owner: Owner<'_>,
    made: Option<&AddResult>,
    record: Option<&Record>,
    meanwhile: &mut dyn FnMut(),
) -> Result<(), SetupError> {
    let if_name = owner.if_name;
    let mut remove = || {
        if let Some(record) = record {
            let host = Socket::open()?;
            if let Some(end) = record.host_end(&host, owner)? {
                return remove_link(&host, &end, meanwhile).map(drop);
            }
        }
        let ends = made.map(|made| Ends::of(made, if_name)).unwrap_or_default();
        if let Some(host_end) = ends.host
            && remove_host_end(&Socket::open()?, owner, host_end, meanwhile)?
        {
            return Ok(());
        }
        match netns {
            Some(netns) => remove_pod_end(&Socket::open_in(netns)?, owner, made, meanwhile),
            None => Ok(()),
        }
    };
    remove().map_err(SetupError::kernel(format!(
        "failed to remove the veth of {if_name:?}"
    )))
}

/// Removes the link of the attachment's interface name, if it is a veth and not another pod's.
fn remove_pod_end(
    inside: &Socket,
    owner: Owner<'_>,
    made: Option<&AddResult>,
    meanwhile: &mut dyn FnMut(),
) -> netloom_kernel::Result<()> {
    let Some(link) = inside.find_link(owner.if_name)? else {
        return Ok(());
    };
    if link.is_veth() && is_own(inside, &link, owner, made)? {
        remove_link(inside, &link, meanwhile)?;
    }
    Ok(())
}

/// Removes a link. That takes the kernel long, so `meanwhile` is done before its answer is waited for.
fn remove_link(
    socket: &Socket,
    link: &Link,
    meanwhile: &mut dyn FnMut(),
) -> netloom_kernel::Result<bool> {
    let removal = socket.begin_removal(link.index)?;
    meanwhile();
    removal.finish()
}

/// Whether a link in the pod is the attachment's: by what the host knows; where that does not decide, by
/// what the pod's end shows.
fn is_own(
    inside: &Socket,
    link: &Link,
    owner: Owner<'_>,
    made: Option<&AddResult>,
) -> netloom_kernel::Result<bool> {
    if let Some(marked) = is_marked_as_own(link, owner)? {
        return Ok(marked);
    }
    let on_wire = made.map(|made| identity::is_on_wire(link, made));
    match on_wire.transpose()?.flatten() {
        Some(decided) => Ok(decided),
        None => identity::is_own(inside, link, owner.container_id, made),
    }
}

/// What the mark of the other end says, if that end is on the host and has one.
fn is_marked_as_own(link: &Link, owner: Owner<'_>) -> netloom_kernel::Result<Option<bool>> {
    let Some(peer) = link.lower.filter(|_| link.lower_netns.is_some()) else {
        return Ok(None);
    };
    let found = Socket::open()?.find_link(peer)?;
    // Any namespace may have a link of that index.
    let end = found.filter(|end| end.is_veth() && end.lower == Some(link.index));
    Ok(end.and_then(|end| owner.may_own_wire(end.alias.as_deref())))
}

/// Removes the host's end that a result lists, unless its mark is another attachment's.
fn remove_host_end(
    host: &Socket,
    owner: Owner<'_>,
    listed: &Interface,
    meanwhile: &mut dyn FnMut(),
) -> netloom_kernel::Result<bool> {
    let is_own = |end: &Link| owner.may_own_wire(end.alias.as_deref()) != Some(false);
    match find_veth(host, &listed.name, Some(&listed.mac), is_own)? {
        Some(end) => remove_link(host, &end, meanwhile),
        None => Ok(false),
    }
}

/// The link, if it is a veth and, where an address is known, has that address.
fn find_veth(
    socket: &Socket,
    name: &str,
    mac: Option<&str>,
    is_own: impl FnOnce(&Link) -> bool,
) -> netloom_kernel::Result<Option<Link>> {
    let mac = mac
        .filter(|mac| !mac.is_empty())
        .and_then(|mac| mac.parse::<Mac>().ok());
    let found = socket.find_link(name)?;
    Ok(found.filter(|link| {
        link.is_veth() && mac.is_none_or(|mac| link.mac == Some(mac.0)) && is_own(link)
    }))
}
