//! CHECK: the kernel's objects against the result of ADD and the configuration.

use super::plan::{Gateway, Layer, LayerThree, Plan};
use super::vlan::PortVlans;
use crate::wiring::check::{self, mismatch};
use crate::wiring::ends::Ends;
use crate::wiring::owner::Owner;
use crate::wiring::{SetupError, gateway, masquerade, sandbox, spoof};
use ipnet::IpNet;
use netloom_kernel::rtnl::{Link, Socket};
use netloom_plugin::CheckRequest;
use netloom_spec::{AddResult, Error};

/// What the checks look at.
struct Subject<'a> {
    plan: &'a Plan,
    made: &'a AddResult,
    if_name: &'a str,
    netns: &'a str,
    host: Socket,
    inside: Socket,
}

/// Fails with the first difference.
pub(super) fn check(request: &CheckRequest<'_>) -> Result<(), Error> {
    let (plan, _) = Plan::new(request.conf, request.args)?;
    let made = request.prev_result()?;
    let netns = sandbox::open(request.netns)?;
    request.forward_to_ipam()?;
    let subject = Subject {
        plan: &plan,
        made: &made,
        if_name: request.if_name.as_str(),
        netns: request.netns,
        host: Socket::open().map_err(SetupError::kernel("failed to reach the kernel"))?,
        inside: Socket::open_in(&netns).map_err(SetupError::kernel("failed to enter the netns"))?,
    };
    let bridge = subject.bridge()?;
    let (position, container) = subject.container()?;
    let port = subject.port(&bridge, &container)?;
    let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
    if plan.spoof_check {
        spoof::check(owner, &port.name)?;
    }
    if let Layer::Three(layer) = &plan.layer {
        check::addresses(&subject.inside, &container, subject.made, position)?;
        check::routes(&subject.inside, subject.made)?;
        subject.host_side(&bridge, layer, owner)?;
    }
    Ok(())
}

