//! firewall: lets the traffic of pods through the host's packet filter, and keeps bridges apart.
//!
//! | object | owner |
//! |---|---|
//! | the pod's elements in nftables' `inet cni_plugins_firewall`, its rules for each address in iptables' `CNI-FORWARD`, or its addresses in a zone of firewalld | the attachment |
//! | its chain `CNI-FW-…` in iptables' `filter`, which tells whose the rules are | the attachment |
//! | base chains, `CNI-FORWARD`, the administrators' chain, the jumps to them | the host, stay |
//! | what keeps a bridge apart (`ingressPolicy`) | the bridge, stays |
//!
//! It makes no interface: it takes the addresses from `prevResult`, and returns that as its result.

mod backend;
mod closed;
pub(crate) mod dbus;
mod firewalld;
mod iptables;
mod nftables;
mod plan;

use crate::wiring::SetupError;
use crate::wiring::check::mismatch;
use crate::wiring::foretell;
use crate::wiring::nftables::Nftables;
use crate::wiring::owner::Owner;
use crate::wiring::record;
use crate::wiring::setup_error::invalid;
use backend::{Backend, packet_filter};
use netloom_kernel::sysctl;
use netloom_plugin::forecast::Forecast;
use netloom_plugin::host::{Hindrance, HostLink, Mend, NetworkView};
use netloom_plugin::{AddRequest, CheckRequest, DelRequest, Needs, StatusRequest};
use netloom_plugin::{Cleanup, Owned, Plugin, Undo};
use netloom_spec::{AddResult, Error, PluginConf, Version, code};
use plan::{Choice, Plan, Wanted, addresses, host_links};
use std::net::IpAddr;

/// What GC removes. firewalld's sources are not among it: they do not tell whose they are.
const OWNED: &[Owned] = &[
    Owned::of_network("nftables firewall", nftables::sweep),
    Owned::of_network("iptables firewall", iptables::sweep),
];

fn missing_prev_result() -> Error {
    invalid("missing prevResult from earlier plugin: firewall must be chained")
}

/// Finds a chain of somebody else in nftables that drops all that comes in by the network's link. It
/// does so even if the plugin's own chains let it pass.
fn closed_chain(conf: &PluginConf, view: &NetworkView<'_>) -> Result<Option<Hindrance>, Error> {
    let Some(link) = view.link.map(HostLink::pattern) else {
        return Ok(None);
    };
    let choice = backend::choose(Plan::lenient(conf).backend)?.choice();
    let found = closed::find(view.families, &[&link], closed::mark_of(choice))?;
    Ok(found.map(|closed| Hindrance {
        kind: "firewall",
        what: closed.words(),
        mend: Mend::Say(closed.mend(choice, &[&link])),
    }))
}

/// Finds sysctls that keep the packet filter from seeing what a bridge forwards. Then it cannot keep
/// the pods of one bridge apart.
fn unseen_bridge_traffic(conf: &PluginConf, view: &NetworkView<'_>) -> Vec<Hindrance> {
    const KEYS: [&str; 2] = [
        "net.bridge.bridge-nf-call-iptables",
        "net.bridge.bridge-nf-call-ip6tables",
    ];
    let isolates = conf.get("ingressPolicy").and_then(|it| it.as_str()) == Some("isolated");
    if !isolates || view.link.and_then(HostLink::bridge).is_none() {
        return Vec::new();
    }
    let keys = KEYS.into_iter().zip(view.families);
    let find = |(key, _): (&str, bool)| {
        let (state, mend) = match sysctl::get(&key.replace('.', "/")) {
            Ok(value) if value == "0" => ("0", Mend::sysctl(key, "1")),
            Err(error) if error.is_absent() => {
                ("missing", Mend::Say("modprobe br_netfilter".to_owned()))
            }
            _ => return None,
        };
        let what = format!(
            "{key} is {state}: ingressPolicy isolated keeps no two pods of one bridge apart"
        );
        Some(Hindrance {
            kind: "sysctl",
            what,
            mend,
        })
    };
    keys.filter(|(_, is_used)| *is_used)
        .filter_map(find)
        .collect()
}

/// Fails if another chain of the same hook drops the pod's packets. No rule of the plugin can undo that.
fn refuse_closed_chain(
    choice: Choice,
    wanted: &Wanted,
    result: &AddResult,
) -> Result<(), SetupError> {
    let families = [false, true].map(|v6| wanted.of_family(v6).next().is_some());
    let links = closed::links_of(result);
    match closed::find(families, &links, closed::mark_of(choice))? {
        Some(closed) => Err(mismatch(format!(
            "firewall: {}; {}",
            closed.words(),
            closed.mend(choice, &links)
        ))),
        None => Ok(()),
    }
}

/// The plugin `firewall`.
#[derive(Debug, Clone, Copy)]
pub struct Firewall;

