//! The dummy plugin: an interface that leads nowhere, to hold addresses.
//!
//! | object | owner |
//! |---|---|
//! | the dummy in the pod, its addresses and routes | the attachment |

use crate::wiring::dns::OwnDns;
use crate::wiring::link_kind::require_links_of;
use crate::wiring::pod::Announce;
use crate::wiring::record;
use crate::wiring::router_advertisements::RouterAdvertisements;
use crate::wiring::single_link::{self, LinkSides, require_ipam};
use netloom_kernel::rtnl::{KindSpec, LinkSpec};
use netloom_plugin::forecast::Forecast;
use netloom_plugin::{AddRequest, CheckRequest, DelRequest, Needs, StatusRequest};
use netloom_plugin::{Owned, Plugin, Undo};
use netloom_spec::{AddResult, Dns, Error, PluginConf};
use serde::Deserialize;

/// The kernel's name of the kind of link.
const KIND: &str = "dummy";

/// The plugin `dummy`.
#[derive(Debug, Clone, Copy)]
pub struct Dummy;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    dns: OwnDns,
}

/// A valid request.
#[derive(Debug)]
struct Plan {
    /// Replaces the DNS of the IPAM plugin.
    dns: Option<Dns>,
}

impl Plan {
    fn new(conf: &PluginConf) -> Result<Self, Error> {
        let config: Config = conf.decode()?;
        require_ipam(KIND, conf.ipam_type())?;
        Ok(Self {
            dns: config.dns.replacement(),
        })
    }
}

impl Plugin for Dummy {
    fn name(&self) -> &'static str {
        "dummy"
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
        let spec = LinkSpec::new(sides.name, KindSpec::Dummy);
        let link = sides.create_link(&spec, KIND, undo)?;
        sides.attach(&link, request, Announce::Nobody, plan.dns, undo)
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        Plan::new(request.conf)?;
        single_link::check(request, KIND, |_, _| Ok(()))
    }

    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        single_link::del(request, KIND)
    }

    fn owned(&self) -> &'static [Owned] {
        &[record::OWNED]
    }

    fn status(&self, request: &StatusRequest<'_>) -> Result<(), Error> {
        Plan::new(request.conf)?;
        require_links_of(KIND)?;
        request.forward_to_ipam()
    }

    fn describe(&self, forecast: &mut Forecast<'_>) -> Result<(), Error> {
        forecast.interface();
        Ok(())
    }

    plan_door!(|conf, _| Plan::new(conf));
}
