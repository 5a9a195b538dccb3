//! vrf: puts the pod's interface into a virtual routing and forwarding domain, a VRF, which has a
//! routing table of its own.
//!
//! | object, in the pod | owner |
//! |---|---|
//! | the VRF | its members: made for the first, removed with the last |
//! | the membership of `CNI_IFNAME`, its routes in the VRF's table | the attachment |
//! | the kernel's rule to the tables of VRFs | the namespace, stays |
//!
//! The kernel takes a link that joins or leaves a VRF down and up, and loses most of its routes and,
//! if it is not told otherwise, its IPv6 addresses: see `membership`. Nothing is made on the host,
//! so nothing outlives the pod's namespace and GC has nothing to do.

mod check;
mod membership;
mod plan;

use crate::wiring::announcement::Announcement;
use crate::wiring::identity::may_be_own;
use crate::wiring::link_kind::require_links_of;
use crate::wiring::pod::wait_for_dad;
use crate::wiring::record;
use crate::wiring::sandbox::{self, LockedPod};
use crate::wiring::setup_error::invalid;
use crate::wiring::{SetupError, tables};
use membership::{Belongings, Restore};
use netloom_kernel::rtnl::{KindSpec, Link, LinkChange, LinkKind, LinkSpec, Socket, table};
use netloom_plugin::forecast::{Effect, Forecast, Spot};
use netloom_plugin::{
    AddRequest, AddResult, CheckRequest, DelRequest, Error, Needs, Plugin, PluginConf,
    StatusRequest, Undo, Version, code,
};
use plan::Plan;
use std::rc::Rc;

/// The plugin `vrf`.
#[derive(Debug, Clone, Copy)]
pub struct Vrf;

impl Plugin for Vrf {
    fn name(&self) -> &'static str {
        "vrf"
    }

    fn versions(&self) -> &'static [Version] {
        &[
            Version::V0_3_1,
            Version::V0_4_0,
            Version::V1_0_0,
            Version::V1_1_0,
        ]
    }

    fn validate(&self, conf: &PluginConf) -> Result<Needs, Error> {
        Plan::new(conf, "eth0")?;
        Ok(Needs::PREV_RESULT)
    }

    fn add<'r>(
        &self,
        request: &'r AddRequest<'r>,
        undo: &mut Undo<'r>,
    ) -> Result<AddResult, Error> {
        let name = request.if_name.as_str();
        let plan = Plan::new(request.conf, name)?;
        let result = request.prev_result()?.ok_or_else(missing_prev_result)?;
        let pod = Rc::new(LockedPod::enter(sandbox::open(request.netns)?, request)?);
        let socket = &pod.socket;
        let link = find(socket, name)?.ok_or_else(|| {
            let what = format!("could not get link by name {name}: it is not in the container");
            Error::new(code::INTERNAL, what)
        })?;
        refuse_member(socket, &link)?;
        let vrf = match find(socket, &plan.name)? {
            Some(found) => usable(&found, &plan)?,
            None => create(&pod, &plan, undo)?,
        };

        let belongings = Rc::new(Belongings::of(socket, &link)?);
        let (kept, inside) = (Rc::clone(&belongings), Rc::clone(&pod));
        let what = format!("take {name} out of the VRF {}", plan.name);
        undo.on_failure(what, move || {
            let leave = LinkChange::new().no_master();
            let socket = inside.new_socket()?;
            Ok(kept.change_master(&socket, &leave, table::MAIN, Restore::Strictly)?)
        });
        let join = LinkChange::new().master(vrf.index);
        belongings.change_master(socket, &join, vrf.table, Restore::Strictly)?;
        wait_for_dad(socket, link.index, name)?;
        // The link forgot its neighbours, and they may have lost what they knew.
        let announcement = pod.within(|| Announcement::of_result(&result, &link))?;
        announcement.send(pod.netns(), socket);
        Ok(result)
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        check::check(request)
    }

    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        if record::lives_elsewhere(request) {
            return Ok(());
        }
        let made = request.prev_result();
        let Some(netns) = sandbox::of_attachment(request, made.as_ref())? else {
            return Ok(());
        };
        let Some(vrf_name) = plan::name_in(request.conf) else {
            return Ok(());
        };
        let name = request.if_name.as_str();
        let pod = LockedPod::enter(netns, request)?;
        let socket = &pod.socket;
        let Some(vrf) = find(socket, vrf_name)?.as_ref().and_then(VrfLink::of) else {
            return Ok(());
        };
        if let Some(link) = find(socket, name)?.filter(|link| link.master == Some(vrf.index)) {
            // The namespace may be another pod's by now.
            let is_own = |made| may_be_own(socket, &link, request.container_id.as_str(), made);
            let is_own = made.as_ref().map_or(Ok(true), is_own);
            if !is_own.map_err(SetupError::kernel(format!("look at {name:?}")))? {
                return Ok(());
            }
            let leave = LinkChange::new().no_master();
            let belongings = Belongings::of(socket, &link)?.in_table(vrf.table);
            belongings.change_master(socket, &leave, table::MAIN, Restore::IfPossible)?;
        }
        Ok(remove_if_idle(socket, vrf.index)?)
    }

    fn status(&self, request: &StatusRequest<'_>) -> Result<(), Error> {
        Plan::new(request.conf, "")?;
        require_links_of("vrf")
    }

    fn describe(&self, forecast: &mut Forecast<'_>) -> Result<(), Error> {
        let plan = Plan::new(&forecast.conf, forecast.if_name)?;
        forecast.makes_inside("link", plan.name);
        forecast.tell(Effect::Changes, Spot::Pod, "link", forecast.if_name);
        forecast.tell(
            Effect::Changes,
            Spot::Pod,
            "route",
            format!("* dev {}", forecast.if_name),
        );
        forecast.makes_inside("route", format!("* dev {} table *", forecast.if_name));
        forecast.makes_inside("rule", "*");
        Ok(())
    }

    plan_door!(|conf, _| Plan::new(conf, "eth0"));
}

