//! The ptp plugin: joins a pod to the host by a veth of its own, routed instead of bridged.
//!
//! | object | owner |
//! |---|---|
//! | the veth, the gateway's address on the host's end, the host's route to the pod | the attachment |
//! | addresses and routes in the pod | the attachment, go with the veth |
//! | the pod's entries in the masquerade table, or its iptables chain | the attachment |
//! | `ip_forward`, `ipv6.conf.all.forwarding` | the host, stays |
//!
//! In the pod only the gateway is on the link; even the rest of the subnet is reached through it.

mod add;
mod check;
mod plan;

use crate::wiring::detach::{Remains, detach};
use crate::wiring::router_advertisements::RouterAdvertisements;
use crate::wiring::{masquerade, record};
use netloom_plugin::{AddRequest, CheckRequest, DelRequest, GcRequest, Needs, StatusRequest};
use netloom_plugin::{Cleanup, Plugin, Undo};
use netloom_spec::{AddResult, Error, PluginConf};

/// Position of the container's interface in the result.
const CONTAINER: usize = 1;

/// The plugin `ptp`.
#[derive(Debug, Clone, Copy)]
pub struct Ptp;

impl Plugin for Ptp {
    fn name(&self) -> &'static str {
        "ptp"
    }

    fn release(&self) -> &'static str {
        crate::REFERENCE
    }

    fn validate(&self, conf: &PluginConf) -> Result<Needs, Error> {
        let advertisements = RouterAdvertisements::read(conf);
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
        let remains = Remains {
            spoof_check: false,
            ..Remains::read(request.conf)
        };
        detach(request, remains)
    }

    fn gc(&self, request: &GcRequest<'_>) -> Result<(), Error> {
        let mut cleanup = Cleanup::new();
        cleanup.step("collect stale addresses", request.forward_to_ipam());
        if let Some(valid) = &request.valid {
            let network = request.network().as_str();
            let collected = masquerade::collect(network, valid);
            cleanup.step("collect stale masquerade", collected);
            cleanup.step("forget stale attachments", record::collect(network, valid));
        }
        cleanup.finish()
    }

    fn status(&self, request: &StatusRequest<'_>) -> Result<(), Error> {
        plan::Plan::new(request.conf)?;
        request.forward_to_ipam()
    }
}

plan_door!(|conf, _| plan::Plan::new(conf));
