//! What stands in for other plugins: IPAM plugins and delegates in shell, and the interface before a
//! chained plugin.

use std::path::Path;

use ipnet::IpNet;
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{LinkChange, LinkSpec, PeerSpec, RouteSpec, Socket};
use netloom_spec::{AddResult, Mac, Version};
use serde_json::json;

use crate::stop::{Check, Stop};

/// A plugin of the kit's: its name and its script.
pub(crate) type Stub = (&'static str, &'static str);

/// How settings of the kit's cables are called.
pub(crate) const CABLE_IN_SYSCTL: &str = "/cable";

/// Writes a line for each call into this file.
pub(crate) const CALLS: &str = "/run/conform/calls";

/// Gives an address to each owner.
pub(crate) const IPAM: Stub = ("conform-ipam", include_str!("stub/ipam.sh"));
/// Fails at ADD, in words of its own.
pub(crate) const FAILS: Stub = ("conform-fails", include_str!("stub/fails.sh"));
/// Prints what is no JSON.
pub(crate) const RUBBISH: Stub = ("conform-rubbish", include_str!("stub/rubbish.sh"));
/// Is killed at ADD.
pub(crate) const KILLED: Stub = ("conform-killed", include_str!("stub/killed.sh"));
/// Gives an IPv6 address and an IPv4 address.
pub(crate) const DUAL: Stub = ("conform-dual", include_str!("stub/dual.sh"));
/// Fails at DEL.
pub(crate) const STUCK: Stub = ("conform-stuck", include_str!("stub/stuck.sh"));
/// Succeeds at ADD with an address that nothing can have.
pub(crate) const ABSURD: Stub = ("conform-absurd", include_str!("stub/absurd.sh"));
/// Makes no interface, and says that it made one.
pub(crate) const DELEGATE: Stub = ("conform-delegate", include_str!("stub/delegate.sh"));

/// The calls of stubs so far, such as `DEL conform-one eth0`.
pub(crate) fn calls() -> Vec<String> {
    let text = std::fs::read_to_string(CALLS).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Forgets the calls so far.
pub(crate) fn forget() {
    let _ = std::fs::remove_file(Path::new(CALLS));
}

/// The interface that the plugins before made in the pod, a cable to the host; their result, and the
/// same as a line of a shell.
pub(crate) fn interface(netns: &Netns, path: &Path, number: usize) -> Check<(AddResult, String)> {
    let (end, own, gateway) = (
        format!("cable{number}"),
        format!("10.88.{number}.2/24"),
        format!("10.88.{number}.1"),
    );
    let broken = |it: &dyn std::fmt::Display| Stop::Broken(it.to_string());
    let address = |text: &str| text.parse::<IpNet>().map_err(|it| broken(&it));
    let host = Socket::open()?;
    let inside = Socket::open_in(netns)?;
    let peer = PeerSpec::new("eth0").in_netns(netns);
    let made = host.create_link(&LinkSpec::veth(&end, peer).up())?;
    let link = inside.get_link("eth0")?;
    inside.set_link(link.index, &LinkChange::new().up())?;
    host.add_address(made.index, address(&format!("{gateway}/24"))?)?;
    inside.add_address(link.index, address(&own)?)?;
    let via = address(&format!("{gateway}/32"))?.addr();
    inside.add_route(
        &RouteSpec::to(address("0.0.0.0/0")?)
            .via(via)
            .device(link.index),
    )?;
    let written = |link: &netloom_kernel::rtnl::Link| {
        link.mac.map(|it| Mac(it).to_string()).unwrap_or_default()
    };
    let result = json!({
        "cniVersion": "1.0.0",
        "interfaces": [
            { "name": end, "mac": written(&made) },
            { "name": "eth0", "mac": written(&link), "sandbox": path.to_string_lossy() },
        ],
        "ips": [{ "address": own, "gateway": gateway, "interface": 1 }],
        "routes": [{ "dst": "0.0.0.0/0", "gw": gateway }],
        "dns": { "nameservers": [gateway] },
    });
    let result = AddResult::parse(result.to_string().as_bytes(), Version::V1_0_0)
        .map_err(|error| broken(&error))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let line = format!(
        "ip link add {end} up type veth peer eth0 netns {name}; ip -n {name} link set eth0 up; \
         ip addr add {gateway}/24 dev {end}; ip -n {name} addr add {own} dev eth0; \
         ip -n {name} route add default via {gateway}"
    );
    Ok((result, line))
}
