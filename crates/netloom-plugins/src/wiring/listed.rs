//! A link as the result of ADD lists it.

use netloom_kernel::MacAddress;
use netloom_kernel::rtnl::Link;
use netloom_spec::{Interface, Mac, Version};

/// A link of the host.
pub(crate) fn host_link(link: &Link, version: Version) -> Interface {
    Interface {
        mac: mac_text(link.mac),
        mtu: mtu(link.mtu, version),
        ..Interface::new(link.name.as_str())
    }
}

/// The container's interface; `sandbox` is `CNI_NETNS` as it came.
pub(crate) fn pod_link(
    name: &str,
    mac: Option<MacAddress>,
    mtu_in_bytes: u32,
    sandbox: &str,
    version: Version,
) -> Interface {
    Interface {
        mac: mac_text(mac),
        mtu: mtu(mtu_in_bytes, version),
        sandbox: sandbox.to_owned(),
        ..Interface::new(name)
    }
}

/// A MAC address as results write it; empty for a link without one.
pub(crate) fn mac_text(mac: Option<MacAddress>) -> String {
    mac.map(|mac| Mac(mac).to_string()).unwrap_or_default()
}

/// An MTU for a result: 0, which is left out, before CNI 1.1.0, where results have no such key.
pub(crate) fn mtu(bytes: u32, version: Version) -> u32 {
    if version >= Version::V1_1_0 { bytes } else { 0 }
}
