//! ADD.

use super::address;
use super::lend::lend;
use super::loan::{alias_of, came_back};
use super::plan::Plan;
use super::selector::Device;
use super::sysfs::Sysfs;
use crate::wiring::pod::{self, Addressing, Announce, Dad, PodLink, Subnet};
use crate::wiring::record::{self, Links};
use crate::wiring::router_advertisements::RouterAdvertisements;
use crate::wiring::{SetupError, ipam, listed, sandbox};
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{Link, Socket};
use netloom_plugin::{AddRequest, Undo};
use netloom_spec::{AddResult, Error, Interface, Version};

/// Position of the container's interface in the result.
pub(super) const CONTAINER: usize = 0;

/// Makes the attachment. Nothing is touched before the whole request is known to be good.
pub(super) fn add<'r>(
    request: &'r AddRequest<'r>,
    sysfs: &Sysfs,
    undo: &mut Undo<'r>,
) -> Result<AddResult, Error> {
    let plan = Plan::new(request.conf, sysfs)?;
    let ra = RouterAdvertisements::read(request)?;
    let netns = sandbox::open(request.netns)?;
    let mut result = if plan.user_space {
        let mut result = AddResult::new();
        result.interfaces = vec![without_link(&plan, request)];
        ipam::take_addresses(request, CONTAINER, &mut result, undo)?;
        result
    } else {
        with_link(&plan, ra, request, &netns, sysfs, undo)?
    };
    if let Some(dns) = plan.dns {
        result.dns = dns;
    }
    Ok(result)
}

/// All that a runtime can be told of a device that has no link.
fn without_link(plan: &Plan, request: &AddRequest<'_>) -> Interface {
    Interface {
        sandbox: request.netns.to_owned(),
        pci_id: pci_id(plan.pci.clone(), request.version()),
        ..Interface::new(request.if_name.as_str())
    }
}

fn with_link<'r>(
    plan: &Plan,
    ra: RouterAdvertisements,
    request: &'r AddRequest<'r>,
    netns: &Netns,
    sysfs: &Sysfs,
    undo: &mut Undo<'r>,
) -> Result<AddResult, Error> {
    let name = request.if_name.as_str();
    let inside = Socket::open_in(netns).map_err(SetupError::kernel("failed to enter the netns"))?;
    let host = Socket::open().map_err(SetupError::kernel("failed to reach the kernel"))?;
    pod::refuse_taken_name(&inside, name, request.netns)?;
    record::refuse_second(request)?;
    let device = plan.selector.find(&host, sysfs)?;
    let device = under_own_name(device, name);

    let links = |index_in_pod| Links {
        pod: index_in_pod,
        host: Some(device.link.index),
        lent: Some(&device.host_name),
    };
    // Before the pod can write the alias.
    record::create(request, netns, &inside, links(record::UNKNOWN), undo);
    lend(&host, &device, netns, request, sysfs, undo)?;
    let link = inside
        .get_link(name)
        .map_err(SetupError::kernel(format!("failed to find {name:?}")))?;
    record::note(request, netns, &inside, links(link.index));
    let parent = device.link.parent.as_ref();
    let pci = parent.and_then(|parent| sysfs.pci_of(parent));
    let mut result = AddResult::new();
    result.interfaces = vec![interface(&link, pci.or_else(|| plan.pci.clone()), request)];
    ipam::take_addresses(request, CONTAINER, &mut result, undo)?;
    let pod = PodLink {
        netns,
        socket: &inside,
        name,
        index: link.index,
        mac: link.mac,
        position: CONTAINER,
        mtu: link.mtu,
        ra,
        version: request.version(),
        mark: None,
    };
    configure(pod, &mut result)?;
    Ok(result)
}

/// What a runtime is told of the link.
fn interface(link: &Link, pci: Option<String>, request: &AddRequest<'_>) -> Interface {
    let (name, version) = (request.if_name.as_str(), request.version());
    Interface {
        mac: address::text(&link.address),
        pci_id: pci_id(pci, version),
        ..listed::pod_link(name, None, link.mtu, request.netns, version)
    }
}

/// Sets the link up, with what addresses there are.
fn configure(pod: PodLink<'_>, result: &mut AddResult) -> Result<(), SetupError> {
    if result.ips.is_empty() {
        return pod::set_up(pod);
    }
    let addressing = Addressing {
        dad: Dad::On,
        subnet: Subnet::OnLink,
        announce: Announce::Both,
    };
    pod::configure(pod, result, addressing)?.send_with_carrier(pod.netns, pod.socket);
    Ok(())
}

/// A device that the kernel gave back and no DEL has seen yet has its name in the alias.
fn under_own_name(device: Device, if_name: &str) -> Device {
    if !came_back(&device.link, if_name) {
        return device;
    }
    // The alias is what the container made of it.
    let remembered = record::lent_name(device.link.index);
    match remembered.or_else(|| alias_of(&device.link).map(str::to_owned)) {
        Some(host_name) => Device {
            host_name,
            ..device
        },
        None => device,
    }
}

/// Results know the key since CNI 1.1.0.
fn pci_id(id: Option<String>, version: Version) -> String {
    id.filter(|_| version >= Version::V1_1_0)
        .unwrap_or_default()
}
