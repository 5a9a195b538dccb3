//! debug: records what a runtime asks for, and runs hooks in the container's namespace.
//!
//! It makes no kernel object. It is put anywhere in a chain, first and last included, and hands on
//! the `prevResult` it was given. To see, not to disturb, is its purpose: what goes wrong with the
//! record or with a hook is written to stderr and does not fail the call. Only what `faults` asks for
//! goes wrong, after record and hooks.

mod fault;

use fault::Fault;
use netloom_kernel::netns::Netns;
use netloom_plugin::{
    AddRequest, AddResult, CheckRequest, Context, DelRequest, Error, GcRequest, Needs, Plugin,
    PluginConf, StatusRequest, Undo, code,
};
use rustix::fs::OFlags;
use serde::Deserialize;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};

/// The plugin debug.
#[derive(Debug)]
pub struct Debug;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    /// The file that records are appended to; stderr if empty.
    cni_output: String,
    add_hooks: Vec<Hook>,
    check_hooks: Vec<Hook>,
    del_hooks: Vec<Hook>,
    faults: Vec<Fault>,
}

/// A program and its arguments.
type Hook = Vec<String>;

/// What a record says beside the configuration. GC and STATUS have no attachment.
#[derive(Default)]
struct Record<'a> {
    command: &'static str,
    container_id: &'a str,
    netns: &'a str,
    if_name: &'a str,
    args: &'a str,
}

impl Plugin for Debug {
    fn name(&self) -> &'static str {
        "debug"
    }

    /// Of the reference's repository `cni`, which has this plugin.
    fn release(&self) -> &'static str {
        "v1.3.0"
    }

    fn validate(&self, conf: &PluginConf) -> Result<Needs, Error> {
        Config::strict(conf)?;
        Ok(Needs::default())
    }

    fn add<'r>(&self, request: &'r AddRequest<'r>, _: &mut Undo<'r>) -> Result<AddResult, Error> {
        let config = Config::strict(request.conf)?;
        let result = request.prev_result()?.unwrap_or_default();
        config.record(
            request,
            &Record {
                command: "CmdAdd",
                container_id: request.container_id.as_str(),
                netns: request.netns,
                if_name: request.if_name.as_str(),
                args: request.args,
            },
        );
        run_hooks(request, request.netns, &config.add_hooks);
        fault::strike(&config.faults, "ADD")?;
        Ok(result)
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        let config = Config::strict(request.conf)?;
        config.record(
            request,
            &Record {
                command: "CmdCheck",
                container_id: request.container_id.as_str(),
                netns: request.netns,
                if_name: request.if_name.as_str(),
                args: request.args,
            },
        );
        run_hooks(request, request.netns, &config.check_hooks);
        fault::strike(&config.faults, "CHECK")
    }

    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        let config = Config::lenient(request);
        let netns = request.netns.unwrap_or_default();
        config.record(
            request,
            &Record {
                command: "CmdDel",
                container_id: request.container_id.as_str(),
                netns,
                if_name: request.if_name.as_str(),
                args: request.args,
            },
        );
        run_hooks(request, netns, &config.del_hooks);
        fault::strike(&config.faults, "DEL")
    }

    fn gc(&self, request: &GcRequest<'_>) -> Result<(), Error> {
        let record = Record {
            command: "CmdGC",
            ..Record::default()
        };
        let config = Config::lenient(request);
        config.record(request, &record);
        fault::strike(&config.faults, "GC")
    }

    fn status(&self, request: &StatusRequest<'_>) -> Result<(), Error> {
        let record = Record {
            command: "CmdStatus",
            ..Record::default()
        };
        let config = Config::strict(request.conf)?;
        config.record(request, &record);
        fault::strike(&config.faults, "STATUS")
    }

    plan_door!(|conf, _| conf.decode::<Config>());
}

impl Config {
    fn strict(conf: &PluginConf) -> Result<Self, Error> {
        let config: Self = conf.decode()?;
        let lists = [
            ("addHooks", &config.add_hooks),
            ("checkHooks", &config.check_hooks),
            ("delHooks", &config.del_hooks),
        ];
        for (key, hooks) in lists {
            if let Some(index) = hooks.iter().position(Vec::is_empty) {
                let msg = format!("{key}[{index}] is empty, it must name a program to run");
                return Err(Error::new(code::INVALID_CONFIG, msg));
            }
        }
        fault::validate(&config.faults)?;
        Ok(config)
    }

    /// For DEL and GC, which a configuration that became unreadable must not make impossible.
    fn lenient(context: &Context<'_>) -> Self {
        Self::strict(context.conf).unwrap_or_else(|error| {
            context.warn(&format!(
                "recording to stderr, without hooks and faults: {error}"
            ));
            Self::default()
        })
    }

    /// Writes a record to the configured file, or to stderr.
    fn record(&self, context: &Context<'_>, record: &Record<'_>) {
        let text = record.text(context);
        if self.cni_output.is_empty() {
            context.log(&text);
        } else if let Err(error) = append(&self.cni_output, &text) {
            context.warn(&format!(
                "cannot append to cniOutput {:?}: {error}",
                self.cni_output
            ));
            context.log(&text);
        }
    }
}

impl Record<'_> {
    fn text(&self, context: &Context<'_>) -> String {
        let Self {
            command,
            container_id,
            netns,
            if_name,
            args,
        } = self;
        let path = context
            .env()
            .get("CNI_PATH")
            .unwrap_or_default()
            .to_string_lossy();
        let stdin = String::from_utf8_lossy(context.stdin());
        format!(
            "{command}\nContainerID: {container_id}\nNetns: {netns}\nIfName: {if_name}\n\
             Args: {args}\nPath: {path}\nStdinData: {stdin}\n----------------------\n"
        )
    }
}

/// Appends with one write, so that the records of parallel calls do not mix. Not blocking: of a fifo
/// nobody may ever read.
fn append(path: &str, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o644)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)?;
    file.write_all(text.as_bytes())
}

/// Runs the hooks one after the other in the container's namespace; none if that is gone.
fn run_hooks(context: &Context<'_>, netns: &str, hooks: &[Hook]) {
    if hooks.is_empty() {
        return;
    }
    let entered = match Netns::open(netns) {
        Ok(netns) => netns.run(|| hooks.iter().for_each(|hook| run_hook(context, hook))),
        Err(_) => return context.warn(&format!("hooks skipped, no netns at {netns:?}")),
    };
    if let Err(error) = entered {
        context.warn(&format!("hooks skipped: {error}"));
    }
}

/// Runs one hook with the environment of the call. Its stdout must not become ours, which belongs
/// to the result.
fn run_hook(context: &Context<'_>, hook: &Hook) {
    let Some((program, arguments)) = hook.split_first() else {
        return;
    };
    let outcome = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(context.env().as_slice().iter().cloned())
        .stdin(Stdio::null())
        .output();
    match outcome {
        Ok(output) if output.status.success() => {}
        Ok(output) => context.warn(&format!(
            "hook {hook:?} failed with {}: {}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )),
        Err(error) => context.warn(&format!("hook {hook:?} cannot be run: {error}")),
    }
}
