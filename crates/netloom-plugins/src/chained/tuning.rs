//! The tuning plugin: changes sysctls of a pod, and MAC address, MTU, flags and queue of its
//! interface, which an earlier plugin of the chain made.
//!
//! | object | owner |
//! |---|---|
//! | sysctls in the pod | the pod; they stay after DEL, as they may be another network's too |
//! | the interface's attributes | the attachment; DEL gives back what they were |
//! | `<dataDir>/<containerID>_<ifname>.json`: what they were | the attachment, gone after DEL |
//!
//! The file is upstream's, so that the DEL of either implementation restores what the other
//! changed. An additional key, which upstream ignores, says which link of which network it is of.
//!
//! Upstream's name of the file is the same for container `a_b` with interface `c` and for container `a`
//! with interface `b_c`. Where the other one has the name, the file is called `_<hash>.json`.

mod add;
pub(crate) mod allowlist;
mod attributes;
pub(crate) mod backup;
mod check;
mod config;
mod del;
mod host_end;
mod key;
mod plan;

use allowlist::Allowlist;
use netloom_plugin::forecast::{Effect, Forecast, Spot};
use netloom_plugin::{AddRequest, CheckRequest, DelRequest, Needs, StatusRequest};
use netloom_plugin::{Owned, Plugin, Undo};
use netloom_spec::{AddResult, Error, PluginConf, code};
use plan::Plan;

/// The plugin `tuning`.
#[derive(Debug, Clone, Copy)]
pub struct Tuning;

impl Plugin for Tuning {
    fn name(&self) -> &'static str {
        "tuning"
    }

    fn validate(&self, conf: &PluginConf) -> Result<Needs, Error> {
        Plan::new(conf, &conf.to_bytes(), "", "eth0")?;
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
        &[backup::OWNED]
    }

    fn status(&self, request: &StatusRequest<'_>) -> Result<(), Error> {
        // STATUS is of no attachment: there are no CNI_ARGS, and keys keep the placeholder for the interface.
        let plan = Plan::new(request.conf, request.stdin(), "", key::IFNAME)?;
        let ready = Allowlist::read().and_then(|list| list.permit(&plan.sysctls));
        let ready = ready.and_then(|()| plan.store.usable());
        ready.map_err(|error| Error {
            code: code::PLUGIN_NOT_AVAILABLE,
            ..error
        })
    }

    fn describe(&self, forecast: &mut Forecast<'_>) -> Result<(), Error> {
        let plan = Plan::new(
            &forecast.conf,
            &forecast.conf.to_bytes(),
            forecast.args,
            forecast.if_name,
        )?;
        for sysctl in &plan.sysctls {
            forecast.tell(
                Effect::Changes,
                Spot::Pod,
                "sysctl",
                format!("{} = {}", sysctl.key.spelled, sysctl.value),
            );
        }
        if !plan.link.is_empty() {
            forecast.tell(Effect::Changes, Spot::Pod, "link", forecast.if_name);
        }
        Ok(())
    }

    plan_door!(|conf, args| Plan::new(conf, &conf.to_bytes(), args, "eth0"));
}
