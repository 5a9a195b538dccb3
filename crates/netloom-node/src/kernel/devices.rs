//! This host's tunnel ends, as flannel makes and names them.

use std::net::IpAddr;

use anyhow::{Result, bail};
use ipnet::IpNet;
use netloom_cluster::peers::Tunnels;
use netloom_kernel::rtnl::{
    AddressSpec, KindSpec, Link, LinkChange, LinkKind, LinkSpec, Scope, Socket, VxlanOptions,
};
use netloom_spec::Mac;

use super::Desired;
use crate::uplink::Uplink;

/// What the headers of a tunnel take from each packet: Ethernet, VXLAN, UDP and IP.
const OVERHEAD_V4: u32 = 50;
const OVERHEAD_V6: u32 = 70;

/// flannel's names.
pub(crate) fn tunnel_name(v4: bool, vni: u32) -> String {
    if v4 {
        format!("flannel.{vni}")
    } else {
        format!("flannel-v6.{vni}")
    }
}

/// The hardware address of a tunnel end that is there: one of flannel's, or of ours of before.
pub(crate) fn existing_mac(socket: &Socket, v4: bool, vni: u32) -> Option<Mac> {
    let link = socket.find_link(&tunnel_name(v4, vni)).ok()??;
    let is_ours = matches!(link.kind, Some(LinkKind::Vxlan(options)) if options.vni == vni);
    link.mac.filter(|_| is_ours).map(Mac)
}

/// The tunnel ends, and the MTU that pods can have.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) tunnels: Tunnels,
    pub(super) names: Vec<(String, u32)>,
    pub(super) mtu: u32,
    pub(super) changes: usize,
}

/// Makes and mends the tunnel ends that the network needs here.
pub(super) fn ensure(socket: &Socket, uplink: &Uplink, desired: &Desired) -> Result<Made> {
    let backend = &desired.config.backend;
    let outer = backend.mtu.unwrap_or(uplink.mtu);
    let mut made = Made {
        mtu: outer,
        ..Made::default()
    };
    if !backend.mode.tunnels() {
        return Ok(made);
    }
    for (v4, mac) in [(true, desired.macs[0]), (false, desired.macs[1])] {
        let subnet = match v4 {
            true => desired.subnets.v4.map(IpNet::V4),
            false => desired.subnets.v6.map(IpNet::V6),
        };
        let (Some(subnet), Some(local)) = (subnet, uplink.local(v4)) else {
            continue;
        };
        let mtu = outer.saturating_sub(if v4 { OVERHEAD_V4 } else { OVERHEAD_V6 });
        let end = End {
            name: tunnel_name(v4, backend.vni),
            mac,
            mtu,
            base: subnet.addr(),
            options: VxlanOptions {
                vni: backend.vni,
                local: Some(local),
                remote: None,
                device: Some(uplink.index),
                port: Some(backend.port),
                learning: Some(false),
            },
        };
        let link = end.ensure(socket, &mut made.changes)?;
        match v4 {
            true => made.tunnels.v4 = Some(link.index),
            false => made.tunnels.v6 = Some(link.index),
        }
        made.mtu = made.mtu.min(mtu);
        made.names.push((end.name, link.index));
    }
    Ok(made)
}

/// A tunnel end as it is to be.
struct End {
    name: String,
    mac: Mac,
    mtu: u32,
    /// Its only address, a source for the host itself.
    base: IpAddr,
    options: VxlanOptions,
}

impl End {
    fn ensure(&self, socket: &Socket, changes: &mut usize) -> Result<Link> {
        let link = match socket.find_link(&self.name)? {
            Some(link) if self.is_kept(&link)? => link,
            Some(link) => {
                socket.remove_link(link.index)?;
                *changes += 1;
                self.create(socket, changes)?
            }
            None => self.create(socket, changes)?,
        };
        self.mend(socket, &link, changes)?;
        self.address(socket, &link, changes)?;
        Ok(link)
    }

    /// Whether what has the name can be changed into what it is to be.
    fn is_kept(&self, link: &Link) -> Result<bool> {
        let Some(LinkKind::Vxlan(options)) = &link.kind else {
            bail!(
                "link {} is no vxlan: it is somebody else's, and in the way of the tunnel",
                self.name
            );
        };
        Ok(*options == self.options)
    }

    fn create(&self, socket: &Socket, changes: &mut usize) -> Result<Link> {
        let spec = LinkSpec::new(&self.name, KindSpec::Vxlan(self.options)).mac(self.mac.0);
        *changes += 1;
        Ok(socket.create_link(&spec.mtu(self.mtu).up())?)
    }

    /// systemd and NetworkManager like to change the hardware address of what is new.
    fn mend(&self, socket: &Socket, link: &Link, changes: &mut usize) -> Result<()> {
        let mut change = LinkChange::new();
        let right = (
            link.mac == Some(self.mac.0),
            link.mtu == self.mtu,
            link.flags.is_up(),
        );
        if right == (true, true, true) {
            return Ok(());
        }
        if !right.0 {
            change = change.mac(self.mac.0);
        }
        if !right.1 {
            change = change.mtu(self.mtu);
        }
        if !right.2 {
            change = change.up();
        }
        *changes += 1;
        Ok(socket.set_link(link.index, &change)?)
    }

    fn address(&self, socket: &Socket, link: &Link, changes: &mut usize) -> Result<()> {
        let wanted = IpNet::from(self.base);
        let mut there = false;
        for address in socket.list_addresses(link.index)? {
            if address.address == wanted {
                there = true;
            } else if address.scope == Scope::Universe {
                *changes += 1;
                socket.remove_address(link.index, address.address)?;
            }
        }
        if !there {
            *changes += 1;
            socket.add_address(link.index, AddressSpec::new(wanted).no_dad())?;
        }
        Ok(())
    }
}
