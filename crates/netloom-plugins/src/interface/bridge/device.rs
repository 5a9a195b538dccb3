//! The bridge itself, and the interface that holds its gateway addresses. All pods of the host share
//! them, so they stay. Only an ADD that made the bridge and then fails removes it.

use super::plan::Plan;
use super::port;
use super::vlan::PortVlans;
use crate::wiring::{SetupError, learnt, random, sysctls};
use netloom_kernel::MacAddress;
use netloom_kernel::rtnl::{BridgeOptions, KindSpec, Link, LinkChange, LinkKind, LinkSpec};
use netloom_kernel::rtnl::{PeerSpec, Socket};
use netloom_plugin::Undo;

/// Finds or makes the bridge, sets it up, and gives it what the plan asks of it.
pub(super) fn ensure_bridge(
    host: &Socket,
    plan: &Plan,
    undo: &mut Undo<'_>,
) -> Result<Link, SetupError> {
    let what = || format!("failed to create bridge {:?}", plan.bridge);
    let found = host
        .find_link(&plan.bridge)
        .map_err(SetupError::kernel(what()))?;
    let is_new = found.is_none();
    let mut bridge = match found {
        Some(bridge) => bridge,
        None => create(host, plan, undo).map_err(SetupError::kernel(what()))?,
    };
    let Some(LinkKind::Bridge(options)) = bridge.kind.clone() else {
        return Err(SetupError::NotABridge(bridge.name));
    };
    // Before the bridge is up, so that it takes no router advertisement. Netlink has told the setting,
    // because a look-up below `/proc/sys/net` takes longer the more network namespaces there are.
    if bridge.accept_ra != Some(0) && (is_new || !is_way_of_the_host(host, &bridge)?) {
        sysctls::refuse_router_advertisements(&bridge.name);
    }
    // A bridge without an address of its own takes a port's. When the last port goes, it has zeros.
    let lost_mac = bridge.mac == Some([0; 6]);
    if lost_mac {
        bridge.mac = Some(random::mac());
    }
    let mac = bridge.mac.filter(|_| lost_mac);
    if let Some(change) = change(&bridge, &options, plan, mac) {
        host.set_link(bridge.index, &change)
            .map_err(SetupError::kernel(what()))?;
    }
    Ok(bridge)
}

/// Whether the host has its own IPv6 by this bridge, from a router: an uplink is a port of it.
fn is_way_of_the_host(host: &Socket, bridge: &Link) -> Result<bool, SetupError> {
    let what = "failed to look what the host has by router advertisements";
    let links = learnt::links(host).map_err(SetupError::kernel(what))?;
    Ok(links.contains(&bridge.index))
}

/// Sets the bridge's former MAC address again if it has taken over the new port's, as a bridge may
/// that others made. The pods know the former one. An address that was set stays from then on.
pub(super) fn keep_mac(host: &Socket, bridge: &Link) -> Result<(), SetupError> {
    let what = || format!("failed to pin the MAC address of bridge {:?}", bridge.name);
    let now = host
        .get_link(bridge.index)
        .map_err(SetupError::kernel(what()))?;
    let Some(mac) = bridge.mac.filter(|mac| now.mac != Some(*mac)) else {
        return Ok(());
    };
    host.set_link(bridge.index, &LinkChange::new().mac(mac))
        .map_err(SetupError::kernel(what()))
}

/// Makes the bridge with a MAC address of its own, which it keeps whatever ports come and go. If this
/// ADD fails, the bridge is removed again, unless it has ports of others by then.
fn create(host: &Socket, plan: &Plan, undo: &mut Undo<'_>) -> netloom_kernel::Result<Link> {
    let vlan_filtering = plan.vlans.filtering.then_some(true);
    let options = BridgeOptions {
        vlan_filtering,
        link_local_learning: plan.spoof_check.then_some(false),
        ..BridgeOptions::default()
    };
    let spec = LinkSpec::new(&plan.bridge, KindSpec::Bridge(options)).mac(random::mac());
    match host.create_link(&spec.mtu(plan.mtu.unwrap_or(0))) {
        // A plugin that ran at the same time was faster.
        Err(error) if error.is_exists() => host.get_link(&plan.bridge),
        Err(error) => Err(error),
        Ok(bridge) => {
            let (index, name) = (bridge.index, bridge.name.clone());
            undo.on_failure(format!("remove the bridge {name}"), move || {
                Ok(remove_unused(index).map_err(SetupError::kernel(format!(
                    "failed to remove the bridge {name:?}"
                )))?)
            });
            Ok(bridge)
        }
    }
}

