//! The portmap plugin: leads ports of the host to a pod.
//!
//! | object | owner |
//! |---|---|
//! | nf_tables: elements in the maps and sets of `ip`/`ip6 cni_hostport` | the attachment |
//! | nf_tables: the table, its chains, maps and sets | shared, stay |
//! | nf_tables: a chain and maps for each network with conditions | the network |
//! | iptables: chain `CNI-DN-…` in `nat`, and what leads to it | the container on the network |
//! | iptables: `CNI-HOSTPORT-DNAT`, `-SETMARK`, `-MASQ`, and the guard in `raw` | shared, stay |
//! | iptables: elements for `::1` in nf_tables' `ip6 cni_hostport` | the attachment |
//! | `route_localnet` of the link to the pod | shared, stays |
//!
//! It is chained behind a plugin that makes an interface. The result of that plugin has the pod's
//! addresses, and portmap returns it unchanged. Nothing reserves a port: of several pods that map one,
//! the pod that was added last has it. When that pod goes, the one before has it again.

mod conditions;
mod config;
mod flows;
mod iptables;
mod localhost;
mod mapping;
mod nftables;
mod plan;
mod refusal;

use crate::wiring::SetupError;
use crate::wiring::check::mismatch;
use crate::wiring::foretell;
use crate::wiring::masquerade::{Backend, BackendChoice};
use crate::wiring::nftables::Nftables;
use crate::wiring::owner::Owner;
use crate::wiring::record;
use crate::wiring::setup_error::invalid;
use netloom_kernel::iptables::{Family, is_available};
use netloom_kernel::rtnl::{Scope, Socket};
use netloom_plugin::forecast::{Effect, Forecast, Spot};
use netloom_plugin::host::{ClaimedAddress, Hindrance, Mend, NetworkView};
use netloom_plugin::{AddRequest, CheckRequest, DelRequest, Needs, StatusRequest};
use netloom_plugin::{Owned, Plugin, Undo, code};
use netloom_spec::{AddResult, Error, NetworkName, PluginConf};
use nftables::RemovalHints;
use plan::{Masquerade, Plan, Pod};

/// The addresses to which ports lead in a network, and their owners, from both packet filters.
fn claims(network: &str) -> Result<Vec<ClaimedAddress>, Error> {
    let mut claims = nftables::claims(network)?;
    claims.extend(iptables::claims(network)?);
    Ok(claims)
}

/// What GC removes.
const OWNED: &[Owned] = &[
    Owned::of_network("nftables port mapping", nftables::sweep),
    Owned::of_network("iptables port mapping", iptables::sweep),
];

/// The link to which kube-proxy gives the addresses of all services if it works by IPVS.
const SERVICES: &str = "kube-ipvs0";

/// Warns of addresses on that link. They are the host's own for portmap, so what is sent to a service
/// goes to a pod whose hostPort is the service's port. The keys `conditionsV4` and `conditionsV6` can
/// prevent that.
fn service_addresses(conf: &PluginConf) -> netloom_kernel::Result<Vec<Hindrance>> {
    let socket = Socket::open()?;
    let Some(link) = socket.find_link(SERVICES)? else {
        return Ok(Vec::new());
    };
    let mut listed = socket.list_addresses(link.index)?;
    listed.retain(|it| it.scope == Scope::Universe);
    let find = |(v6, key): (bool, &str)| {
        let mut addresses = listed.iter().map(|it| it.address.addr());
        let service = addresses.find(|ip| ip.is_ipv6() == v6)?;
        conf.get(key).is_none().then(|| Hindrance {
            kind: "conflict",
            what: format!(
                "hostPorts are led to pods at services' addresses of {SERVICES} too, as {service}"
            ),
            mend: Mend::Say(format!(
                "spare the services' range by {key}, as docs/plugins/portmap.md has it"
            )),
        })
    };
    let families = [(false, "conditionsV4"), (true, "conditionsV6")];
    Ok(families.into_iter().filter_map(find).collect())
}

/// The plugin `portmap`.
#[derive(Debug, Clone, Copy)]
pub struct Portmap;

