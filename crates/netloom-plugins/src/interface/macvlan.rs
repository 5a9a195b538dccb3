//! The macvlan plugin: gives a pod a MAC address of its own on a link of the host, the master.
//!
//! | object | owner |
//! |---|---|
//! | the macvlan in the pod, its addresses and routes | the attachment |
//!
//! It makes nothing on the host, and does not change the master. With `linkInContainer` the master is
//! a link in the pod's namespace.

mod plan;

use crate::wiring::SetupError;
use crate::wiring::check::mismatch;
use crate::wiring::foretell;
use crate::wiring::link_kind::require_links_of;
use crate::wiring::pod::Announce;
use crate::wiring::record;
use crate::wiring::router_advertisements::RouterAdvertisements;
use crate::wiring::single_link::{self, LinkSides, status_of_master};
use netloom_kernel::rtnl::{KindSpec, Link, LinkKind, LinkSpec};
use netloom_plugin::forecast::Forecast;
use netloom_plugin::{AddRequest, CheckRequest, DelRequest, Needs, StatusRequest};
use netloom_plugin::{Owned, Plugin, Undo};
use netloom_spec::{AddResult, Error, PluginConf};
use plan::{Plan, mode_name};

/// The kernel's name of the kind of link.
const KIND: &str = "macvlan";

/// The plugin `macvlan`.
#[derive(Debug, Clone, Copy)]
pub struct Macvlan;

impl Plugin for Macvlan {
    fn name(&self) -> &'static str {
        "macvlan"
    }

    fn validate(&self, conf: &PluginConf) -> Result<Needs, Error> {
        // Both decode the configuration, and `lint` notes the keys of each, so both run whatever the
        // first one says. The error of the plan comes first, as in ADD.
        let advertisements = RouterAdvertisements::validate(conf);
        Plan::new(conf, "")?;
        advertisements?;
        Ok(Needs::ADDRESSES)
    }

    fn add<'r>(
        &self,
        request: &'r AddRequest<'r>,
        undo: &mut Undo<'r>,
    ) -> Result<AddResult, Error> {
        let plan = Plan::new(request.conf, request.args)?;
        let sides = LinkSides::open_for_add(request)?;
        let master = sides.master(plan.place, plan.master.as_deref())?;
        let mut spec =
            LinkSpec::new(sides.name, KindSpec::Macvlan(plan.options)).mtu(master.mtu(plan.mtu)?);
        if let Some(mac) = plan.mac {
            spec = spec.mac(mac.0);
        }
        let link = sides.create_link_on(&master, &spec, KIND, undo)?;
        sides.attach(&link, request, Announce::Both, plan.dns, undo)
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        let plan = Plan::new(request.conf, request.args)?;
        single_link::check(request, KIND, |sides, link| {
            let master = sides.master(plan.place, plan.master.as_deref())?;
            master.check(&sides.inside, link)?;
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
        let plan = Plan::new(request.conf, "")?;
        require_links_of(KIND)?;
        status_of_master(plan.place, plan.master.as_deref())?;
        request.forward_to_ipam()
    }

    fn describe(&self, forecast: &mut Forecast<'_>) -> Result<(), Error> {
        let plan = Plan::new(&forecast.conf, forecast.args)?;
        foretell::master(forecast, plan.place, plan.master.as_deref())?;
        forecast.interface();
        Ok(())
    }

    plan_door!(Plan::new);
}

/// Fails if mode or queue length are not those of the plan.
fn check_options(plan: &Plan, link: &Link) -> Result<(), SetupError> {
    let Some(LinkKind::Macvlan(options)) = link.kind else {
        return Ok(());
    };
    let (mode, wanted) = (mode_name(options.mode), mode_name(plan.options.mode));
    if mode != wanted {
        return Err(mismatch(format!(
            "Container macvlan mode {mode} of {} does not match expected value: {wanted}",
            link.name
        )));
    }
    // `None`: the configuration does not set it, or the kernel is too old to tell it.
    match (
        options.broadcast_queue_len,
        plan.options.broadcast_queue_len,
    ) {
        (Some(length), Some(wanted)) if length != wanted => Err(mismatch(format!(
            "Interface {} has bcqueuelen {length}, not {wanted}",
            link.name
        ))),
        _ => Ok(()),
    }
}
