//! The tap plugin: an Ethernet interface of the pod whose other end is a program's, such as a
//! virtual machine's.
//!
//! | object | owner |
//! |---|---|
//! | the tap in the pod, its addresses and routes, its place as port of a bridge in the pod | the attachment |
//!
//! It is made under its final name by the ioctl(2)s of `/dev/net/tun`, and stays only once it is
//! as it should be: what dies before leaves nothing. With `selinuxContext` this program is executed
//! again, in that context: the kernel labels a tap with the context of the program that makes it.

mod create;
mod plan;

use crate::wiring::SetupError;
use crate::wiring::check::mismatch;
use crate::wiring::pod::Announce;
use crate::wiring::record;
use crate::wiring::router_advertisements::RouterAdvertisements;
use crate::wiring::single_link::{self, LinkSides};
use netloom_kernel::rtnl::{Link, LinkKind};
use netloom_kernel::tuntap;
use netloom_plugin::forecast::Forecast;
use netloom_plugin::{AddRequest, CheckRequest, DelRequest, Needs, StatusRequest};
use netloom_plugin::{Owned, Plugin, Undo};
use netloom_spec::{AddResult, Error, PluginConf, code};
use plan::Plan;
use std::ffi::OsString;
use std::process::ExitCode;

/// The kernel's name of the kind of link.
const KIND: &str = "tun";

/// The plugin `tap`.
#[derive(Debug, Clone, Copy)]
pub struct Tap;

impl Plugin for Tap {
    fn name(&self) -> &'static str {
        "tap"
    }

    fn command_line(&self, arguments: &[OsString]) -> Option<ExitCode> {
        create::command_line(arguments)
    }

    fn validate(&self, conf: &PluginConf) -> Result<Needs, Error> {
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
        plan.refuse_context_without_selinux(code::UNSUPPORTED_FIELD)?;
        let sides = LinkSides::open_for_add(request)?;
        let bridge = create::find_bridge(&sides, &plan)?;

        let link = create::create(&sides, &plan, bridge, undo)?;
        sides.attach(&link, request, Announce::Both, plan.dns, undo)
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        let plan = Plan::new(request.conf, request.args)?;
        single_link::check(request, KIND, |sides, link| {
            check_options(&plan, link)?;
            check_bridge(&plan, sides, link)
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
        let unavailable = |error: netloom_kernel::Error| {
            let msg = format!("this host cannot make tap devices: {error}");
            Error::new(code::PLUGIN_NOT_AVAILABLE, msg)
        };
        tuntap::probe().map_err(unavailable)?;
        plan.refuse_context_without_selinux(code::PLUGIN_NOT_AVAILABLE)?;
        request.forward_to_ipam()
    }

    fn describe(&self, forecast: &mut Forecast<'_>) -> Result<(), Error> {
        forecast.interface();
        Ok(())
    }

    plan_door!(Plan::new);
}

/// What only the maker of the device decides. Kernels before 4.20 do not tell.
fn check_options(plan: &Plan, link: &Link) -> Result<(), SetupError> {
    let Some(LinkKind::Tun(Some(options))) = link.kind else {
        return Ok(());
    };
    let name = &link.name;
    if !options.tap {
        return Err(mismatch(format!(
            "Error: Container interface {name} not of type tap: it is a tun device"
        )));
    }
    if !options.persistent {
        return Err(mismatch(format!(
            "Interface {name} is not persistent: it goes with the program that has it"
        )));
    }
    for (what, found, wanted) in [
        ("owner", options.owner, plan.owner),
        ("group", options.group, plan.group),
    ] {
        // ADD may have been told it by a configuration that says no more.
        if wanted.is_some() && found != wanted {
            let text = |id: Option<u32>| id.map_or("none".to_owned(), |id| id.to_string());
            return Err(mismatch(format!(
                "Interface {name} has {what} {}, not {}",
                text(found),
                text(wanted)
            )));
        }
    }
    if options.multi_queue != plan.multi_queue {
        return Err(mismatch(format!(
            "Interface {name} has multiQueue {}, not {}",
            options.multi_queue, plan.multi_queue
        )));
    }
    Ok(())
}

fn check_bridge(plan: &Plan, sides: &LinkSides<'_>, link: &Link) -> Result<(), SetupError> {
    let Some(name) = &plan.bridge else {
        return Ok(());
    };
    let bridge = sides
        .inside
        .find_link(name)
        .map_err(SetupError::kernel(format!("look up {name:?}")))?;
    let bridge =
        bridge.ok_or_else(|| mismatch(format!("Bridge {name} in the container not found")))?;
    if link.master == Some(bridge.index) {
        return Ok(());
    }
    Err(mismatch(format!(
        "Interface {} is not a port of {name}",
        link.name
    )))
}
