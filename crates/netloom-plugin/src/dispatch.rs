//! One call of a plugin, from the environment to the exit status.

use crate::answer::Answer;
use crate::gate::{self, Introduced};
use crate::variables::{self, Attached, Operation, Variables};
use crate::{
    AddRequest, CheckRequest, Context, DelRequest, GcRequest, Plugin, StatusRequest, Undo, about,
    conf, guard, panics,
};
use netloom_invoke::Env;
use netloom_spec::{Error, PluginConf, Version, code};
use std::cell::RefCell;
use std::fmt;
use std::io::{Read, Write};
use std::time::Instant;

/// One call of a plugin. Everything outside the plugin is in it, so that a plugin can be called in
/// process.
pub struct Invocation<'a> {
    /// The plugin to call.
    pub plugin: &'a dyn Plugin,
    /// The plugins that are part of this program: a delegate that is one of them can be called in
    /// process.
    pub registry: &'a [&'static dyn Plugin],
    /// The variables, `CNI_*` among them.
    pub env: &'a Env,
    /// Read to its end for every command but VERSION, and not at all for VERSION.
    pub stdin: &'a mut dyn Read,
    /// Gets the one document of the call.
    pub stdout: &'a mut dyn Write,
    /// Gets the log.
    pub stderr: &'a mut dyn Write,
}

impl fmt::Debug for Invocation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invocation")
            .field("plugin", &self.plugin.name())
            .field("env", &self.env)
            .finish_non_exhaustive()
    }
}

/// Serves one call and returns the exit status: 0, or 1 with an error object on stdout.
///
/// A delegate is called in process when `CNI_PATH` leads to this very program and it is in the
/// registry.
pub fn run(invocation: Invocation<'_>) -> i32 {
    run_with(Origin::outermost(Linkage::SameFile), invocation)
}

/// [`run`] for a program that has plugins linked in but is not installed as them: delegates of the
/// registry are called in process, whatever is in `CNI_PATH`.
pub fn run_linked(invocation: Invocation<'_>) -> i32 {
    run_with(Origin::outermost(Linkage::Preferred), invocation)
}

/// When a delegate that is part of this program is called in process.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Linkage {
    /// When `CNI_PATH` leads to this very program.
    SameFile,
    /// Always.
    Preferred,
}

/// What the outermost call hands on to those that it makes in process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) linkage: Linkage,
    /// When it began.
    pub(crate) begun: Instant,
}

impl Origin {
    fn outermost(linkage: Linkage) -> Self {
        Self {
            linkage,
            begun: Instant::now(),
        }
    }
}

pub(crate) fn run_with(origin: Origin, invocation: Invocation<'_>) -> i32 {
    let Invocation {
        plugin,
        registry,
        env,
        stdin,
        stdout,
        stderr,
    } = invocation;
    let newest = plugin.versions().last().copied().unwrap_or(Version::LATEST);
    let mut answer = Answer::new(stdout, newest);
    let stderr = RefCell::new(stderr);
    // A log that cannot be written must not fail the call.
    let log = |bytes: &[u8]| drop(stderr.borrow_mut().write_all(bytes));
    let call = Call {
        origin,
        plugin,
        registry,
        env,
        log: &log,
    };
    match panics::caught(plugin.name(), || call.serve(stdin, &mut answer)) {
        Ok(()) => 0,
        Err(error) => {
            answer.report(&error, &mut **stderr.borrow_mut());
            1
        }
    }
}

struct Call<'a> {
    origin: Origin,
    plugin: &'a dyn Plugin,
    registry: &'a [&'static dyn Plugin],
    env: &'a Env,
    log: &'a dyn Fn(&[u8]),
}

