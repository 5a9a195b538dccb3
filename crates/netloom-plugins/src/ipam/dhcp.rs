//! dhcp: addresses from a DHCP server on the pod's own network.
//!
//! A lease must be kept for as long as the pod lives, so there is a daemon (`dhcp daemon`), which
//! the plugin asks over a socket. Plugin and daemon speak the reference's protocol, so that either
//! may be the reference's.
//!
//! The plugin makes nothing itself. The daemon sets the pod's link up if it is down, and sets it
//! down when its lease is lost. It keeps a file for each attachment, see `store`, from which it
//! goes on after a restart, and from which DEL and GC can give a lease back while no daemon runs.

mod attachment;
mod client;
mod client4;
mod client6;
mod clock;
mod config;
pub(crate) mod daemon;
mod domains;
mod error;
mod flags;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod gob;
mod identity;
mod log;
mod offline;
mod port;
mod port6;
mod retry;
pub(crate) mod rpc;
mod store;
mod text;
mod times;
mod v4;
mod v6;

use config::{Wanted, socket};
use error::DhcpError;
use identity::Identity;
use netloom_plugin::forecast::Forecast;
use netloom_plugin::host::ClaimedAddress;
use netloom_plugin::{
    AddRequest, AddResult, CheckRequest, Context, DelRequest, Error, Found, GcRequest, Needs,
    Owned, Plugin, StatusRequest, Undo,
};
use netloom_spec::{NetworkName, PluginConf};
use rpc::client::{CallError, Client};
use rpc::{CmdArgs, Method};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// The files of leases that GC gives back, and the files that are none. GC has the daemon do it.
const OWNED: Owned = Owned::of_conf("DHCP lease", |scope, _| {
    let socket = socket(scope.conf);
    let (stale, broken) = offline::stale(&socket, scope.network.as_str(), scope.valid)?;
    let stale = stale.into_iter().map(|path| path.display().to_string());
    let stale = stale.map(Found::collectable);
    Ok(stale.chain(broken.into_iter().map(Found::broken)).collect())
});

/// The plugin dhcp.
#[derive(Debug)]
pub struct Dhcp;

/// How long an ADD waits for the daemon, which itself gives up after 208 s unless told otherwise.
const ADD_LIMIT: Duration = Duration::from_secs(300);

/// How long everything else waits: the daemon answers at once.
const LIMIT: Duration = Duration::from_secs(10);

