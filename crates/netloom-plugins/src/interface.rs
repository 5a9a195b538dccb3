//! Plugins that make an interface.

pub mod bridge;
pub mod dummy;
pub mod flannel;
pub mod host_device;
pub mod ipvlan;
pub mod loopback;
pub mod macvlan;
pub mod ptp;
pub mod tap;
pub mod vlan;

plugins! {
    bridge::Bridge,
    dummy::Dummy,
    flannel::Flannel,
    host_device::HostDevice,
    ipvlan::Ipvlan,
    loopback::Loopback,
    macvlan::Macvlan,
    ptp::Ptp,
    tap::Tap,
    vlan::Vlan,
}
