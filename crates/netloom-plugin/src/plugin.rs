//! What a plugin author implements.

use crate::forecast::Forecast;
use crate::host::{ClaimedAddress, Forgotten, Hindrance, HostLink, NetworkView, Pool};
use crate::inventory::{self, Orphan, Owned, Scope};
use crate::{AddRequest, CheckRequest, DelRequest, GcRequest, StatusRequest};
use crate::{Cleanup, Undo, about};
use netloom_spec::{AddResult, Error, NetworkName, PluginConf, Version};
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

/// One CNI plugin, of any kind: interface, chained or IPAM.
///
/// The framework calls at most one of the five operations per process, after it has checked the
/// environment, the network's name and the version. An operation reports by its return value only:
/// it must not write to stdout.
///
/// What stands behind the five operations tells about the plugin, for tools such as `netloom doctor`.
/// The defaults are right for a plugin that has nothing on the host.
pub trait Plugin: Sync {
    /// The name of the executable, which is the `type` in a configuration: `"bridge"`.
    fn name(&self) -> &'static str;

    /// The versions of the CNI spec this plugin speaks, in ascending order. All of them unless
    /// the plugin says otherwise.
    fn versions(&self) -> &'static [Version] {
        &Version::ALL
    }

    /// The release at the end of the first line that is printed when somebody runs the plugin without
    /// a command: `concat!("v", env!("CARGO_PKG_VERSION"))`, or what [`Maker`](crate::Maker) tells. Programs read it there (nerdctl the
    /// firewall's): a plugin that stands in for the reference's gives the reference's release whose
    /// behaviour it offers.
    fn release(&self) -> &'static str {
        about::release()
    }

    /// The whole of that first line, for a plugin whose reference has another form.
    fn title(&self) -> String {
        format!("CNI {} plugin {}", self.name(), self.release())
    }

    /// What the program does when a person or a service manager calls it with arguments after the
    /// plugin's name (`dhcp daemon`), which no runtime does. `None`: the arguments mean nothing to
    /// the plugin, and it is called as usual.
    fn command_line(&self, arguments: &[OsString]) -> Option<ExitCode> {
        let _ = arguments;
        None
    }

    /// Whether `netloom install` puts it among the plugins only when it is asked for by its name, because
    /// another program of that name may be wanted there.
    fn is_installed_only_when_asked_for(&self) -> bool {
        false
    }

    /// Judges a configuration as ADD does before its first effect: with its name and version, and
    /// without `CNI_ARGS` and `runtimeConfig`. Looks at nothing but the configuration. What ADD would
    /// refuse for the configuration's sake is refused here in the same words, because both ask the
    /// same code. A plugin that does not say refuses nothing.
    ///
    /// # Errors
    /// As ADD.
    fn validate(&self, conf: &PluginConf) -> Result<Needs, Error> {
        let _ = conf;
        Ok(Needs::default())
    }

    /// ADD: makes the attachment and describes it.
    ///
    /// Whatever is created is registered with `undo` at once; when this returns an error, panics,
    /// or its result cannot be delivered, the framework runs what was registered, last first.
    ///
    /// # Errors
    /// The CNI error to report.
    fn add<'r>(&self, request: &'r AddRequest<'r>, undo: &mut Undo<'r>)
    -> Result<AddResult, Error>;

    /// CHECK: compares what exists with `prevResult` and the configuration. Called only for
    /// configurations of version 0.4.0 and later. The default is for a plugin that makes nothing.
    ///
    /// # Errors
    /// What is missing or wrong.
    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        let _ = request;
        Ok(())
    }

    /// DEL: removes the attachment. What is absent already is success, so that a repeated DEL
    /// succeeds; past an error it goes on and reports all of them, see [`Cleanup`](crate::Cleanup). The
    /// default is for a plugin that makes nothing.
    ///
    /// # Errors
    /// What could not be removed.
    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        let _ = request;
        Ok(())
    }

    /// GC: removes everything of this network that belongs to none of the valid attachments.
    /// Called only for configurations of version 1.1.0 and later. Unless the plugin does otherwise,
    /// the IPAM plugin does its part, and what is [`owned`](Plugin::owned) and nobody's is removed.
    ///
    /// # Errors
    /// What could not be removed.
    fn gc(&self, request: &GcRequest<'_>) -> Result<(), Error> {
        let mut cleanup = Cleanup::new();
        cleanup.step("collect stale addresses", request.forward_to_ipam());
        request.collect(self.owned(), &mut cleanup);
        cleanup.finish()
    }

    /// STATUS: says whether an ADD could be served now. Called only for configurations of version
    /// 1.1.0 and later. Unless the plugin does otherwise, it is for the IPAM plugin to say.
    ///
    /// # Errors
    /// Code 50 when an ADD cannot be served, code 51 when existing containers suffer as well.
    fn status(&self, request: &StatusRequest<'_>) -> Result<(), Error> {
        request.forward_to_ipam()
    }

    /// The kinds of objects that the plugin makes for an attachment and that can outlive it.
    fn owned(&self) -> &'static [Owned] {
        &[]
    }

    /// What is owned of a network and belongs to none of the valid attachments, which GC would remove
    /// or leave to people. What cannot be read is told in the second list; it does not keep the rest
    /// from being looked at.
    fn inventory(&self, scope: &Scope<'_>) -> (Vec<Orphan>, Vec<Error>) {
        inventory::of_plugin(self.owned(), scope)
    }

    /// The configurations of the plugins that this one has do its work, IPAM not counted.
    fn delegates(&self, conf: &PluginConf, network: &NetworkName) -> Vec<PluginConf> {
        let _ = (conf, network);
        Vec::new()
    }

    /// The addresses that the plugin's files or objects are for, whoever added them, each with its owner.
    /// Whether that lives, the addresses show.
    ///
    /// # Errors
    /// When the files cannot be locked or read, or the kernel does not tell.
    fn claims(
        &self,
        conf: &PluginConf,
        network: &NetworkName,
    ) -> Result<Vec<ClaimedAddress>, Error> {
        let _ = (conf, network);
        Ok(Vec::new())
    }

    /// The pools of addresses that the plugin gives from, and how full they are.
    ///
    /// # Errors
    /// When the configuration is bad, or the files cannot be locked or read.
    fn pools(
        &self,
        conf: &PluginConf,
        network: &NetworkName,
        version: Version,
    ) -> Result<Vec<Pool>, Error> {
        let _ = (conf, network, version);
        Ok(Vec::new())
    }

    /// What the plugin's files in their default place hold of networks that are not known and of
    /// containers that do not live.
    ///
    /// # Errors
    /// When the place cannot be read.
    fn forgotten(
        &self,
        is_known: &dyn Fn(&str) -> bool,
        living: &[&str],
    ) -> Result<Vec<Forgotten>, Error> {
        let _ = (is_known, living);
        Ok(Vec::new())
    }

    /// The link on the host by which its pods are reached, if it makes one.
    fn host_link(&self, conf: &PluginConf) -> Option<HostLink> {
        let _ = conf;
        None
    }

    /// Whether the host forwards for its pods.
    fn is_gateway(&self, conf: &PluginConf) -> bool {
        let _ = conf;
        false
    }

    /// The kind of link, as the kernel calls it, that the host's kernel must have for a pod, or at
    /// least for some.
    ///
    /// # Errors
    /// When the configuration is bad.
    fn link_kind(&self, conf: &PluginConf) -> Result<Option<&'static str>, Error> {
        let _ = conf;
        Ok(None)
    }

    /// Whether what it gives to a pod is the host's, and the same for every pod.
    fn lends_devices(&self) -> bool {
        false
    }

    /// Whether an IPAM plugin talks to somebody by the pod's link, as DHCP does to give a lease back.
    /// One that does not only keeps books, and can do that when the link is gone.
    fn speaks_through_link(&self) -> bool {
        false
    }

    /// How long an ADD may take that waits for others, where that is longer than usual.
    fn add_limit(&self) -> Option<Duration> {
        None
    }

    /// What ADD would do, for whoever asks before it: one object after the other, with what is there
    /// already. Only looks. The default is for a plugin that makes nothing.
    ///
    /// # Errors
    /// As ADD, for what would keep it from beginning.
    fn describe(&self, forecast: &mut Forecast<'_>) -> Result<(), Error> {
        let _ = forecast;
        Ok(())
    }

    /// What on the host keeps its pods from working, though ADD succeeds.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn hindrances(
        &self,
        conf: &PluginConf,
        view: &NetworkView<'_>,
    ) -> Result<Vec<Hindrance>, Error> {
        let _ = (conf, view);
        Ok(Vec::new())
    }

    /// The door of the fuzz target `plans`: from a configuration and `CNI_ARGS` to what is going to be
    /// done. It is in no other build.
    ///
    /// # Errors
    /// What is wrong with them.
    #[cfg(fuzzing)]
    fn plan(&self, conf: &PluginConf, args: &str) -> Result<(), Error> {
        let _ = (conf, args);
        Ok(())
    }
}

/// What a valid configuration needs of the plugins around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// ADD calls the plugin that `ipam.type` names, if it names one, with the same configuration:
    /// that plugin's judgement counts too.
    pub addresses: bool,
    /// ADD wants the result of a plugin before it in the list.
    pub prev_result: bool,
}

impl Needs {
    /// Of a plugin that makes an interface and has its addresses from an IPAM plugin.
    pub const ADDRESSES: Self = Self {
        addresses: true,
        prev_result: false,
    };
    /// Of a plugin that works on what another one made.
    pub const PREV_RESULT: Self = Self {
        addresses: false,
        prev_result: true,
    };
}

/// The plugin of that name in a table of plugins.
pub fn find(plugins: &[&'static dyn Plugin], name: &str) -> Option<&'static dyn Plugin> {
    plugins.iter().copied().find(|plugin| plugin.name() == name)
}
