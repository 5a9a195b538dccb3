//! sbr: source based routing. What comes from an address of the pod's interface leaves by that
//! interface, whatever the destination.
//!
//! | object, in the pod | owner |
//! |---|---|
//! | a rule for each address of `CNI_IFNAME` | the attachment |
//! | the routing table that the rule leads to, with the interface's routes | the attachment |
//!
//! The interface's routes leave the main table; that is how the other interfaces of the pod keep
//! their default route. With `table` somebody else cares for the routes, and only rules are made.
//! Nothing is made on the host, so nothing outlives the pod's namespace and GC has nothing to do.

mod add;
mod check;
mod del;
mod moves;
mod plan;
mod pod;

use ipnet::IpNet;
use netloom_plugin::forecast::{Effect, Forecast, Spot};
use netloom_plugin::{
    AddRequest, AddResult, CheckRequest, DelRequest, Error, Needs, Plugin, PluginConf,
    StatusRequest, Undo,
};

/// The plugin `sbr`.
#[derive(Debug, Clone, Copy)]
pub struct Sbr;

impl Plugin for Sbr {
    fn name(&self) -> &'static str {
        "sbr"
    }

    fn validate(&self, conf: &PluginConf) -> Result<Needs, Error> {
        plan::Plan::new(conf)?;
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

    fn status(&self, request: &StatusRequest<'_>) -> Result<(), Error> {
        plan::Plan::new(request.conf).map(drop)
    }

    fn describe(&self, forecast: &mut Forecast<'_>) -> Result<(), Error> {
        let if_name = forecast.if_name;
        for ip in forecast.result.ips.clone() {
            forecast.makes_inside(
                "rule",
                format!("32765: *from {} lookup *", IpNet::from(ip.address.addr())),
            );
        }
        if let plan::Plan::Tables(_) = plan::Plan::new(&forecast.conf)? {
            forecast.makes_inside("route", format!("* dev {if_name} table *"));
            forecast.tell(
                Effect::Changes,
                Spot::Pod,
                "route",
                format!("* dev {if_name}"),
            );
        }
        Ok(())
    }

    plan_door!(|conf, _| plan::Plan::new(conf));
}
