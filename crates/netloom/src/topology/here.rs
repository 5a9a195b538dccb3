//! What of a topology is on this host, and how it is made there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context, Result, bail, ensure};
use netloom_kernel::rtnl::Socket;
use netloom_links::{End, Interface, Link, LinkId, Outside, Place, Side, Vxlan};
use sha2::{Digest, Sha256};

use super::model::{NodeKind, TopoEnd, TopoLink, TopoOther, Topology};
use crate::links::at::At;

/// Network identifiers that are computed begin here: people give small ones.
const FIRST_VNI: u32 = 4096;

/// One link, as this host has it.
#[derive(Debug)]
pub(super) struct HereLink {
    pub(super) name: String,
    at: At,
    interface: Interface,
    other: HereOther,
}

#[derive(Debug)]
enum HereOther {
    End(At, Interface),
    Outside(Outside),
}

/// What of a topology is here.
#[derive(Debug)]
pub(super) struct Here {
    pub(super) links: Vec<HereLink>,
    /// Namespaces that the topology makes: the node, and the name in `/run/netns`.
    pub(super) own: BTreeMap<String, String>,
}

impl Here {
    pub(super) fn of(topology: &Topology, host: Option<&str>) -> Result<Self> {
        let here = this_host(topology, host)?;
        let vnis = vnis(topology)?;
        let mut links = Vec::new();
        let mut nodes = BTreeSet::new();
        for link in &topology.links {
            let placed = placed(topology, link, here, &vnis)?;
            if let Some(link) = placed {
                links.push(link);
            }
        }
        for link in &topology.links {
            for end in link.ends() {
                if host_of(topology, link, end)? == here {
                    nodes.insert(&end.node);
                }
            }
        }
        for (name, node) in &topology.nodes {
            if node.host.as_deref() == here {
                nodes.insert(name);
            }
        }
        let own = nodes
            .into_iter()
            .filter_map(|name| match &topology.nodes.get(name)?.kind {
                NodeKind::Own(namespace) => Some((name.clone(), namespace.clone())),
                _ => None,
            });
        let own = own.collect();
        Ok(Self { links, own })
    }

    /// Every place that has anything of it.
    pub(super) fn places(&self) -> BTreeSet<At> {
        let mut places: BTreeSet<At> = self.own.values().cloned().map(At::Ns).collect();
        places.insert(At::Host);
        for link in &self.links {
            places.insert(link.at.clone());
            if let HereOther::End(at, _) = &link.other {
                places.insert(at.clone());
            }
        }
        places
    }
}

impl HereLink {
    /// The link in places that are open; `None` if one of them is not.
    pub(super) fn open<'p>(
        &self,
        topology: &str,
        places: &'p BTreeMap<At, Place>,
    ) -> Option<Link<'p>> {
        let id = LinkId::new(topology, self.name.clone());
        let end = |at: &At, interface: &Interface| {
            let interface = interface.clone();
            Some(End {
                place: places.get(at)?,
                interface,
            })
        };
        let near = end(&self.at, &self.interface)?;
        Some(match &self.other {
            HereOther::End(at, interface) => Link::cable(id, near, end(at, interface)?),
            HereOther::Outside(by) => Link::outside(id, near, places.get(&At::Host)?, by.clone()),
        })
    }
}

/// Which of the hosts this is; `None` where the file has none.
fn this_host<'t>(topology: &'t Topology, asked: Option<&str>) -> Result<Option<&'t str>> {
    let hosts = &topology.hosts;
    if let Some(asked) = asked {
        let found = hosts.keys().find(|name| *name == asked);
        let found =
            found.with_context(|| format!("--host {asked}: the file has no host of that name"))?;
        return Ok(Some(found));
    }
    if hosts.is_empty() {
        return Ok(None);
    }
    let own = Socket::open()?.list_all_addresses()?;
    let is_own = |underlay| own.iter().any(|it| it.address.addr() == underlay);
    let mut found = hosts.iter().filter(|(_, host)| is_own(host.underlay));
    match (found.next(), found.next()) {
        (Some((name, _)), None) => Ok(Some(name)),
        (None, _) => bail!(
            "no host of the file has an underlay address of this machine; say with --host which it is \
             ({})",
            hosts.keys().cloned().collect::<Vec<_>>().join(", ")
        ),
        (Some((one, _)), Some((two, _))) => {
            bail!("this machine has the underlay addresses of {one} and of {two}; say --host")
        }
    }
}

