//! What a plugin is asked to do.

use crate::dispatch::Origin;
use crate::inventory::{Owned, Removal, Scope, Sweep};
use crate::{Cleanup, Delegate, Plugin};
use netloom_invoke::Env;
use netloom_spec::{
    AddResult, Attachment, ContainerId, Error, IfName, NetworkName, PluginConf, Version, code,
};
use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What all requests have in common.
pub struct Context<'a> {
    /// The configuration of this plugin, as the runtime sent it.
    pub conf: &'a PluginConf,
    /// The directories of `CNI_PATH`, in order.
    pub path: Vec<PathBuf>,
    pub(crate) plugin: &'static str,
    pub(crate) command: &'static str,
    pub(crate) network: NetworkName,
    pub(crate) version: Version,
    pub(crate) stdin: &'a [u8],
    pub(crate) env: &'a Env,
    pub(crate) registry: &'a [&'static dyn Plugin],
    pub(crate) origin: Origin,
    pub(crate) log: &'a dyn Fn(&[u8]),
}

impl Context<'_> {
    /// When the call must have ended that may wait for others for so long: a delegate called in
    /// process, and what is undone, have no time of their own.
    #[must_use]
    pub fn deadline(&self, patience: Duration) -> Instant {
        self.origin.begun + patience
    }

    /// The name of the network.
    #[must_use]
    pub fn network(&self) -> &NetworkName {
        &self.network
    }

    /// The version of the configuration, and so of the result.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The request exactly as it was read from stdin.
    #[must_use]
    pub fn stdin(&self) -> &[u8] {
        self.stdin
    }

    /// The environment of the call, `CNI_*` included. In a plugin called in process it is not the
    /// environment of the process.
    #[must_use]
    pub fn env(&self) -> &Env {
        self.env
    }

    /// The IPAM plugin this configuration asks for, if it asks for one.
    #[must_use]
    pub fn ipam(&self) -> Option<Delegate<'_>> {
        let kind = self.conf.ipam_type().filter(|kind| !kind.is_empty())?;
        Some(self.delegate(kind))
    }

    /// Another plugin, to be called with this request.
    #[must_use]
    pub fn delegate(&self, kind: &str) -> Delegate<'_> {
        Delegate::new(self, kind)
    }

    /// Forwards CHECK, DEL, GC or STATUS to the IPAM plugin. Success when there is none, or when this
    /// is that plugin.
    ///
    /// # Errors
    /// What the IPAM plugin reported.
    pub fn forward_to_ipam(&self) -> Result<(), Error> {
        match (self.ipam(), self.command) {
            (None, _) => Ok(()),
            (Some(ipam), _) if ipam.kind() == self.plugin => Ok(()),
            (Some(ipam), "CHECK") => ipam.check(),
            (Some(ipam), "DEL") => ipam.del(),
            (Some(ipam), "GC") => ipam.gc(),
            (Some(ipam), "STATUS") => ipam.status(),
            (Some(_), command) => {
                let msg = format!("{command} cannot be forwarded, use Delegate::add");
                Err(Error::new(code::INTERNAL, msg))
            }
        }
    }

    /// Forwards DEL to the IPAM plugin if that is another program's: for a DEL that is to leave its
    /// attachment alone. Only plugins of this program know of that by themselves.
    ///
    /// # Errors
    /// What the IPAM plugin reported.
    pub fn forward_to_foreign_ipam(&self) -> Result<(), Error> {
        match self.ipam() {
            Some(ipam) if ipam.is_foreign()? => ipam.del(),
            _ => Ok(()),
        }
    }

    /// Writes one line to stderr, where runtimes look for a plugin's log.
    pub fn warn(&self, message: &str) {
        let message = message.replace('\n', " ");
        let message = netloom_spec::terminal::one_line(&message);
        self.log(&format!("{}: {message}\n", self.plugin));
    }

    /// Writes text to stderr as it is.
    pub fn log(&self, text: &str) {
        (self.log)(text.as_bytes());
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("plugin", &self.plugin)
            .field("command", &self.command)
            .field("network", &self.network)
            .field("version", &self.version)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// ADD: make the attachment.
#[derive(Debug)]
pub struct AddRequest<'a> {
    pub(crate) context: Context<'a>,
    /// `CNI_CONTAINERID`.
    pub container_id: ContainerId,
    /// `CNI_IFNAME`.
    pub if_name: IfName,
    /// `CNI_NETNS`, exactly as passed; it is what `sandbox` in a result must say.
    pub netns: &'a str,
    /// `CNI_ARGS`, raw.
    pub args: &'a str,
}

