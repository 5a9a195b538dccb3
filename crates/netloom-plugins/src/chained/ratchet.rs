//! ratchet: point-to-point links between pods.
//!
//! In a chain it adds links to what the plugins before it made. With `delegate` it has another plugin
//! attach the pod first, and with `boot_network` yet another those pods that are to have links: that
//! is the form of the first ratchet.
//!
//! | object | owner |
//! |---|---|
//! | a veth from pod to pod, or a pod's end of a vxlan to another host | both pods: it goes with the first of them |
//! | a veth from pod to host, with `allowHost` | the pod |
//! | `<store>/<network>/<container id>:<interface>` | the attachment |
//! | `<store>/<network>/pod-…`, `asked-…/…` | the pod's newest attachment |
//! | what a delegate makes | the delegate's, see there |
//!
//! Whose a link is, is told by the kernel: its ends have the group of the network's links, and an
//! alternative name each that follows from the link.

mod add;
mod annotation;
mod check;
mod config;
mod del;
mod far;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod gc;
mod keys;
mod link;
mod meet;
mod plan;
mod reach;
mod record;
mod store;
mod topology;
mod unlink;
mod wait;

use crate::wiring::link_kind::require_links_of;
use crate::wiring::owner::Owner;
use crate::wiring::setup_error::invalid;
use link::End;
use netloom_plugin::forecast::{self, Effect, Forecast, Spot};
use netloom_plugin::{
    AddRequest, AddResult, CheckRequest, DelRequest, Error, GcRequest, Needs, Owned, Plugin,
    StatusRequest, Undo, code,
};
use netloom_spec::{NetworkName, PluginConf};
use plan::Plan;
use std::ffi::OsString;
use std::process::ExitCode;

/// The plugin `ratchet`.
#[derive(Debug, Clone, Copy)]
pub struct Ratchet;

impl Plugin for Ratchet {
    fn name(&self) -> &'static str {
        "ratchet"
    }

    fn release(&self) -> &'static str {
        "v0.0.0"
    }

    /// `ratchet reach DIRECTORY`, of the node's daemon.
    fn command_line(&self, arguments: &[OsString]) -> Option<ExitCode> {
        let (first, rest) = arguments.split_first()?;
        (first == "reach").then(|| reach::main(rest))
    }

    /// What only the pod tells, such as its name and what its annotations ask for, is not judged, nor
    /// are the topologies that are on the host.
    fn validate(&self, conf: &PluginConf) -> Result<Needs, Error> {
        plan::validate(conf)?;
        Ok(Needs::default())
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

    /// What the delegates made is theirs.
    fn owned(&self) -> &'static [Owned] {
        &[gc::OWNED]
    }

    fn delegates(&self, conf: &PluginConf, network: &NetworkName) -> Vec<PluginConf> {
        gc::all_delegates(conf, network)
    }

    fn link_kind(&self, _: &PluginConf) -> Result<Option<&'static str>, Error> {
        Ok(Some("veth"))
    }

    fn gc(&self, request: &GcRequest<'_>) -> Result<(), Error> {
        gc::collect(request)
    }

    fn status(&self, request: &StatusRequest<'_>) -> Result<(), Error> {
        let config = config::Config::read(request.conf)?;
        let store = store::Store::of(&config.store, request.network())?;
        store.usable().map_err(|error| Error {
            code: code::PLUGIN_NOT_AVAILABLE,
            ..error
        })?;
        require_links_of("veth")?;
        for conf in del::configured(request.conf) {
            let delegate = request.delegate(conf.plugin_type());
            delegate.with_conf(conf).status()?;
        }
        Ok(())
    }

    /// A link is made when both of its pods are there; which is first, nobody knows.
    fn describe(&self, forecast: &mut Forecast<'_>) -> Result<(), Error> {
        let plan = Plan::new(&forecast.conf, forecast.args, forecast.if_name)?;
        if let Some(conf) = plan.delegate() {
            forecast.ask(conf.clone())?;
        }
        for wanted in &plan.wanted {
            foretell(forecast, Spot::Pod, &wanted.link.own);
            if wanted.link.peer.is_on_host() {
                foretell(forecast, Spot::Host, &wanted.link.peer);
            }
        }
        Ok(())
    }

    plan_door!(|conf, args| Plan::new(conf, args, "eth0"));
}

/// An end of a link that ADD makes, with its addresses and routes.
fn foretell(plan: &mut Forecast<'_>, spot: Spot, end: &End) {
    let device = end.if_name.as_str();
    plan.tell(Effect::Makes, spot, "link", device);
    for address in &end.addresses {
        let name = format!("{address} on {device}");
        plan.tell(Effect::Makes, spot, "address", name);
    }
    for hop in &end.routes {
        let name = forecast::route(hop.dst, hop.gw, device);
        plan.tell(Effect::Makes, spot, "route", name);
    }
}

/// What went wrong with a link, as CNI has it.
fn failure(error: netloom_links::Error) -> Error {
    use netloom_links::Error as Links;
    match &error {
        Links::Invalid(_) | Links::Unsupported { .. } => invalid(error.to_string()),
        // The kernel has not removed yet what a namespace had that is gone.
        Links::Kernel(cause) if cause.is_exists() => {
            let what = format!("{cause}; if it is of a pod that has just ended, try again");
            Error::new(code::TRY_AGAIN_LATER, what)
        }
        _ => Error::new(code::INTERNAL, error.to_string()),
    }
}

/// The attachment that a request is about.
fn owner_of<'r>(request: &'r AddRequest<'r>) -> Owner<'r> {
    Owner::new(request.network(), &request.container_id, &request.if_name)
}
