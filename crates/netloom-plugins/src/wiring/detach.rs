//! DEL of the plugins that connect a pod by a veth: removes all that the attachment has, whatever is
//! left of the pod.

use super::configured::is_on;
use super::ends::Ends;
use super::masquerade::{Addresses, BackendChoice};
use super::nftables::Nftables;
use super::owner::Owner;
use super::record::{self, Record};
use super::veth::remove_wire;
use super::{masquerade, sandbox, spoof};
use ipnet::IpNet;
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::Socket;
use netloom_plugin::{Cleanup, DelRequest};
use netloom_spec::{AddResult, Error, PluginConf};

/// The packet filters that may have the pod's masquerade; `None` if there is no masquerade.
fn masquerade_of(conf: &PluginConf) -> Option<BackendChoice> {
    let backend = conf.get("ipMasqBackend").and_then(|value| value.as_str());
    let choice = BackendChoice::parse(backend).unwrap_or(BackendChoice::Any);
    is_on(conf, "ipMasq").then_some(choice)
}

/// Removes the attachment. Every step is done, whatever became of the others; absent objects are
/// success.
pub(crate) fn detach(request: &DelRequest<'_>) -> Result<(), Error> {
    if record::lives_elsewhere(request) {
        return request.forward_to_foreign_ipam();
    }
    let made = request.prev_result();
    let mut cleanup = Cleanup::new();
    let netns = sandbox::of_attachment(request, made.as_ref()).unwrap_or_else(|fault| {
        cleanup.step("open the netns", Err(fault));
        None
    });
    let if_name = request.if_name.as_str();
    let nets = addresses(made.as_ref(), netns.as_ref(), if_name);
    let known = match made {
        Some(_) => Addresses::Known(&nets),
        None => Addresses::Seen(&nets),
    };
    let release = |cleanup: &mut Cleanup| {
        cleanup.step("release the addresses", request.forward_to_ipam());
    };
    // Such an IPAM plugin (dhcp) is called before the link goes.
    let early = request
        .ipam()
        .is_some_and(|ipam| ipam.speaks_through_link());
    if early {
        release(&mut cleanup);
    }
    let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
    let record = Record::of(owner);
    // The kernel takes long to remove a link. `rest` is all that can be done in that time.
    let mut open_until_the_link_is_gone = None;
    let mut rest = Some(|| {
        open_until_the_link_is_gone = remove_filters(request, known, &mut cleanup);
        if !early {
            release(&mut cleanup);
        }
    });
    // `remove_wire` calls it if it removes a link. If not, it is called behind it.
    let mut once = || {
        if let Some(mut rest) = rest.take() {
            rest();
        }
    };
    let outcome = remove_wire(
        netns.as_ref(),
        owner,
        made.as_ref(),
        record.as_ref(),
        &mut once,
    );
    once();
    drop(open_until_the_link_is_gone);
    // If the veth is still there, the next DEL finds it by the record.
    if outcome.is_ok() {
        cleanup.step("forget the attachment", record::forget(owner));
    }
    cleanup.step("remove the veth", outcome);
    cleanup.finish()
}

/// Removes masquerade and spoof check. Returns the socket, which the caller must not close before the
/// link is gone; [`Nftables`] tells why.
fn remove_filters(
    request: &DelRequest<'_>,
    addresses: Addresses<'_>,
    cleanup: &mut Cleanup,
) -> Option<Nftables> {
    let masquerade = masquerade_of(request.conf);
    let has_spoof_check = is_on(request.conf, "macspoofchk");
    if masquerade.is_none() && !has_spoof_check {
        return None;
    }
    let nftables = match Nftables::open() {
        Ok(nftables) => nftables,
        Err(fault) => {
            cleanup.step("remove the packet filters", Err(fault));
            return None;
        }
    };
    let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
    if let Some(choice) = masquerade {
        cleanup.step(
            "remove the masquerade",
            masquerade::remove(&nftables, owner, choice, addresses),
        );
    }
    if has_spoof_check {
        cleanup.step("remove the spoof check", spoof::remove(&nftables, owner));
    }
    Some(nftables)
}

/// The addresses that ADD gave; without its result, those that the pod's interface has now.
fn addresses(made: Option<&AddResult>, netns: Option<&Netns>, if_name: &str) -> Vec<IpNet> {
    match (made, netns) {
        (Some(made), _) => Ends::of(made, if_name)
            .ips(made)
            .map(|ip| ip.address)
            .collect(),
        (None, Some(netns)) => observed(netns, if_name),
        (None, None) => Vec::new(),
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
