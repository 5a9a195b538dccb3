//! The vlan plugin: gives a pod a VLAN (IEEE 802.1Q) of a link of the host, the master.
//!
//! | object | owner |
//! |---|---|
//! | the VLAN's link in the pod, its addresses and routes | the attachment |
//!
//! Nothing of it is on the host: the master is only looked at. With `linkInContainer` it is a link
//! of the pod. The kernel gives each VLAN of a master out once, and so to one pod.

mod plan;

use crate::wiring::SetupError;
use crate::wiring::check::mismatch;
use crate::wiring::foretell;
use crate::wiring::link_kind::require_links_of;
use crate::wiring::master::Master;
use crate::wiring::pod::Announce;
use crate::wiring::record;
use crate::wiring::router_advertisements::RouterAdvertisements;
use crate::wiring::single_link::{self, LinkSides, status_of_master};
use netloom_kernel::rtnl::{KindSpec, Link, LinkKind, LinkSpec, VlanProtocol};
use netloom_plugin::forecast::Forecast;
use netloom_plugin::{AddRequest, CheckRequest, DelRequest, Needs, StatusRequest};
use netloom_plugin::{Owned, Plugin, Undo};
use netloom_spec::{AddResult, Error, PluginConf, code};
use plan::Plan;

/// The kernel's name of the kind of link.
const KIND: &str = "vlan";

/// The plugin `vlan`.
#[derive(Debug, Clone, Copy)]
pub struct Vlan;

impl Plugin for Vlan {
    fn name(&self) -> &'static str {
        "vlan"
    }

    fn validate(&self, conf: &PluginConf) -> Result<Needs, Error> {
        let advertisements = RouterAdvertisements::validate(conf);
        Plan::new(conf)?;
        advertisements?;
        Ok(Needs::ADDRESSES)
    }

    fn add<'r>(
        &self,
        request: &'r AddRequest<'r>,
        undo: &mut Undo<'r>,
    ) -> Result<AddResult, Error> {
        let plan = Plan::new(request.conf)?;
        let sides = LinkSides::open_for_add(request)?;
        let master = sides.master(plan.place, Some(&plan.master))?;
        refuse_down(&master, code::INTERNAL)?;

        let kind = KindSpec::Vlan {
            id: plan.id,
            protocol: VlanProtocol::Dot1q,
        };
        let spec = LinkSpec::new(sides.name, kind).mtu(master.mtu(plan.mtu)?);
        let link = sides
            .create_link_on(&master, &spec, KIND, undo)
            .map_err(|fault| fault.about(format!("vlanId {}", plan.id)))?;
        sides.attach(&link, request, Announce::Both, plan.dns, undo)
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        let plan = Plan::new(request.conf)?;
        single_link::check(request, KIND, |sides, link| {
            let master = sides.master(plan.place, Some(&plan.master))?;
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
        let plan = Plan::new(request.conf)?;
        require_links_of(KIND)?;
        if let Some(master) = status_of_master(plan.place, Some(&plan.master))? {
            refuse_down(&master, code::PLUGIN_NOT_AVAILABLE)?;
        }
        request.forward_to_ipam()
    }

    fn describe(&self, forecast: &mut Forecast<'_>) -> Result<(), Error> {
        let plan = Plan::new(&forecast.conf)?;
        foretell::master(forecast, plan.place, Some(&plan.master))?;
        forecast.interface();
        Ok(())
    }

    plan_door!(|conf, _| Plan::new(conf));
}

/// A VLAN cannot be set up on a link that is down.
fn refuse_down(master: &Master, code: u32) -> Result<(), Error> {
    if master.link.flags.is_up() {
        return Ok(());
    }
    let msg = format!("master {master} is down: set it up before VLANs of it are attached");
    Err(Error::new(code, msg))
}

/// The VLAN is that of the plan, and the MTU if the plan has one.
fn check_options(plan: &Plan, link: &Link) -> Result<(), SetupError> {
    if let Some(LinkKind::Vlan { id, .. }) = link.kind
        && id != plan.id
    {
        return Err(mismatch(format!(
            "Interface {} has vlanId {id}, not {}",
            link.name, plan.id
        )));
    }
    if plan.mtu != 0 && link.mtu != plan.mtu {
        return Err(mismatch(format!(
            "Interface {} has mtu {}, not {}",
            link.name, link.mtu, plan.mtu
        )));
    }
    Ok(())
}