impl Plugin for Portmap {
    fn name(&self) -> &'static str {
        "portmap"
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
        let result = request.prev_result()?;
        let Some(result) = result else {
            return Err(invalid(
                "must be called as chained plugin: there is no prevResult, put portmap behind the \
                 plugin that makes the interface",
            ));
        };
        if plan.mappings.is_empty() {
            return Ok(result);
        }
        let backend = plan.backend_for_add()?;
        let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
        let pod = Pod::of(&result, request.if_name.as_str());
        let wanted = Wanted::new(owner, &plan, &pod, backend)?;
        let undone = plan.clone();
        // Registered first: what fails half way is taken back as well.
        undo.on_failure("remove the port mappings", move || {
            let hints = RemovalHints {
                plan: Some(&undone),
                pod,
            };
            remove(owner, BackendChoice::Only(backend), &hints)
                .map(drop)
                .map_err(Error::from)
        });
        wanted.create()?;
        if let Some(v4) = pod.v4.filter(|_| plan.masquerade != Masquerade::Nobody) {
            localhost::ensure(v4)?;
        }
        flows::forget_stale(request, &nftables::mapped(&plan.mappings, &pod));
        Ok(result)
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        let plan = Plan::new(request.conf)?;
        let result = request.prev_result()?;
        if plan.mappings.is_empty() {
            return Ok(());
        }
        let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
        let pod = Pod::of(&result, request.if_name.as_str());
        check(owner, &plan, &pod)
    }

    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        if record::lives_elsewhere(request) {
            return Ok(());
        }
        let plan = Plan::new(request.conf).ok();
        // Without mappings in it the plan says nothing: the runtime may have left them out.
        let plan = plan.filter(|plan| !plan.mappings.is_empty());
        let choice = plan
            .as_ref()
            .map_or(BackendChoice::Any, |plan| plan.backend);
        let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
        let result = request.prev_result();
        let hints = RemovalHints {
            plan: plan.as_ref(),
            pod: result.map_or_else(Pod::default, |result| {
                Pod::of(&result, request.if_name.as_str())
            }),
        };
        let removed = remove(owner, choice, &hints);
        let mut gone = removed.as_ref().cloned().unwrap_or_default();
        if let Some(plan) = &plan {
            gone.extend(nftables::mapped(&plan.mappings, &hints.pod));
        }
        flows::forget_gone(request, &gone);
        Ok(removed.map(drop)?)
    }

    fn hindrances(&self, conf: &PluginConf, _: &NetworkView<'_>) -> Result<Vec<Hindrance>, Error> {
        let find = || service_addresses(conf);
        Ok(find().map_err(SetupError::kernel(format!("look for {SERVICES}")))?)
    }

    fn owned(&self) -> &'static [Owned] {
        OWNED
    }

    fn claims(&self, _: &PluginConf, network: &NetworkName) -> Result<Vec<ClaimedAddress>, Error> {
        claims(network.as_str())
    }

    fn status(&self, request: &StatusRequest<'_>) -> Result<(), Error> {
        let plan = Plan::new(request.conf)?;
        let unusable = match plan.backend_for_add()? {
            Backend::Iptables if is_available(Family::V4) => return Ok(()),
            Backend::Iptables => "there is no iptables-restore in PATH".to_owned(),
            Backend::Nftables => match nftables::is_usable() {
                Ok(()) => return Ok(()),
                Err(error) => error.to_string(),
            },
        };
        let msg = format!("ports cannot be mapped: {unusable}");
        Err(Error::new(code::PLUGIN_NOT_AVAILABLE, msg))
    }

    fn describe(&self, forecast: &mut Forecast<'_>) -> Result<(), Error> {
        let plan = Plan::new(&forecast.conf)?;
        if plan.mappings.is_empty() {
            let why = "of the host: none is to be published";
            forecast.tell(Effect::LeavesAlone, Spot::Host, "ports", why);
            return Ok(());
        }
        match plan.backend_for_add()? {
            Backend::Iptables => {
                foretell::iptables(forecast, "nat");
                foretell::iptables(forecast, "raw");
            }
            Backend::Nftables => nftables::describe(forecast),
        }
        Ok(())
    }

    plan_door!(|conf, _| Plan::new(conf));
}

/// What ADD makes, by one of the packet filters.
#[derive(Debug)]
enum Wanted {
    Nftables(nftables::Request),
    Iptables(iptables::Request, nftables::Loopback),
}

impl Wanted {
    /// Decides what to make. Nothing is touched.
    fn new(owner: Owner<'_>, plan: &Plan, pod: &Pod, backend: Backend) -> Result<Self, Error> {
        let source = localhost::source(pod.v6)?;
        Ok(match backend {
            Backend::Nftables => Self::Nftables(nftables::Request::new(owner, plan, pod, source)?),
            Backend::Iptables => Self::Iptables(
                iptables::Request::new(owner, plan, pod),
                nftables::Loopback::new(owner, plan, source),
            ),
        })
    }

    fn create(&self) -> Result<(), SetupError> {
        match self {
            Self::Nftables(request) => request.create(),
            Self::Iptables(request, loopback) => {
                request.create()?;
                loopback.create()
            }
        }
    }
}

/// Fails unless everything is there, in the packet filter that the configuration names. If it names
/// none, either of the two will do.
fn check(owner: Owner<'_>, plan: &Plan, pod: &Pod) -> Result<(), Error> {
    let by_nftables = || -> Result<(), Error> {
        let source = localhost::source(pod.v6)?;
        let request = nftables::Request::new(owner, plan, pod, source)?;
        Ok(request.check(owner.container_id)?)
    };
    let by_iptables = || {
        iptables::Request::new(owner, plan, pod).check()?;
        let source = localhost::source(pod.v6)?;
        nftables::Loopback::new(owner, plan, source).check(owner)
    };
    match plan.backend {
        BackendChoice::Only(Backend::Nftables) => by_nftables()?,
        BackendChoice::Only(Backend::Iptables) => by_iptables()?,
        BackendChoice::Any => {
            if let Err(first) = by_iptables()
                && let Err(second) = by_nftables()
            {
                return Err(mismatch(format!("{first}, and {}", second.msg)).into());
            }
        }
    }
    let localhost = pod.v4.filter(|_| plan.masquerade != Masquerade::Nobody);
    if let Some(v4) = localhost
        && let Some(closed) = localhost::closed(v4)?
    {
        return Err(mismatch(format!("127.0.0.1 does not lead to the pod: {closed}")).into());
    }
    Ok(())
}

/// Removes the mappings from both packet filters, because the configuration need not say which
/// they went to.
fn remove(
    owner: Owner<'_>,
    choice: BackendChoice,
    hints: &RemovalHints<'_>,
) -> Result<Vec<nftables::Mapped>, SetupError> {
    let nftables = Nftables::open()?;
    let by_nftables = nftables::remove(&nftables, owner, hints);
    let by_iptables = iptables::remove(&nftables, owner, choice, hints);
    let mapped = by_nftables?;
    by_iptables?;
    Ok(mapped)
}
