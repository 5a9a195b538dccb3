//! The ptp plugin: joins a pod to the host by a veth of its own, routed instead of bridged.
//!
//! | object | owner |
//! |---|---|
//! | the veth, the gateway's address on the host's end, the host's route to the pod | the attachment |
//! | addresses and routes in the pod | the attachment, go with the veth |
//! | the pod's entries in the masquerade table, or its iptables chain | the attachment |
//! | `ip_forward`, `ipv6.conf.all.forwarding` | the host, stays |
//!
//! In the pod, only the gateway is reached on the link directly. All else, the rest of the subnet
//! included, is reached through the gateway.

mod add;
mod check;
mod plan;

use crate::wiring::detach::detach;
use crate::wiring::foretell;
use crate::wiring::router_advertisements::RouterAdvertisements;
use crate::wiring::{masquerade, record};
use ipnet::IpNet;
use netloom_plugin::forecast::Forecast;
use netloom_plugin::host::{ClaimedAddress, HostLink};
use netloom_plugin::{AddRequest, CheckRequest, DelRequest, Needs, StatusRequest};
use netloom_plugin::{Owned, Plugin, Undo};
use netloom_spec::{AddResult, Error, NetworkName, PluginConf};

/// Position of the container's interface in the result.
const CONTAINER: usize = 1;

/// The plugin `ptp`.
#[derive(Debug, Clone, Copy)]
pub struct Ptp;

impl Plugin for Ptp {
    fn name(&self) -> &'static str {
        "ptp"
    }

    fn validate(&self, conf: &PluginConf) -> Result<Needs, Error> {
        // Both decode the configuration, and `lint` notes the keys of each, so both run whatever the
        // first one says. The error of the plan comes first, as in ADD.
        let advertisements = RouterAdvertisements::validate(conf);
        plan::Plan::new(conf)?;
        advertisements?;
        Ok(Needs::ADDRESSES)
    }

    fn add<'r>(
        &self,
        request: &'r AddRequest<'r>,
        undo: &mut Undo<'r>,
    ) -> Result<AddResult, Error> {
        add::add(request, undo)
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        check::check(request)
    }

    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        detach(request)
    }

    fn owned(&self) -> &'static [Owned] {
        const OWNED: [Owned; 3] = {
            let [nftables, iptables] = masquerade::OWNED;
            [nftables, iptables, record::OWNED]
        };
        &OWNED
    }

    fn claims(
        &self,
        conf: &PluginConf,
        network: &NetworkName,
    ) -> Result<Vec<ClaimedAddress>, Error> {
        masquerade::claims(conf, network)
    }

    fn host_link(&self, _: &PluginConf) -> Option<HostLink> {
        Some(HostLink::PerPod("veth"))
    }

    fn is_gateway(&self, _: &PluginConf) -> bool {
        true
    }

    fn status(&self, request: &StatusRequest<'_>) -> Result<(), Error> {
        plan::Plan::new(request.conf)?;
        request.forward_to_ipam()
    }

    fn describe(&self, forecast: &mut Forecast<'_>) -> Result<(), Error> {
        let plan = plan::Plan::new(&forecast.conf)?;
        foretell::cable(forecast);
        forecast.makes_inside("link", forecast.if_name);
        for ip in forecast.result.ips.clone() {
            let subnet = ip.address.trunc();
            if let Some(gateway) = ip.gateway {
                forecast.makes("address", format!("{} on veth*", IpNet::from(gateway)));
                forecast.route_inside(gateway.into(), None);
                forecast.route_inside(subnet, Some(gateway));
            }
            forecast.makes(
                "route",
                format!("{} dev veth*", IpNet::from(ip.address.addr())),
            );
        }
        forecast.layer_three();
        foretell::forwarding(forecast);
        if let Some(choice) = plan.masquerade {
            foretell::masquerade(forecast, choice);
        }
        Ok(())
    }

    plan_door!(|conf, _| plan::Plan::new(conf));
}
