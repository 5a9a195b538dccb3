//! What a plugin author implements.

use crate::{AddRequest, CheckRequest, DelRequest, GcRequest, StatusRequest, Undo};
use netloom_spec::{AddResult, Error, PluginConf, Version};
use std::ffi::OsString;
use std::process::ExitCode;

/// One CNI plugin, of any kind: interface, chained or IPAM.
///
/// The framework calls at most one of the five operations per process, after it has checked the
/// environment, the network's name and the version. An operation reports by its return value only:
/// it must not write to stdout.
pub trait Plugin: Sync {
    /// The name of the executable, which is the `type` in a configuration: `"bridge"`.
    fn name(&self) -> &'static str;

    /// The versions of the CNI spec this plugin speaks, in ascending order. All of them unless
    /// the plugin says otherwise.
    fn versions(&self) -> &'static [Version] {
        &Version::ALL
    }

    /// The release at the end of the first line that is printed when somebody runs the plugin without
    /// a command. Programs read it there (nerdctl the firewall's): a plugin that stands in for the
    /// reference's gives the reference's release whose behaviour it offers.
    fn release(&self) -> &'static str {
        "version unknown"
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
    /// configurations of version 0.4.0 and later.
    ///
    /// # Errors
    /// What is missing or wrong.
    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error>;

    /// DEL: removes the attachment. What is absent already is success, so that a repeated DEL
    /// succeeds; past an error it goes on and reports all of them, see [`Cleanup`](crate::Cleanup).
    ///
    /// # Errors
    /// What could not be removed.
    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error>;

    /// GC: removes everything of this network that belongs to none of the valid attachments.
    /// Called only for configurations of version 1.1.0 and later.
    ///
    /// # Errors
    /// What could not be removed.
    fn gc(&self, request: &GcRequest<'_>) -> Result<(), Error> {
        let _ = request;
        Ok(())
    }

    /// STATUS: says whether an ADD could be served now. Called only for configurations of version
    /// 1.1.0 and later.
    ///
    /// # Errors
    /// Code 50 when an ADD cannot be served, code 51 when existing containers suffer as well.
    fn status(&self, request: &StatusRequest<'_>) -> Result<(), Error> {
        let _ = request;
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