/// Removes the bridge if it has no ports. Another ADD may just have found it and not made its port
/// yet: that ADD then fails, because it finds no bridge any more.
fn remove_unused(bridge: u32) -> netloom_kernel::Result<()> {
    let host = Socket::open()?;
    if host.list_ports(bridge)?.is_empty() {
        host.remove_link(bridge)?;
    }
    Ok(())
}

/// What has to be changed on the bridge; `None` if nothing. Without VLAN filtering it would join pods
/// that are to be apart. With a spoof check it must not learn addresses from link-local frames: these
/// pass no packet filter, and by them a pod could get another's traffic. Its MTU stays as it is.
fn change(
    bridge: &Link,
    options: &BridgeOptions,
    plan: &Plan,
    mac: Option<MacAddress>,
) -> Option<LinkChange<'static>> {
    let mut change = LinkChange::new();
    let mut needed = false;
    if let Some(mac) = mac {
        (change, needed) = (change.mac(mac), true);
    }
    if !bridge.flags.is_up() {
        (change, needed) = (change.up(), true);
    }
    if plan.promiscuous && !bridge.flags.is_promiscuous() {
        (change, needed) = (change.promiscuous(true), true);
    }
    let filters = plan.vlans.filtering && options.vlan_filtering == Some(false);
    let learns = plan.spoof_check && options.link_local_learning == Some(true);
    if filters || learns {
        let options = BridgeOptions {
            vlan_filtering: filters.then_some(true),
            link_local_learning: learns.then_some(false),
            ..BridgeOptions::default()
        };
        (change, needed) = (change.bridge(options), true);
    }
    needed.then_some(change)
}

/// Finds or makes `<bridge>.<vlan>`: one end of a veth whose other end is a port of the bridge
/// in that VLAN.
pub(super) fn ensure_vlan_interface(
    host: &Socket,
    bridge: &Link,
    name: &str,
    vlans: &PortVlans,
) -> Result<Link, SetupError> {
    let what = || format!("failed to create vlan gateway {name:?}");
    if let Some(link) = host.find_link(name).map_err(SetupError::kernel(what()))? {
        return Ok(link);
    }
    let port_name = random::veth_name();
    let peer = PeerSpec::new(&port_name).mac(random::mac()).mtu(bridge.mtu);
    let spec = LinkSpec::veth(name, peer)
        .mac(random::mac())
        .mtu(bridge.mtu);
    let link = match host.create_link(&spec) {
        Err(error) if error.is_exists() => {
            return host.get_link(name).map_err(SetupError::kernel(what()));
        }
        created => created.map_err(SetupError::kernel(what()))?,
    };
    sysctls::refuse_router_advertisements(name);
    sysctls::refuse_router_advertisements(&port_name);
    let connected = connect(host, bridge, &link, &port_name, vlans);
    if connected.is_err() {
        // The next ADD would find it by its name and take it for complete.
        let _ = host.remove_link(link.index);
    }
    connected.map(|()| link)
}

/// Makes the other end of the veth a port of the bridge in these VLANs, and sets both ends up.
fn connect(
    host: &Socket,
    bridge: &Link,
    link: &Link,
    port_name: &str,
    vlans: &PortVlans,
) -> Result<(), SetupError> {
    let what = || format!("failed to create vlan gateway {:?}", link.name);
    let port = match link.lower {
        Some(index) => index,
        None => {
            host.get_link(port_name)
                .map_err(SetupError::kernel(what()))?
                .index
        }
    };
    host.set_link(port, &LinkChange::new().master(bridge.index).up())
        .map_err(SetupError::kernel(what()))?;
    port::set_vlans(host, bridge, port, vlans)?;
    host.set_link(link.index, &LinkChange::new().up())
        .map_err(SetupError::kernel(what()))
}
