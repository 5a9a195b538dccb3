//! flannel: attaches a pod by another plugin, configured for the subnet that flanneld got for this
//! host.
//!
//! | object | owner |
//! |---|---|
//! | `<dataDir>/<container id>`, the configuration that the delegate was called with | the attachment |
//! | all that the delegate makes | the delegate's, see there |
//!
//! DEL and CHECK call the delegate with what ADD saved: by then flanneld may have another subnet,
//! or be gone.

mod check;
mod gc;
mod plan;
mod store;
pub(crate) mod subnet_env;

use crate::wiring::owner::Owner;
use crate::wiring::{SetupError, record};
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::Socket;
use netloom_plugin::forecast::Forecast;
use netloom_plugin::{
    AddRequest, AddResult, CheckRequest, Cleanup, DelRequest, Error, GcRequest, Needs, Owned,
    Plugin, StatusRequest, Undo, code,
};
use netloom_spec::{NetworkName, PluginConf};
use plan::Plan;
use store::Store;
use subnet_env::SubnetEnv;

/// The delegate would refuse it too, but the DEL after that would take the interface for its own.
fn refuse_taken_name(request: &AddRequest<'_>) -> Result<(), SetupError> {
    let (name, netns) = (request.if_name.as_str(), request.netns);
    // What is wrong with the namespace, the delegate tells.
    let Ok(inside) = Netns::open(netns) else {
        return Ok(());
    };
    let look = || Socket::open_in(&inside)?.find_link(name);
    match look().map_err(SetupError::kernel(format!("look up {name:?}")))? {
        None => Ok(()),
        Some(_) => Err(SetupError::NameTaken {
            name: name.to_owned(),
            netns: netns.to_owned(),
        }),
    }
}

/// The plugin `flannel`.
#[derive(Debug, Clone, Copy)]
pub struct Flannel;

impl Plugin for Flannel {
    fn name(&self) -> &'static str {
        "flannel"
    }

    fn release(&self) -> &'static str {
        "v1.9.1-flannel1"
    }

    fn title(&self) -> String {
        let machine = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let release = self.release();
        format!("CNI Plugin flannel version {release} (linux/{machine}) commit unknown")
    }

    fn validate(&self, conf: &PluginConf) -> Result<Needs, Error> {
        Plan::new(conf)?;
        Ok(Needs::default())
    }

    fn add<'r>(
        &self,
        request: &'r AddRequest<'r>,
        undo: &mut Undo<'r>,
    ) -> Result<AddResult, Error> {
        let plan = Plan::new(request.conf)?;
        let conf = plan.render(&SubnetEnv::load(&plan.subnet_file)?)?;
        let store = Store::at(&plan.data_dir);
        let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
        let delegate = request.delegate(conf.plugin_type());
        delegate.look_up()?;
        record::refuse_second(request)?;
        refuse_taken_name(request)?;
        store.save(owner, &conf)?;
        let delegate = delegate.with_conf(conf);
        // After a failed ADD its DEL has been run, but not told whether it failed too. Only after a
        // DEL that succeeded is the file of no more use.
        let outcome = delegate.add(&mut Undo::new());
        undo.on_failure(
            format!("DEL of the delegate {}", delegate.kind()),
            move || {
                delegate.del()?;
                store.forget(owner, None)
            },
        );
        outcome
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        check::check(request)
    }

    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        let is_elsewhere = record::lives_elsewhere(request);
        let store = Store::of(request.conf);
        let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
        let Some(saved) = store.find(owner)? else {
            if !is_elsewhere {
                // The reference's DEL of the delegate does not know of it.
                record::forget(owner)?;
            }
            return store.forget(owner, None);
        };
        let rendered = || {
            let plan = Plan::new(request.conf).ok()?;
            plan.render(&SubnetEnv::load(&plan.subnet_file).ok()?).ok()
        };
        let found = saved.path.display();
        if saved.conf.is_none() {
            request.warn(&format!("{found} is no configuration"));
        }
        match saved.conf.clone().or_else(rendered) {
            Some(conf) => {
                let conf = with_result(conf, request.conf);
                let delegate = request.delegate(conf.plugin_type()).with_conf(conf);
                delegate.del()?;
            }
            None => request.warn("there is no other configuration: the delegate is not called"),
        }
        // The delegate has left it alone too, but for a foreign IPAM.
        if is_elsewhere {
            return Ok(());
        }
        store.forget(owner, Some(&saved))
    }

    /// What the delegates made is theirs.
    fn owned(&self) -> &'static [Owned] {
        &[gc::OWNED]
    }

    fn delegates(&self, conf: &PluginConf, network: &NetworkName) -> Vec<PluginConf> {
        gc::all_delegates(conf, network)
    }

    fn gc(&self, request: &GcRequest<'_>) -> Result<(), Error> {
        let mut cleanup = Cleanup::new();
        gc::collect(request, &mut cleanup);
        cleanup.finish()
    }

    fn status(&self, request: &StatusRequest<'_>) -> Result<(), Error> {
        let plan = Plan::new(request.conf)?;
        let env = SubnetEnv::load(&plan.subnet_file)
            .map_err(|error| Error::new(code::PLUGIN_NOT_AVAILABLE, error.to_string()))?;
        let conf = plan.render(&env)?;
        request
            .delegate(conf.plugin_type())
            .with_conf(conf)
            .status()
    }

    fn describe(&self, forecast: &mut Forecast<'_>) -> Result<(), Error> {
        let plan = Plan::new(&forecast.conf)?;
        let env = SubnetEnv::load(&plan.subnet_file)
            .map_err(|error| Error::new(code::PLUGIN_NOT_AVAILABLE, error.to_string()))?;
        let conf = plan.render(&env)?;
        forecast.ask(conf)
    }

    plan_door!(|conf, _| Plan::new(conf)?.render(&subnet_env::fuzzing::sample()));
}

/// A saved configuration with the result of the request, if both speak one version: a delegate
/// finds more with it.
fn with_result(mut conf: PluginConf, request: &PluginConf) -> PluginConf {
    if let Some(made) = request.get("prevResult")
        && conf.cni_version() == request.cni_version()
    {
        conf.set("prevResult", made.clone());
    }
    conf
}