impl Subject<'_> {
    fn bridge(&self) -> Result<Link, SetupError> {
        let name = self.plan.bridge.as_str();
        let missing = || {
            mismatch(format!(
                "CNI created bridge {name} in host namespace was not found"
            ))
        };
        let listed = self
            .made
            .interfaces
            .iter()
            .rfind(|i| i.name == name && i.sandbox.is_empty());
        let listed = listed.ok_or_else(missing)?;
        let found = self
            .host
            .find_link(name)
            .map_err(SetupError::kernel("look up the bridge"))?;
        let link = found.ok_or_else(missing)?;
        if !link.is_bridge() {
            return Err(mismatch(format!(
                "Interface {name} does not have link type of bridge"
            )));
        }
        check::mac(&link, listed)?;
        check::up(&link)?;
        let promiscuous = link.promiscuity != 0;
        if promiscuous != self.plan.promiscuous {
            return Err(mismatch(format!(
                "Bridge interface {name} configured promisc mode {} doesn't match current state: \
                 {promiscuous}",
                self.plan.promiscuous
            )));
        }
        Ok(link)
    }

    fn container(&self) -> Result<(usize, Link), SetupError> {
        let (position, listed) = check::container_interface(self.made, self.if_name, self.netns)?;
        let name = self.if_name;
        let link = check::veth(&self.inside, name)?;
        check::mac(&link, listed)?;
        if self.plan.layer != (Layer::Two { up: false }) {
            check::up(&link)?;
        }
        Ok((position, link))
    }

    /// The host's end. The MTU is looked at here only: a later plugin of the chain may have
    /// changed that of the container's end.
    fn port(&self, bridge: &Link, container: &Link) -> Result<Link, SetupError> {
        let lost = |why: &str| {
            let bridge = &self.plan.bridge;
            mismatch(format!(
                "CNI veth created for bridge {bridge} was not found: {why}"
            ))
        };
        let listed = Ends::of(self.made, self.if_name).host;
        let listed = listed.ok_or_else(|| lost("prevResult lists no host end"))?;
        let found = self
            .host
            .find_link(&listed.name)
            .map_err(SetupError::kernel("look up the veth"))?;
        let port = found.ok_or_else(|| lost(&format!("no link {}", listed.name)))?;
        if !port.is_veth() || port.lower != Some(container.index) {
            return Err(lost(&format!(
                "{} is not the peer of {}",
                port.name, container.name
            )));
        }
        if port.master != Some(bridge.index) {
            return Err(lost(&format!("{} is not a port of it", port.name)));
        }
        check::mac(&port, listed)?;
        check::mtu(&port, listed)?;
        check::up(&port)?;
        self.port_flags(&port)?;
        if let Some(vlans) = &self.plan.vlans.port {
            self.port_vlans(&port, vlans)?;
        }
        Ok(port)
    }

    fn port_flags(&self, port: &Link) -> Result<(), SetupError> {
        let flags = port.bridge_port.unwrap_or_default();
        for (what, actual, wanted) in [
            ("hairpin mode", flags.hairpin, self.plan.hairpin),
            ("port isolation", flags.isolated, self.plan.isolated),
        ] {
            if actual != wanted {
                let name = &port.name;
                return Err(mismatch(format!(
                    "Interface {name} has {what} {actual}, not {wanted}"
                )));
            }
        }
        Ok(())
    }

    fn port_vlans(&self, port: &Link, vlans: &PortVlans) -> Result<(), SetupError> {
        let present = self
            .host
            .list_bridge_vlans(port.index)
            .map_err(SetupError::kernel(format!(
                "list the VLANs of {:?}",
                port.name
            )))?;
        let has = |vlan: u16, native: bool| {
            present.iter().any(|found| {
                (found.first..=found.last).contains(&vlan)
                    && (found.flags.pvid, found.flags.untagged) == (native, native)
            })
        };
        let lost = |vlan: u16, how: &str| {
            mismatch(format!(
                "Interface {} is not in VLAN {vlan} {how}",
                port.name
            ))
        };
        if let Some(native) = vlans.native.filter(|native| !has(*native, true)) {
            return Err(lost(native, "untagged"));
        }
        let tagged = vlans
            .tagged
            .iter()
            .filter(|vlan| vlans.native != Some(**vlan));
        match tagged.copied().find(|vlan| !has(*vlan, false)) {
            Some(vlan) => Err(lost(vlan, "tagged")),
            None => Ok(()),
        }
    }

    /// The gateway's addresses, and the masquerade.
    fn host_side(
        &self,
        bridge: &Link,
        layer: &LayerThree,
        owner: Owner<'_>,
    ) -> Result<(), SetupError> {
        let own: Vec<_> = Ends::of(self.made, self.if_name)
            .ips(self.made)
            .cloned()
            .collect();
        if let Some(Gateway { .. }) = layer.gateway {
            let name = self.plan.gateway_interface();
            let link = match self.plan.vlans.access {
                None => bridge.clone(),
                Some(_) => {
                    let found = self
                        .host
                        .find_link(&name)
                        .map_err(SetupError::kernel("look up the gateway"))?;
                    found.ok_or_else(|| mismatch(format!("Gateway interface {name} not found")))?
                }
            };
            let present = self
                .host
                .list_addresses(link.index)
                .map_err(SetupError::kernel(format!(
                    "list the addresses of {name:?}"
                )))?;
            for wanted in gateway::host_addresses(&own) {
                if !present
                    .iter()
                    .any(|found| found.address.addr() == wanted.addr())
                {
                    return Err(mismatch(format!(
                        "Failed to find Gateway {} on interface {name}",
                        wanted.addr()
                    )));
                }
            }
        }
        match layer.masquerade {
            Some(choice) => {
                let nets: Vec<IpNet> = own.iter().map(|ip| ip.address).collect();
                masquerade::check(owner, choice, &nets)
            }
            None => Ok(()),
        }
    }
}
