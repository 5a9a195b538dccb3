//! DEL: everything of the attachment goes, whatever is left of its pod.

use super::config::Remains;
use crate::wiring::masquerade::Addresses;
use crate::wiring::owner::Owner;
use crate::wiring::veth::{Ends, remove_wire};
use crate::wiring::{masquerade, sandbox, spoof};
use ipnet::IpNet;
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::Socket;
use netloom_plugin::{Cleanup, DelRequest};
use netloom_spec::Error;
use std::thread::{Builder, ScopedJoinHandle};

/// IPAM plugins that only keep books. Any other may have to talk through the link, as DHCP
/// does to give its lease back, and so comes before the link goes.
const BOOKKEEPERS: [&str; 2] = ["host-local", "static"];

/// Removes the attachment. What is absent is success; every step is tried.
pub(super) fn del(request: &DelRequest<'_>) -> Result<(), Error> {
    let remains = Remains::read(request.conf);
    let made = request.prev_result();
    let mut cleanup = Cleanup::new();
    let netns = sandbox::open_if_there(request.netns).unwrap_or_else(|fault| {
        cleanup.step("open the netns", Err(fault));
        None
    });
    let if_name = request.if_name.as_str();
    let nets: Vec<IpNet> = match (&made, &netns) {
        (Some(made), _) => Ends::of(made, if_name)
            .ips(made)
            .map(|ip| ip.address)
            .collect(),
        (None, Some(netns)) => observed(netns, if_name),
        (None, None) => Vec::new(),
    };
    let addresses = match made {
        Some(_) => Addresses::Known(&nets),
        None => Addresses::Seen(&nets),
    };
    let release = |cleanup: &mut Cleanup| {
        cleanup.step("release the addresses", request.forward_to_ipam());
    };
    let early = request
        .conf
        .ipam_type()
        .is_some_and(|kind| !BOOKKEEPERS.contains(&kind));
    if early {
        release(&mut cleanup);
    }
    let remove_wire = || remove_wire(netns.as_ref(), if_name, made.as_ref());
    // Removing a link waits long for the kernel's readers: the rest is done meanwhile.
    let outcome = std::thread::scope(|scope| {
        let wire = Builder::new().spawn_scoped(scope, remove_wire);
        remove_filters(request, remains, addresses, &mut cleanup);
        if !early {
            release(&mut cleanup);
        }
        match wire.map(ScopedJoinHandle::join) {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            // No more threads to be had: one after the other, then.
            Err(_) => remove_wire(),
        }
    });
    cleanup.step("remove the veth", outcome);
    cleanup.finish()
}

fn remove_filters(
    request: &DelRequest<'_>,
    remains: Remains,
    addresses: Addresses<'_>,
    cleanup: &mut Cleanup,
) {
    let owner = Owner {
        network: request.network().as_str(),
        container_id: request.container_id.as_str(),
        if_name: request.if_name.as_str(),
    };
    if let Some(choice) = remains.masquerade {
        cleanup.step(
            "remove the masquerade",
            masquerade::remove(owner, choice, addresses),
        );
    }
    if remains.spoof_check {
        cleanup.step("remove the spoof check", spoof::remove(owner));
    }
}

/// The addresses that the pod's interface has now; none when it cannot be asked.
fn observed(netns: &Netns, if_name: &str) -> Vec<IpNet> {
    let list = || {
        let inside = Socket::open_in(netns)?;
        match inside.find_link(if_name)? {
            Some(link) => inside.list_addresses(link.index),
            None => Ok(Vec::new()),
        }
    };
    let listed: netloom_kernel::Result<Vec<_>> = list();
    let global = |net: &IpNet| match net {
        IpNet::V4(net) => !net.addr().is_link_local(),
        IpNet::V6(net) => !net.addr().is_unicast_link_local(),
    };
    listed
        .unwrap_or_default()
        .into_iter()
        .map(|address| address.address)
        .filter(global)
        .collect()
}
