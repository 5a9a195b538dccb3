//! The pod's port on the bridge: hairpin, isolation, VLANs.

use super::plan::Plan;
use super::vlan::PortVlans;
use crate::wiring::SetupError;
use netloom_kernel::rtnl::{BridgePortChange, BridgeVlan, Link, LinkChange, LinkKind, Socket};
use std::collections::BTreeSet;

/// Sets what the plan asks of the new port. A new port has hairpin mode and isolation off.
pub(super) fn configure(
    host: &Socket,
    bridge: &Link,
    port: &Link,
    plan: &Plan,
) -> Result<(), SetupError> {
    if plan.hairpin || plan.isolated {
        let change = BridgePortChange {
            hairpin: plan.hairpin.then_some(true),
            isolated: plan.isolated.then_some(true),
            ..BridgePortChange::default()
        };
        host.set_link(port.index, &LinkChange::new().bridge_port(change))
            .map_err(SetupError::kernel(format!(
                "failed to set hairpin mode or isolation of {:?}",
                port.name
            )))?;
    }
    match &plan.vlans.port {
        Some(vlans) => set_vlans(host, bridge, port.index, vlans),
        None => Ok(()),
    }
}

/// Puts a new port into its VLANs, and out of the one that every new port gets.
pub(super) fn set_vlans(
    host: &Socket,
    bridge: &Link,
    port: u32,
    vlans: &PortVlans,
) -> Result<(), SetupError> {
    let mut batch = host.batch();
    if let Some(default) = default_vlan(bridge).filter(|_| !vlans.keep_default) {
        batch.remove_bridge_vlan(port, BridgeVlan::tagged(default));
    }
    for (first, last) in ranges(&vlans.tagged) {
        batch.add_bridge_vlan(port, BridgeVlan::tagged_range(first, last));
    }
    // Last, so that it is untagged in the end, even where the trunk contains it too.
    if let Some(native) = vlans.native {
        batch.add_bridge_vlan(port, BridgeVlan::pvid_untagged(native));
    }
    batch.commit().map_err(SetupError::kernel(
        "failed to set the VLANs of the bridge port",
    ))?;
    Ok(())
}

/// The VLAN that the bridge gives to new ports.
pub(super) fn default_vlan(bridge: &Link) -> Option<u16> {
    match &bridge.kind {
        Some(LinkKind::Bridge(options)) => options.default_vlan.or(Some(1)),
        _ => None,
    }
    .filter(|vlan| *vlan != 0)
}

/// Runs of consecutive VLANs.
fn ranges(vlans: &BTreeSet<u16>) -> Vec<(u16, u16)> {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for vlan in vlans {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *vlan => *last = *vlan,
            _ => ranges.push((*vlan, *vlan)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_vlans_go_to_the_kernel_as_one_range() {
        let vlans: BTreeSet<u16> = [1, 2, 3, 7, 9, 10].into();
        assert_eq!(ranges(&vlans), [(1, 3), (7, 7), (9, 10)]);
        assert_eq!(ranges(&BTreeSet::new()), []);
    }
}