/// Which host an end is on.
fn host_of<'t>(
    topology: &'t Topology,
    link: &'t TopoLink,
    end: &'t TopoEnd,
) -> Result<Option<&'t str>> {
    let of_node = |end: &'t TopoEnd| {
        let node = topology
            .nodes
            .get(&end.node)
            .and_then(|node| node.host.as_deref());
        end.host.as_deref().or(node)
    };
    if topology.hosts.is_empty() {
        return Ok(None);
    }
    let own = of_node(end);
    // `host` is the host of whatever it is linked to.
    let own = own.or_else(|| {
        let partner = link.ends().find(|other| other.node != end.node);
        partner.filter(|_| end.node == "host").and_then(of_node)
    });
    match own {
        Some(host) => Ok(Some(host)),
        None => Err(link.node.fault(format!(
            "nothing says on which host {} is; give the node, or the link, a host",
            end.node
        )))
        .with_context(|| topology.path.display().to_string()),
    }
}

/// A link as this host has it: whole, one end of a tunnel, or not at all.
fn placed(
    topology: &Topology,
    link: &TopoLink,
    here: Option<&str>,
    vnis: &HashMap<&str, u32>,
) -> Result<Option<HereLink>> {
    let at = |end: &TopoEnd| match topology.nodes.get(&end.node) {
        Some(node) => node.kind.at(),
        None => At::Host,
    };
    let made = |end: &TopoEnd, interface: Interface, other: HereOther| HereLink {
        name: link.name.clone(),
        at: at(end),
        interface,
        other,
    };
    let near_host = host_of(topology, link, &link.near)?;
    let whole = |other| made(&link.near, link.near.interface.clone(), other);
    let far = match &link.other {
        TopoOther::Outside(by) => {
            let other = HereOther::Outside(by.clone());
            return Ok((near_host == here).then(|| whole(other)));
        }
        TopoOther::End(far) => far,
    };
    let far_host = host_of(topology, link, far)?;
    if near_host == far_host {
        let other = HereOther::End(at(far), far.interface.clone());
        return Ok((near_host == here).then(|| whole(other)));
    }
    let id = LinkId::new(&*topology.name, &*link.name);
    // Each side has its own address, whichever host computes it.
    let (end, other_host, mac) = if near_host == here {
        (&link.near, far_host, id.mac(Side::A))
    } else if far_host == here {
        (far, near_host, id.mac(Side::B))
    } else {
        return Ok(None);
    };
    let (Some(here), Some(there)) = (here, other_host) else {
        return Ok(None);
    };
    let mut interface = end.interface.clone();
    interface.mac = interface.mac.or(Some(mac));
    let tunnel = tunnel(topology, link, here, there, vnis[link.name.as_str()]);
    interface.mtu = interface
        .mtu
        .or_else(|| mtu(topology, here, there, &tunnel));
    let other = HereOther::Outside(Outside::Vxlan(tunnel));
    Ok(Some(made(end, interface, other)))
}

fn tunnel(topology: &Topology, link: &TopoLink, here: &str, there: &str, vni: u32) -> Vxlan {
    let mut vxlan = Vxlan::to(topology.hosts[there].underlay, vni);
    vxlan.local = Some(topology.hosts[here].underlay);
    vxlan.port = link.port.unwrap_or(Vxlan::PORT);
    vxlan
}

/// The MTU that both sides compute alike, if the file says that of a host's network.
fn mtu(topology: &Topology, here: &str, there: &str, tunnel: &Vxlan) -> Option<u32> {
    let of = |host: &str| topology.hosts[host].mtu;
    let smallest = of(here).into_iter().chain(of(there)).min()?;
    Some(smallest - tunnel.overhead())
}

/// The network identifier of each link between two hosts, which is the same wherever it is computed.
fn vnis(topology: &Topology) -> Result<HashMap<&str, u32>> {
    let mut vnis = HashMap::new();
    let mut taken: HashMap<u32, &str> = HashMap::new();
    for link in &topology.links {
        let TopoOther::End(far) = &link.other else {
            continue;
        };
        if host_of(topology, link, &link.near)? == host_of(topology, link, far)? {
            continue;
        }
        let vni = link
            .vni
            .unwrap_or_else(|| computed_vni(&topology.name, &link.name));
        let other = taken.insert(vni, &link.name);
        ensure!(
            other.is_none(),
            "{}:{}",
            topology.path.display(),
            link.node.fault(format!(
                "links \"{}\" and \"{}\" have the vni {vni}; give one of them another by \"vni\"",
                other.unwrap_or_default(),
                link.name
            ))
        );
        vnis.insert(link.name.as_str(), vni);
    }
    Ok(vnis)
}

fn computed_vni(topology: &str, link: &str) -> u32 {
    let mut sha = Sha256::new();
    for part in ["vni", topology, link] {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part);
    }
    let digest = sha.finalize();
    let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    FIRST_VNI + number % (0x100_0000 - FIRST_VNI)
}
