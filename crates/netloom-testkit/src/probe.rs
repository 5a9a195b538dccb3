//! What the kernel and the machine can do. Call these inside a [`Host`](crate::Host).

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Whether links of this kind can be made, found out by making one, in a namespace that ends with it:
/// tests that run at once must not meet there.
///
/// `kind` may carry options, for instance `"bridge vlan_filtering 1"`. Kinds that need a lower
/// link (vlan, macvlan, ipvlan) get a veth, and one that needs a table (vrf) gets one.
#[must_use]
pub fn has_link_kind(kind: &str) -> bool {
    let bare = kind.split(' ').next().unwrap_or(kind);
    let lower = "ip link add probe1 type veth peer name probe2";
    let make = match bare {
        // Not made over netlink.
        "tun" => "ip tuntap add mode tap name probe0".to_owned(),
        "vlan" => format!("{lower} && ip link add probe0 link probe1 type {kind} id 7"),
        "macvlan" | "ipvlan" | "macvtap" | "ipvtap" => {
            format!("{lower} && ip link add probe0 link probe1 type {kind}")
        }
        "vrf" => format!("ip link add probe0 type {kind} table 7"),
        _ => format!("ip link add probe0 type {kind}"),
    };
    runs(&format!("unshare -n sh -c '{make}'"))
}

/// Whether bridges can filter VLANs.
#[must_use]
pub fn has_vlan_filtering() -> bool {
    has_link_kind("bridge vlan_filtering 1")
}

/// Whether a program of this name is in `$PATH`.
#[must_use]
pub fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
}

/// Whether nf_tables of this family (`ip`, `inet`, `bridge` …) work.
#[must_use]
pub fn has_nft_family(family: &str) -> bool {
    let made = runs(&format!("nft add table {family} probe"));
    let _ = runs(&format!("nft delete table {family} probe"));
    made
}

/// Whether `iptables` (whichever variant the machine's is) can list its nat table.
#[must_use]
pub fn has_iptables() -> bool {
    runs("iptables -w -t nat -S POSTROUTING")
}

/// Whether the kernel has IPv6.
#[must_use]
pub fn has_ipv6() -> bool {
    Path::new("/proc/sys/net/ipv6").is_dir()
}

fn runs(line: &str) -> bool {
    quietly(line).is_some_and(|output| output.status.success())
}

fn quietly(line: &str) -> Option<Output> {
    Command::new("/bin/sh")
        .args(["-c", line])
        .stdin(Stdio::null())
        .output()
        .ok()
}
