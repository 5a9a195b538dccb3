//! cluster: addresses that no other pod of the whole cluster has.
//!
//! The node daemon, netloom-node, claims blocks of addresses for this node in the cluster's store. This
//! plugin gives addresses out of them, and for that it needs files alone: the grants that the daemon
//! wrote (see [`netloom_cluster::disk`]) and reservations as host-local keeps them. It asks the daemon
//! only when no address is at hand, and for addresses that are static or kept for a pod.
//!
//! Several networks may share a space, so a reservation names its network too.
//!
//! Called as `whereabouts` it reads that plugin's configuration.

mod at_hand;
mod config;
mod daemon;
mod error;
mod foresee;
mod grants;
mod orphans;
mod plan;
mod reserve;
mod whereabouts;

use crate::wiring::reservations::resolv_conf;
use crate::wiring::reservations::store::Place;
use crate::wiring::state_file;
use error::ClusterError;
use netloom_cluster::disk::ROOT;
use netloom_plugin::forecast::Forecast;
use netloom_plugin::host::{ClaimedAddress, Pool};
use netloom_plugin::{
    AddRequest, AddResult, CheckRequest, Cleanup, DelRequest, Error, GcRequest, Needs, Owned,
    Plugin, StatusRequest, Undo, Version,
};
use netloom_spec::{Dns, NetworkName, PluginConf};
use plan::Plan;
use reserve::Claim;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

/// How long to wait for the lock, as host-local.
const LOCK_LIMIT: Duration = Duration::from_secs(30);

/// How a configuration becomes a plan.
type Read = fn(&PluginConf, Version, &str) -> Result<Plan, Error>;

/// The plugin cluster.
#[derive(Debug)]
pub struct Cluster;

/// The same under the name whereabouts, for that plugin's configurations.
#[derive(Debug)]
pub struct Whereabouts;

macro_rules! plugin {
    ($plugin:ident, $name:literal, $read:path, $space:path, $optional:literal) => {
        impl Plugin for $plugin {
            fn name(&self) -> &'static str {
                $name
            }

            fn is_installed_only_when_asked_for(&self) -> bool {
                $optional
            }

            fn validate(&self, conf: &PluginConf) -> Result<Needs, Error> {
                validate(conf, $read)
            }

            fn add<'r>(
                &self,
                request: &'r AddRequest<'r>,
                undo: &mut Undo<'r>,
            ) -> Result<AddResult, Error> {
                add(request, undo, $read)
            }

            fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
                check(request, $read)
            }

            fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
                let place = place($space(request.conf));
                let network = request.network().as_str();
                Ok(Claim::of_del(place, request).release(network, request)?)
            }

            fn gc(&self, request: &GcRequest<'_>) -> Result<(), Error> {
                if request.valid.is_none() {
                    request.warn("GC without cni.dev/valid-attachments, nothing is removed");
                }
                let mut cleanup = Cleanup::new();
                request.collect(self.owned(), &mut cleanup);
                cleanup.finish()
            }

            fn owned(&self) -> &'static [Owned] {
                const OWNED: Owned = Owned::of_conf("reservation", |scope, how| {
                    orphans::sweep(place($space(scope.conf)), scope, how)
                });
                &[OWNED]
            }

            fn claims(
                &self,
                conf: &PluginConf,
                network: &NetworkName,
            ) -> Result<Vec<ClaimedAddress>, Error> {
                orphans::claims(&place($space(conf)), network)
            }

            fn pools(
                &self,
                conf: &PluginConf,
                _network: &NetworkName,
                version: Version,
            ) -> Result<Vec<Pool>, Error> {
                orphans::pools(&$read(conf, version, "")?)
            }

            fn status(&self, request: &StatusRequest<'_>) -> Result<(), Error> {
                status(request, $read)
            }

            fn describe(&self, forecast: &mut Forecast<'_>) -> Result<(), Error> {
                foresee::describe(forecast, $read)
            }

            plan_door!(|conf, args| $read(conf, conf.version()?, args));
        }
    };
}

plugin!(Cluster, "cluster", config::read, config::space, false);
plugin!(
    Whereabouts,
    "whereabouts",
    whereabouts::read,
    whereabouts::space,
    true
);

fn place(space: netloom_cluster::SpaceName) -> Place {
    Place {
        data_dir: ROOT.into(),
        network: space.into(),
    }
}

/// The plan, unless the ranges come with each ADD.
fn plan_ahead(conf: &PluginConf, version: Version, read: Read) -> Result<Option<Plan>, Error> {
    let may_come = conf.capabilities().get("ipRanges") == Some(&true);
    match read(conf, version, "") {
        Err(error) if may_come && error == ClusterError::no_ranges() => Ok(None),
        plan => plan.map(Some),
    }
}

fn validate(conf: &PluginConf, read: Read) -> Result<Needs, Error> {
    plan_ahead(conf, conf.version()?, read).map(|_| Needs::default())
}

fn status(request: &StatusRequest<'_>, read: Read) -> Result<(), Error> {
    match plan_ahead(request.conf, request.version(), read)? {
        Some(plan) => Ok(at_hand::require_any(&plan)?),
        None => Ok(()),
    }
}

fn add<'r>(
    request: &'r AddRequest<'r>,
    undo: &mut Undo<'r>,
    read: Read,
) -> Result<AddResult, Error> {
    let plan = read(request.conf, request.version(), request.args)?;
    let dns = match &plan.resolv_conf {
        Some(path) => read_resolv_conf(path)?,
        None => plan.dns.clone(),
    };
    let claim = Claim::of_add(place(plan.space.clone()), request);
    let (ips, fresh) = claim.create(&plan, request)?;
    undo.on_failure("release the reserved addresses", move || {
        claim.remove(&fresh).map_err(Error::from)
    });
    Ok(AddResult {
        ips,
        routes: plan.routes,
        dns,
        ..AddResult::default()
    })
}

fn check(request: &CheckRequest<'_>, read: Read) -> Result<(), Error> {
    let plan = read(request.conf, request.version(), "")?;
    let previous = request.prev_result()?;
    let expected: Vec<IpAddr> = (previous.ips.iter())
        .map(|ip| ip.address.addr().to_canonical())
        .filter(|address| plan.sets.iter().any(|set| set.ranges.contains(*address)))
        .collect();
    let claim = Claim::of_check(place(plan.space), request);
    Ok(claim.check(&expected)?)
}

fn read_resolv_conf(path: &Path) -> Result<Dns, ClusterError> {
    let bytes = state_file::read_configuration(path).map_err(|cause| ClusterError::ResolvConf {
        path: path.to_owned(),
        cause,
    })?;
    Ok(resolv_conf::parse(&String::from_utf8_lossy(&bytes)))
}
