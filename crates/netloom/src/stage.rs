//! The stage of the demo and of trials: a host that exists only for this process, and a world outside it.

use std::path::Path;

use anyhow::{Context, Result};
use ipnet::IpNet;
use netloom_kernel::netns::{self, Netns};
use netloom_kernel::nft;
use netloom_kernel::rtnl::{LinkChange, LinkSpec, PeerSpec, Scope, Socket};
use netloom_kernel::unshare::{self, Isolation};

/// Everything that is written is below this tmpfs, which ends with the process.
pub(crate) const RUN: &str = "/run";

/// Leaves for namespaces of our own. The user namespace makes it work without root; where the
/// kernel refuses them, root does without.
pub(crate) fn enter() -> Result<&'static str> {
    // A mount namespace without a process comes apart, and the path of this program with it: it is
    // kept to the end of the process.
    std::mem::forget(std::fs::File::open("/proc/self/ns/mnt"));
    let own = |user| {
        unshare::host(Isolation {
            user,
            mounts: true,
            uts: true,
        })
    };
    let kind = match own(true) {
        Ok(()) => "own user, network, mount and UTS namespaces",
        Err(_) if !unshare::needs_user_namespace() => {
            own(false)?;
            "own network, mount and UTS namespaces"
        }
        Err(error) => {
            return Err(error).context(
                "a throw-away host needs root, or a kernel that allows unprivileged user namespaces \
                 (sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)",
            );
        }
    };
    unshare::mount_tmpfs(RUN)?;
    Socket::open()?.set_link("lo", &LinkChange::new().up())?;
    Ok(kind)
}

/// A namespace that plays the internet: it is linked to the host, and knows no way to the pods.
pub(crate) fn outside(host_address: IpNet, outside_address: IpNet) -> Result<Netns> {
    let world = netns::create_at(Path::new(RUN).join("netns/outside"))?;
    let host = Socket::open()?;
    let uplink = LinkSpec::veth("up0", PeerSpec::new("out0").in_netns(&world)).up();
    let uplink = host.create_link(&uplink)?;
    host.add_address(uplink.index, host_address)?;

    let beyond = Socket::open_in(&world)?;
    let peer = beyond.get_link("out0")?;
    beyond.set_link(peer.index, &LinkChange::new().up())?;
    beyond.add_address(peer.index, outside_address)?;
    Ok(world)
}

/// What exists in the host, a line each: links, addresses, masqueraded pods, and files of the
/// runtime and of IPAM. What all pods share and no DEL may take away is left out: the bridge,
/// locks, base chains.
pub(super) fn inventory(shared_link: &str, state: &Path) -> Result<Vec<String>> {
    let socket = Socket::open()?;
    let mut lines = Vec::new();
    for link in socket.list_links()? {
        if link.name == shared_link {
            continue;
        }
        for address in socket.list_addresses(link.index)? {
            // The kernel adds link-local addresses when it sees fit.
            if address.scope != Scope::Link {
                lines.push(format!("address {} on {}", address.address, link.name));
            }
        }
        lines.push(format!("link {}", link.name));
    }
    masqueraded(&mut lines)?;
    files(state, &mut lines)?;
    lines.sort();
    Ok(lines)
}

fn masqueraded(lines: &mut Vec<String>) -> Result<()> {
    let table = nft::Table::new(nft::Family::Inet, "cni_plugins_masquerade");
    let firewall = nft::Socket::open()?;
    if firewall.get_table(&table)?.is_none() {
        return Ok(());
    }
    for set in firewall.list_sets(&table)? {
        for pod in firewall.list_elements(&table, &set.name)? {
            lines.push(format!("masquerade {}", pod.comment.unwrap_or_default()));
        }
    }
    Ok(())
}

fn files(dir: &Path, lines: &mut Vec<String>) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // Kept on purpose: locks, the memory of the last address, and netloom's own index.
        let kept = name.ends_with("lock")
            || name.starts_with("last_reserved_ip.")
            || name.starts_with('.');
        if entry.file_type()?.is_dir() && !name.starts_with('.') {
            files(&entry.path(), lines)?;
        } else if !kept {
            lines.push(format!("file {}", entry.path().display()));
        }
    }
    Ok(())
}