impl Call<'_> {
    fn serve(&self, stdin: &mut dyn Read, answer: &mut Answer<'_>) -> Result<(), Error> {
        if variables::text(self.env, "CNI_COMMAND")?.is_empty() {
            (self.log)(about::text(self.plugin).as_bytes());
            return Ok(());
        }
        let variables = Variables::read(self.env)?;
        if matches!(variables.operation, Operation::Version) {
            return answer.print(&about::versions(self.plugin));
        }
        let stdin = conf::read(stdin)?;
        let (conf, network) = conf::parse(&stdin)?;
        let (command, introduced) = match &variables.operation {
            Operation::Add(_) => ("ADD", None),
            Operation::Del(_) => ("DEL", None),
            Operation::Check(_) => ("CHECK", Some(Version::V0_4_0)),
            Operation::Gc => ("GC", Some(Version::V1_1_0)),
            Operation::Status => ("STATUS", Some(Version::V1_1_0)),
            Operation::Version => return Ok(()),
            Operation::Unknown(command) => return Err(unknown(command)),
        };
        let version = self.gate(command, introduced, &conf)?;
        answer.version = version;
        let context = Context {
            conf: &conf,
            path: variables.path,
            plugin: self.plugin.name(),
            command,
            network,
            version,
            stdin: &stdin,
            env: self.env,
            registry: self.registry,
            origin: self.origin,
            log: self.log,
        };
        match variables.operation {
            Operation::Add(attached) => {
                self.guard(variables.netns_override, attached.netns)?;
                self.add(context, attached, answer)
            }
            Operation::Del(attached) => {
                if variables.netns_override || !guard::is_own_netns(attached.netns)? {
                    return self.del(context, attached);
                }
                self.del_without_netns(context, attached)
            }
            Operation::Check(attached) => self.check(context, attached),
            Operation::Gc => {
                let valid = conf.valid_attachments()?;
                self.plugin.gc(&GcRequest { context, valid })
            }
            Operation::Status => self.plugin.status(&StatusRequest { context }),
            Operation::Version | Operation::Unknown(_) => Ok(()),
        }
    }

    fn gate(
        &self,
        command: &'static str,
        introduced: Option<Version>,
        conf: &PluginConf,
    ) -> Result<Version, Error> {
        let (config, own) = (conf.cni_version(), self.plugin.versions());
        match introduced {
            None => gate::supported(config, own),
            Some(version) => gate::introduced(Introduced { command, version }, config, own),
        }
    }

    fn guard(&self, overridden: bool, netns: &str) -> Result<(), Error> {
        if overridden || netns.is_empty() {
            Ok(())
        } else {
            guard::refuse_own_netns(netns)
        }
    }

    fn add(
        &self,
        context: Context<'_>,
        Attached {
            container_id,
            if_name,
            netns,
            args,
        }: Attached<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<(), Error> {
        let version = context.version;
        let request = AddRequest {
            context,
            container_id,
            if_name,
            netns,
            args,
        };
        let mut undo = Undo::new();
        // An attachment whose result cannot be printed is as failed as one that was not made.
        let outcome = panics::caught(self.plugin.name(), || {
            let result = self.plugin.add(&request, &mut undo)?;
            answer.print(&result.to_json(version)?)
        });
        outcome.map_err(|error| undo.run(error))
    }

    fn check(
        &self,
        context: Context<'_>,
        Attached {
            container_id,
            if_name,
            netns,
            args,
        }: Attached<'_>,
    ) -> Result<(), Error> {
        self.plugin.check(&CheckRequest {
            context,
            container_id,
            if_name,
            netns,
            args,
        })
    }

    /// DEL when the container is gone, and its path, say /proc/PID/ns/net, leads to the host now.
    fn del_without_netns(&self, context: Context<'_>, attached: Attached<'_>) -> Result<(), Error> {
        context.warn(&format!(
            "CNI_NETNS {:?} is the plugin's own netns: DEL goes on without a netns",
            attached.netns
        ));
        let env = self.env.clone().with("CNI_NETNS", "");
        let context = Context {
            env: &env,
            ..context
        };
        let attached = Attached {
            netns: "",
            ..attached
        };
        self.del(context, attached)
    }

    fn del(
        &self,
        context: Context<'_>,
        Attached {
            container_id,
            if_name,
            netns,
            args,
        }: Attached<'_>,
    ) -> Result<(), Error> {
        let netns = Some(netns).filter(|netns| !netns.is_empty());
        self.plugin.del(&DelRequest {
            context,
            container_id,
            if_name,
            netns,
            args,
        })
    }
}

fn unknown(command: &str) -> Error {
    Error::new(
        code::INVALID_ENVIRONMENT,
        format!("unknown CNI_COMMAND: {command}"),
    )
}