impl Plugin for Firewall {
    fn name(&self) -> &'static str {
        "firewall"
    }

    fn versions(&self) -> &'static [Version] {
        // As upstream. It needs prevResult, which came with 0.3.0, and CHECK, which came with 0.4.0.
        &[Version::V0_4_0, Version::V1_0_0, Version::V1_1_0]
    }

    fn validate(&self, conf: &PluginConf) -> Result<Needs, Error> {
        Plan::new(conf)?;
        Ok(Needs::PREV_RESULT)
    }

    fn add<'r>(
        &self,
        request: &'r AddRequest<'r>,
        undo: &mut Undo<'r>,
    ) -> Result<AddResult, Error> {
        let plan = Plan::new(request.conf)?;
        let result = request.prev_result()?.ok_or_else(missing_prev_result)?;
        let wanted = Wanted::new(&plan, &result)?;
        let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
        let backend = backend::choose(plan.backend)?;
        let (ips, links) = (wanted.ips.clone(), wanted.links.clone());
        let zone = plan.zone.clone();
        let chosen = backend.choice();
        // Registered first: what fails half way is taken back as well.
        undo.on_failure("remove the firewall rules", move || {
            remove_by(chosen, owner, (&ips, &links), &zone, false)
        });
        match backend {
            Backend::Iptables => iptables::create(owner, &wanted)?,
            Backend::Nftables => nftables::create(owner, &wanted)?,
            Backend::Firewalld(mut firewalld) => {
                firewalld.add(&plan.zone, &wanted.ips)?;
                keep_apart(owner, &wanted)?;
            }
        }
        Ok(result)
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        let plan = Plan::new(request.conf)?;
        let made = request
            .conf
            .prev_result()?
            .ok_or_else(missing_prev_result)?;
        let wanted = Wanted::new(&plan, &made)?;
        let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
        let backend = backend::choose(plan.backend)?;
        let choice = backend.choice();
        match backend {
            Backend::Iptables => iptables::check(owner, &wanted)?,
            Backend::Nftables => nftables::check(owner, &wanted)?,
            Backend::Firewalld(mut firewalld) => {
                firewalld.check(&plan.zone, &wanted.ips)?;
                check_apart(owner, &wanted)?;
            }
        }
        Ok(refuse_closed_chain(choice, &wanted, &made)?)
    }

    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        if record::lives_elsewhere(request) {
            return Ok(());
        }
        let plan = Plan::lenient(request.conf);
        let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
        let result = request.prev_result().unwrap_or_default();
        let (ips, links) = (addresses(&result), host_links(&result));
        remove_by(plan.backend, owner, (&ips, &links), &plan.zone, true)
    }

    fn hindrances(
        &self,
        conf: &PluginConf,
        view: &NetworkView<'_>,
    ) -> Result<Vec<Hindrance>, Error> {
        let mut found = unseen_bridge_traffic(conf, view);
        // If the kernel cannot be asked, nothing is reported here: STATUS does that.
        found.extend(closed_chain(conf, view).unwrap_or_default());
        Ok(found)
    }

    fn owned(&self) -> &'static [Owned] {
        OWNED
    }

    fn status(&self, request: &StatusRequest<'_>) -> Result<(), Error> {
        let plan = Plan::new(request.conf)?;
        let unavailable =
            |fault: SetupError| Error::new(code::PLUGIN_NOT_AVAILABLE, fault.to_string());
        match backend::choose(plan.backend).map_err(unavailable)? {
            Backend::Firewalld(mut firewalld) => firewalld.require().map_err(unavailable),
            Backend::Iptables => backend::require_iptables().map_err(unavailable),
            Backend::Nftables => backend::require_nftables().map_err(unavailable),
        }
    }

    fn describe(&self, forecast: &mut Forecast<'_>) -> Result<(), Error> {
        let plan = Plan::new(&forecast.conf)?;
        match plan.backend {
            Choice::Nftables => nftables::describe(forecast),
            Choice::Iptables => foretell::iptables(forecast, "filter"),
            Choice::Any | Choice::Firewalld => match backend::choose(plan.backend)? {
                Backend::Firewalld(_) => forecast.makes("firewalld source", plan.zone),
                Backend::Iptables => foretell::iptables(forecast, "filter"),
                Backend::Nftables => nftables::describe(forecast),
            },
        }
        Ok(())
    }

    plan_door!(|conf, _| Wanted::new(&Plan::new(conf)?, &conf.prev_result()?.unwrap_or_default()));
}

/// Removes what the attachment has. The configuration need not say in which packet filter that is, so
/// all are searched that it does not rule out. With `foreign`, the Go plugin's rules are removed too.
fn remove_by(
    choice: Choice,
    owner: Owner<'_>,
    (ips, links): (&[IpAddr], &[String]),
    zone: &str,
    foreign: bool,
) -> Result<(), Error> {
    let mut cleanup = Cleanup::new();
    match Nftables::open() {
        Ok(nftables) => {
            let by_nftables = nftables::remove(&nftables, owner, ips, links);
            let found = matches!(by_nftables, Ok(true));
            cleanup.step("remove nftables' rules", by_nftables.map(drop));
            let foreign = foreign && !found && choice != Choice::Nftables;
            let by_iptables = iptables::remove(&nftables, owner, ips, foreign);
            cleanup.step("remove iptables' rules", by_iptables);
        }
        Err(fault) => cleanup.step("remove the rules", Err(fault)),
    }
    if matches!(choice, Choice::Firewalld | Choice::Any) && !ips.is_empty() {
        // Without firewalld there is nothing of it.
        if let Some(mut firewalld) = firewalld::Firewalld::if_running() {
            let removed = firewalld.remove(zone, ips);
            cleanup.step("remove firewalld's sources", removed);
        }
    }
    cleanup.finish()
}

/// Applies `ingressPolicy` by the host's packet filter, since firewalld has no such policy.
fn keep_apart(owner: Owner<'_>, wanted: &Wanted) -> Result<(), SetupError> {
    match packet_filter() {
        Backend::Iptables => iptables::keep_apart(owner, wanted),
        _ => nftables::create(owner, &wanted.without_addresses()),
    }
}

fn check_apart(owner: Owner<'_>, wanted: &Wanted) -> Result<(), SetupError> {
    match packet_filter() {
        _ if wanted.bridge.is_none() => Ok(()),
        Backend::Iptables => iptables::check_apart(owner, wanted),
        _ => nftables::check(owner, &wanted.without_addresses()),
    }
}
