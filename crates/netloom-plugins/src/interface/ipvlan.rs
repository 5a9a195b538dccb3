//! The ipvlan plugin: gives a pod addresses of its own on a link of the host, the master, under the
//! master's MAC address.
//!
//! | object | owner |
//! |---|---|
//! | the ipvlan in the pod, its addresses and routes | the attachment |
//!
//! Nothing of it is on the host: the master is only looked at. With `linkInContainer` it is a link
//! of the pod. Without `ipam` the addresses are those of the plugin before it in the chain.

mod chain;
mod plan;

use crate::wiring::SetupError;
use crate::wiring::check::mismatch;
use crate::wiring::foretell;
use crate::wiring::link_kind::require_links_of;
use crate::wiring::pod::Announce;
use crate::wiring::record;
use crate::wiring::router_advertisements::RouterAdvertisements;
use crate::wiring::single_link::{self, LinkSides, status_of_master};
use chain::Chain;
use netloom_kernel::rtnl::{KindSpec, Link, LinkKind, LinkSpec};
use netloom_plugin::forecast::Forecast;
use netloom_plugin::{AddRequest, CheckRequest, DelRequest, Needs, StatusRequest};
use netloom_plugin::{Owned, Plugin, Undo};
use netloom_spec::{AddResult, Error, PluginConf};
use plan::{FLAGS, MODES, Plan};

/// The kernel's name of the kind of link.
const KIND: &str = "ipvlan";

/// The plugin `ipvlan`.
#[derive(Debug, Clone, Copy)]
pub struct Ipvlan;

impl Plugin for Ipvlan {
    fn name(&self) -> &'static str {
        "ipvlan"
    }

    fn validate(&self, conf: &PluginConf) -> Result<Needs, Error> {
        let advertisements = RouterAdvertisements::validate(conf);
        Plan::new(conf)?;
        advertisements?;
        let has_own_addresses = conf.ipam_type().is_some();
        Ok(Needs {
            addresses: true,
            prev_result: !has_own_addresses,
        })
    }

    fn add<'r>(
        &self,
        request: &'r AddRequest<'r>,
        undo: &mut Undo<'r>,
    ) -> Result<AddResult, Error> {
        let plan = Plan::new(request.conf)?;
        let chain = Chain::new(&plan, request)?;
        let sides = LinkSides::open_for_add(request)?;
        let master = sides.master(plan.place, chain.master.as_deref())?;

        let spec = LinkSpec::new(sides.name, KindSpec::Ipvlan(plan.options)).mtu(plan.mtu);
        let link = sides.create_link_on(&master, &spec, KIND, undo)?;
        match chain.given {
            Some(given) => {
                Ok(sides.attach_with(given, &link, request, Announce::Both, plan.dns)?)
            }
            None => sides.attach(&link, request, Announce::Both, plan.dns, undo),
        }
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        let plan = Plan::new(request.conf)?;
        single_link::check(request, KIND, |sides, link| {
            // Where the configuration names none, only ADD knew it: it may have come from the
            // plugin before.
            if let Some(name) = plan.master.as_deref() {
                let master = sides.master(plan.place, Some(name))?;
                master.check(&sides.inside, link)?;
            }
            check_options(&plan, link)
        })
    }

    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        single_link::del(request, KIND)
    }

    fn owned(&self) -> &'static [Owned] {
        &[record::OWNED]
    }

    fn status(&self, request: &StatusRequest<'_>) -> Result<(), Error> {
        let plan = Plan::new(request.conf)?;
        require_links_of(KIND)?;
        // In a chain the plugin before may tell the master.
        if plan.master.is_some() || request.ipam().is_some() {
            status_of_master(plan.place, plan.master.as_deref())?;
        }
        request.forward_to_ipam()
    }

    fn describe(&self, forecast: &mut Forecast<'_>) -> Result<(), Error> {
        let plan = Plan::new(&forecast.conf)?;
        foretell::master(forecast, plan.place, plan.master.as_deref())?;
        forecast.interface();
        Ok(())
    }

    plan_door!(|conf, _| Plan::new(conf));
}

/// Mode and, where the configuration has one, flag are those of the plan.
fn check_options(plan: &Plan, link: &Link) -> Result<(), SetupError> {
    let Some(LinkKind::Ipvlan(options)) = link.kind else {
        return Ok(());
    };
    let word = |word: Option<&'static str>| word.unwrap_or("unknown");
    if options.mode != plan.options.mode {
        return Err(mismatch(format!(
            "Container ipvlan mode {} of {} does not match expected value: {}",
            word(MODES.word(options.mode)),
            link.name,
            word(MODES.word(plan.options.mode)),
        )));
    }
    match (options.flag, plan.options.flag) {
        (Some(found), Some(wanted)) if found != wanted => Err(mismatch(format!(
            "Container ipvlan flag {} of {} does not match expected value: {}",
            word(FLAGS.word(found)),
            link.name,
            word(FLAGS.word(wanted)),
        ))),
        // Kernels before 4.15 do not tell.
        _ => Ok(()),
    }
}