impl Plugin for Dhcp {
    fn name(&self) -> &'static str {
        "dhcp"
    }

    fn command_line(&self, arguments: &[OsString]) -> Option<ExitCode> {
        let (first, rest) = arguments.split_first()?;
        (first == "daemon").then(|| daemon::main(rest))
    }

    fn validate(&self, conf: &PluginConf) -> Result<Needs, Error> {
        Wanted::new(conf, "")?;
        Ok(Needs::default())
    }

    fn add<'r>(
        &self,
        request: &'r AddRequest<'r>,
        undo: &mut Undo<'r>,
    ) -> Result<AddResult, Error> {
        Wanted::new(request.conf, request.args)?;
        let args = cmd_args(request, attached(request))?;
        let socket = socket(request.conf);
        let client = Client::connect(&socket, ADD_LIMIT).map_err(DhcpError::from)?;
        // Before the call: the daemon may have a lease whose description does not arrive.
        let released = args.clone();
        undo.on_failure("release the lease", move || {
            Ok(call(&socket, Method::Release, &released).map_err(DhcpError::from)?)
        });
        Ok(client
            .result(Method::Allocate, &args)
            .map_err(DhcpError::from)?)
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        Wanted::new(request.conf, request.args)?;
        let attached = Attached {
            container_id: request.container_id.as_str(),
            netns: request.netns,
            if_name: request.if_name.as_str(),
            args: request.args,
        };
        let args = cmd_args(request, attached)?;
        let lease = held(&socket(request.conf), &args).map_err(DhcpError::from)?;
        match request.conf.prev_result()? {
            Some(previous) => Ok(require_listed(&lease, &previous)?),
            None => Ok(()),
        }
    }

    /// Needs only the names and `daemonSocketPath`. Without a daemon the lease is given back from
    /// its file: a daemon that does not run must not keep a pod from being removed. One that runs and
    /// does not answer has the lease still, and would keep it.
    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        let socket = socket(request.conf);
        let identity = Identity {
            container_id: request.container_id.as_str().to_owned(),
            network: request.network().as_str().to_owned(),
            if_name: request.if_name.as_str().to_owned(),
        };
        let attached = Attached {
            container_id: &identity.container_id,
            netns: request.netns.unwrap_or_default(),
            if_name: &identity.if_name,
            args: request.args,
        };
        let args = cmd_args(request, attached)?;
        match call(&socket, Method::Release, &args) {
            Ok(()) => Ok(()),
            Err(error @ CallError::Refused { .. }) => Err(DhcpError::from(error).into()),
            Err(error) => {
                let released = offline::release(&socket, &identity);
                for fault in released.map_err(|held| Error::from(held).context(&error))? {
                    request.warn(&format!("{error}; {fault}"));
                }
                Ok(())
            }
        }
    }

    fn owned(&self) -> &'static [Owned] {
        &[OWNED]
    }

    fn claims(
        &self,
        conf: &PluginConf,
        network: &NetworkName,
    ) -> Result<Vec<ClaimedAddress>, Error> {
        let leased = offline::leased(&socket(conf), network.as_str())?;
        Ok(leased.into_iter().map(Into::into).collect())
    }

    fn speaks_through_link(&self) -> bool {
        true
    }

    /// More than an ADD waits for the daemon, which tries for minutes to get a lease.
    fn add_limit(&self) -> Option<Duration> {
        Some(ADD_LIMIT + Duration::from_secs(20))
    }

    fn gc(&self, request: &GcRequest<'_>) -> Result<(), Error> {
        let Some(valid) = &request.valid else {
            request.warn("GC without cni.dev/valid-attachments, nothing is removed");
            return Ok(());
        };
        let socket = socket(request.conf);
        let args = CmdArgs {
            stdin: request.stdin().to_vec(),
            ..CmdArgs::default()
        };
        match call(&socket, Method::Collect, &args) {
            Ok(()) => Ok(()),
            Err(error @ CallError::NoMethod(_)) => {
                request.warn(&format!("{error}; its leases end when they expire"));
                Ok(())
            }
            Err(error) if error.is_unreachable() => {
                let collected = offline::collect(&socket, request.network().as_str(), valid);
                collected.map_err(|fault| Error::from(fault).context(error))
            }
            Err(error @ CallError::Refused { .. }) => Err(DhcpError::from(error).into()),
            Err(error) => Err(offline::unanswered(&socket, error)),
        }
    }

    fn status(&self, request: &StatusRequest<'_>) -> Result<(), Error> {
        Wanted::new(request.conf, "")?;
        match Client::connect(&socket(request.conf), LIMIT) {
            Ok(_) => Ok(()),
            Err(error) => Err(DhcpError::NotAvailable(error).into()),
        }
    }

    fn describe(&self, forecast: &mut Forecast<'_>) -> Result<(), Error> {
        forecast.is_open = true;
        forecast.makes("lease", format!("of {} by a DHCP server", forecast.if_name));
        Ok(())
    }

    plan_door!(config::Wanted::new);
}

/// What names an attachment in a call.
struct Attached<'a> {
    container_id: &'a str,
    netns: &'a str,
    if_name: &'a str,
    args: &'a str,
}

fn attached<'a>(request: &'a AddRequest<'_>) -> Attached<'a> {
    Attached {
        container_id: request.container_id.as_str(),
        netns: request.netns,
        if_name: request.if_name.as_str(),
        args: request.args,
    }
}

fn cmd_args(context: &Context<'_>, attached: Attached<'_>) -> Result<CmdArgs, DhcpError> {
    let netns = port::absolute(attached.netns).map_err(|cause| DhcpError::Netns {
        path: attached.netns.to_owned(),
        cause,
    })?;
    let path = context.env().get("CNI_PATH").unwrap_or_default();
    Ok(CmdArgs {
        container_id: attached.container_id.to_owned(),
        netns,
        if_name: attached.if_name.to_owned(),
        args: attached.args.to_owned(),
        path: path.to_string_lossy().into_owned(),
        stdin: context.stdin().to_vec(),
    })
}

fn call(socket: &Path, method: Method, args: &CmdArgs) -> Result<(), CallError> {
    Client::connect(socket, LIMIT)?.nothing(method, args)
}

/// The lease there is. The reference's daemon can only be asked for one, and makes one if there is
/// none.
fn held(socket: &Path, args: &CmdArgs) -> Result<AddResult, CallError> {
    match Client::connect(socket, LIMIT)?.result(Method::Check, args) {
        Err(CallError::NoMethod(_)) => {
            Client::connect(socket, ADD_LIMIT)?.result(Method::Allocate, args)
        }
        result => result,
    }
}

/// Every leased address must be one that the pod was given.
fn require_listed(lease: &AddResult, previous: &AddResult) -> Result<(), DhcpError> {
    let missing = lease.ips.iter().find(|leased| {
        let same = |ip: &netloom_spec::IpConfig| ip.address.addr() == leased.address.addr();
        !previous.ips.iter().any(same)
    });
    let Some(missing) = missing else {
        return Ok(());
    };
    let listed: Vec<String> = (previous.ips.iter())
        .map(|ip| ip.address.to_string())
        .collect();
    Err(DhcpError::NotInPrevResult {
        leased: missing.address.to_string(),
        previous: listed.join(", "),
    })
}
