//! The bridge plugin: joins pods to a bridge on the host by a veth each.
//!
//! | object | owner |
//! |---|---|
//! | the bridge, its gateway addresses, `<bridge>.<vlan>` | shared by all pods, stays |
//! | `ip_forward`, `ipv6.conf.all.forwarding` | the host, stays |
//! | the veth and its place in VLANs | the attachment |
//! | addresses and routes in the pod | the attachment, go with the veth |
//! | the pod's entries in the masquerade table, or its iptables chain | the attachment |
//! | the spoof check's chains and rule | the attachment |
//!
//! Tables, base chains and maps of the packet filters are shared and stay.

mod add;
mod check;
mod config;
mod describe;
mod device;
mod plan;
mod port;
mod vlan;

use crate::wiring::detach::detach;
use crate::wiring::link_kind::{require_links_of, require_vlan_filtering};
use crate::wiring::router_advertisements::RouterAdvertisements;
use crate::wiring::{masquerade, record, spoof};
use netloom_plugin::forecast::Forecast;
use netloom_plugin::host::{ClaimedAddress, HostLink};
use netloom_plugin::{AddRequest, CheckRequest, DelRequest, Needs, StatusRequest};
use netloom_plugin::{Owned, Plugin, Undo};
use netloom_spec::{AddResult, Error, NetworkName, PluginConf};

/// The plugin `bridge`.
#[derive(Debug, Clone, Copy)]
pub struct Bridge;

impl Plugin for Bridge {
    fn name(&self) -> &'static str {
        "bridge"
    }

    fn validate(&self, conf: &PluginConf) -> Result<Needs, Error> {
        // Both decode the configuration, and `lint` notes the keys of each, so both run whatever the
        // first one says. The error of the plan comes first, as in ADD.
        let advertisements = RouterAdvertisements::validate(conf);
        plan::Plan::new(conf, "")?;
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

    /// Veths are not among them: a veth goes with the pod's namespace.
    fn owned(&self) -> &'static [Owned] {
        const OWNED: [Owned; 4] = {
            let [nftables, iptables] = masquerade::OWNED;
            [nftables, iptables, spoof::OWNED, record::OWNED]
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

    fn host_link(&self, conf: &PluginConf) -> Option<HostLink> {
        Some(HostLink::Bridge(config::bridge_name(conf).to_owned()))
    }

    fn is_gateway(&self, conf: &PluginConf) -> bool {
        let on = |key| conf.get(key) == Some(&true.into());
        on("isGateway") || on("isDefaultGateway")
    }

    fn status(&self, request: &StatusRequest<'_>) -> Result<(), Error> {
        let (plan, _) = plan::Plan::new(request.conf, "")?;
        require_links_of("bridge")?;
        if plan.vlans.port.is_some() {
            require_vlan_filtering()?;
        }
        request.forward_to_ipam()
    }

    fn describe(&self, forecast: &mut Forecast<'_>) -> Result<(), Error> {
        describe::describe(forecast)
    }

    plan_door!(plan::Plan::new);
}