impl AddRequest<'_> {
    /// The result of the plugin before this one in the chain, if there is one.
    ///
    /// # Errors
    /// The `prevResult` is there but cannot be read.
    pub fn prev_result(&self) -> Result<Option<AddResult>, Error> {
        self.context.conf.prev_result()
    }
}

/// CHECK: compare the attachment with what it should be.
#[derive(Debug)]
pub struct CheckRequest<'a> {
    pub(crate) context: Context<'a>,
    /// `CNI_CONTAINERID`.
    pub container_id: ContainerId,
    /// `CNI_IFNAME`.
    pub if_name: IfName,
    /// `CNI_NETNS`, exactly as passed.
    pub netns: &'a str,
    /// `CNI_ARGS`, raw.
    pub args: &'a str,
}

impl CheckRequest<'_> {
    /// The result of the whole ADD.
    ///
    /// # Errors
    /// The `prevResult` is absent or cannot be read.
    pub fn prev_result(&self) -> Result<AddResult, Error> {
        self.context
            .conf
            .prev_result()?
            .ok_or_else(|| Error::new(code::INVALID_CONFIG, "Required prevResult missing"))
    }
}

/// DEL: remove the attachment.
#[derive(Debug)]
pub struct DelRequest<'a> {
    pub(crate) context: Context<'a>,
    /// `CNI_CONTAINERID`.
    pub container_id: ContainerId,
    /// `CNI_IFNAME`.
    pub if_name: IfName,
    /// `CNI_NETNS` exactly as passed, if it was passed. The namespace may be gone.
    pub netns: Option<&'a str>,
    /// `CNI_ARGS`, raw. A DEL must not fail because of what is in here.
    pub args: &'a str,
}

impl DelRequest<'_> {
    /// The result of the whole ADD, if the runtime sent one that can be read. Versions before 0.4.0
    /// send none, and a DEL must do without.
    #[must_use]
    pub fn prev_result(&self) -> Option<AddResult> {
        self.context.conf.prev_result().ok().flatten()
    }
}

/// GC: remove what belongs to no valid attachment.
#[derive(Debug)]
pub struct GcRequest<'a> {
    pub(crate) context: Context<'a>,
    /// The attachments to keep. `None` when the runtime sent no list, which is no permission to
    /// remove everything; an empty list is.
    pub valid: Option<Vec<Attachment>>,
}

impl GcRequest<'_> {
    /// Removes what the plugin owns of these kinds and what belongs to none of the valid attachments.
    /// What GC leaves to people is told on stderr. Nothing is removed without a list of the valid.
    pub fn collect(&self, owned: &[Owned], cleanup: &mut Cleanup) {
        let Some(valid) = &self.valid else { return };
        let scope = Scope {
            conf: self.conf,
            network: &self.network,
            version: self.version,
            valid,
        };
        let warn = |message: &str| self.warn(message);
        for owned in owned {
            match (owned.sweep)(&scope, Sweep::Remove { warn: &warn }) {
                Ok(found) => found
                    .iter()
                    .filter(|it| it.removal != Removal::Gc)
                    .for_each(|it| self.warn(&format!("{} {}, and stays", owned.kind, it.what))),
                Err(error) => cleanup.step(&format!("collect every {}", owned.kind), Err(error)),
            }
        }
    }
}

/// STATUS: say whether an ADD could be served.
#[derive(Debug)]
pub struct StatusRequest<'a> {
    pub(crate) context: Context<'a>,
}

macro_rules! deref_to_context {
    ($($request:ident),*) => {$(
        impl<'a> Deref for $request<'a> {
            type Target = Context<'a>;

            fn deref(&self) -> &Context<'a> {
                &self.context
            }
        }
    )*};
}

deref_to_context!(
    AddRequest,
    CheckRequest,
    DelRequest,
    GcRequest,
    StatusRequest
);
