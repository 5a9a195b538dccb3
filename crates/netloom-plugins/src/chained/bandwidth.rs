//! The bandwidth plugin: limits how fast a pod receives and sends.
//!
//! | object | owner |
//! |---|---|
//! | a token bucket at the root of the host's end of the pod's veth: what the pod receives | the attachment, goes with the veth |
//! | an ifb `bwp…` with a token bucket: what the pod sends | the attachment |
//! | ingress discipline and filter of the host's end, which send to the ifb what comes from the pod | the attachment, go with the veth |
//!
//! Names, handles and numbers are upstream's. An ifb's alias says whose it is, so that GC knows.
//! With subnets there is an htb instead of each token bucket, as upstream had it in its 1.5.0.

mod add;
mod check;
mod config;
mod del;
mod host_end;
mod ifb;
mod plan;
mod shape;

use crate::wiring::link_kind::require_links_of;
use config::Entry;
use netloom_plugin::forecast::Forecast;
use netloom_plugin::{AddRequest, CheckRequest, DelRequest, Needs, StatusRequest};
use netloom_plugin::{Owned, Plugin, Undo};
use netloom_spec::{AddResult, Error, PluginConf, Version};
use plan::Plan;

/// The plugin `bandwidth`.
#[derive(Debug, Clone, Copy)]
pub struct Bandwidth;

impl Plugin for Bandwidth {
    fn name(&self) -> &'static str {
        "bandwidth"
    }

    /// Earlier results list no interfaces.
    fn versions(&self) -> &'static [Version] {
        const SINCE: &[Version] = &[
            Version::V0_3_0,
            Version::V0_3_1,
            Version::V0_4_0,
            Version::V1_0_0,
            Version::V1_1_0,
        ];
        SINCE
    }

    fn validate(&self, conf: &PluginConf) -> Result<Needs, Error> {
        Plan::new(conf)?;
        Ok(Needs::PREV_RESULT)
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
        del::del(request)
    }

    fn owned(&self) -> &'static [Owned] {
        &[ifb::OWNED]
    }

    /// The runtime may limit what pods send, where the configuration does not.
    fn link_kind(&self, conf: &PluginConf) -> Result<Option<&'static str>, Error> {
        let offered = conf.capabilities().get("bandwidth") == Some(&true);
        let may_need = offered && !Entry::limits_by_itself(conf)?;
        Ok(may_need.then_some("ifb"))
    }

    fn status(&self, request: &StatusRequest<'_>) -> Result<(), Error> {
        match Plan::new(request.conf)?.egress {
            Some(_) => require_links_of("ifb"),
            None => Ok(()),
        }
    }

    fn describe(&self, forecast: &mut Forecast<'_>) -> Result<(), Error> {
        let plan = Plan::new(&forecast.conf)?;
        let ends = forecast.host_ends.clone();
        if plan.egress.is_some() {
            forecast.makes("link", "bwp*");
            forecast.makes("tc", "* of bwp*");
        }
        if plan.ingress.is_some() || plan.egress.is_some() {
            ends.iter()
                .for_each(|end| forecast.makes("tc", format!("* of {end}")));
        }
        Ok(())
    }

    plan_door!(|conf, _| Plan::new(conf));
}