fn missing_prev_result() -> Error {
    invalid("missing prevResult from earlier plugin: vrf must be chained")
}

/// A link that is a VRF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct VrfLink {
    index: u32,
    table: u32,
}

impl VrfLink {
    fn of(link: &Link) -> Option<Self> {
        match link.kind {
            Some(LinkKind::Vrf { table }) => Some(Self {
                index: link.index,
                table,
            }),
            _ => None,
        }
    }
}

fn find(socket: &Socket, name: &str) -> Result<Option<Link>, SetupError> {
    let found = socket.find_link(name);
    found.map_err(SetupError::kernel(format!("look up {name:?}")))
}

fn refuse_member(socket: &Socket, link: &Link) -> Result<(), Error> {
    let Some(master) = link.master else {
        return Ok(());
    };
    let master = socket.get_link(master);
    let master = master.map_err(SetupError::kernel("look up the interface's master"))?;
    let what = format!(
        "interface {} has already a master set: {}",
        link.name, master.name
    );
    Err(Error::new(code::INTERNAL, what))
}

/// The VRF that is there already, if it is what the configuration asks for.
fn usable(found: &Link, plan: &Plan) -> Result<VrfLink, Error> {
    let Some(vrf) = VrfLink::of(found) else {
        let kind = found.kind.as_ref().map_or("none", LinkKind::name);
        return Err(invalid(format!(
            "Netlink {} is not a VRF, its type is {kind}: choose another vrfname",
            plan.name
        )));
    };
    match plan.table {
        Some(table) if table != vrf.table => Err(invalid(format!(
            "VRF {} already exist with different routing table {}, not {table}",
            plan.name, vrf.table
        ))),
        _ => Ok(vrf),
    }
}

fn create<'r>(pod: &Rc<LockedPod>, plan: &Plan, undo: &mut Undo<'r>) -> Result<VrfLink, Error> {
    let table = match plan.table {
        Some(table) => table,
        None => free_table(&pod.socket)?,
    };
    // By name, and before: that it was made may not come to be known.
    let (inside, name) = (Rc::clone(pod), plan.name.clone());
    undo.on_failure(format!("remove the VRF {name}"), move || {
        let socket = inside.new_socket()?;
        match find(&socket, &name)?.as_ref().and_then(VrfLink::of) {
            Some(vrf) => Ok(remove_if_idle(&socket, vrf.index)?),
            None => Ok(()),
        }
    });
    let spec = LinkSpec::new(&plan.name, KindSpec::Vrf { table }).up();
    let made = pod.socket.create_link(&spec);
    let what = format!("could not add VRF {}", plan.name);
    let index = made.map_err(SetupError::kernel(what))?.index;
    Ok(VrfLink { index, table })
}

/// The first table from 1 on that no VRF has, no rule leads to and no route is in.
fn free_table(socket: &Socket) -> Result<u32, Error> {
    let links = socket
        .list_links()
        .map_err(SetupError::kernel("list the links"))?;
    let of_vrf = |table| {
        links
            .iter()
            .filter_map(VrfLink::of)
            .any(|vrf| vrf.table == table)
    };
    let free = tables::free(socket, &tables::rules(socket)?, 1, 1, of_vrf)?;
    free.first()
        .copied()
        .ok_or_else(|| Error::new(code::INTERNAL, "every routing table is in use"))
}

/// Removes a VRF that has no members.
fn remove_if_idle(socket: &Socket, index: u32) -> Result<(), SetupError> {
    let members = socket.list_ports(index);
    if !members
        .map_err(SetupError::kernel("list the members of the VRF"))?
        .is_empty()
    {
        return Ok(());
    }
    let removed = socket.remove_link(index);
    removed
        .map(drop)
        .map_err(SetupError::kernel("failed to remove the VRF"))
}
