//! Who is measured, and how each is called.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::call::{Call, Job, with_prev_result};
use super::host;
use super::side::{Pod, Side};

/// The number of the pod that has many ports published.
pub(crate) const STAYS: u16 = 30_000;

/// Who gives a pod its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addressing {
    /// The IPAM plugin.
    Ipam,
    /// The runtime, in CNI_ARGS, as the plugin `static` takes it.
    Runtime,
}

/// One side of a scenario.
pub(crate) struct Contender {
    pub(crate) side: Side,
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    /// A plugin, called as a runtime calls it.
    Plugin {
        folder: PathBuf,
        name: &'static str,
        conf: Value,
        /// Who gives the addresses.
        addressing: Addressing,
    },
    /// The plugins of a list, called one after another as a runtime does. `configure` gives each its configuration
    /// for a pod: a runtime says there what it wants for this one.
    List {
        folder: PathBuf,
        plugins: Vec<Value>,
        configure: fn(&mut Value, &Pod),
    },
    /// The kernel's own work, and where it puts a file for each pod.
    Floor {
        program: PathBuf,
        bridge: String,
        state: PathBuf,
        set: Option<[&'static str; 2]>,
    },
    /// The kernel's own work for a pod with a fixed address: `verb` and what it wants to know of the host.
    FixedFloor {
        program: PathBuf,
        verb: &'static str,
        master: Option<&'static str>,
    },
    /// A program that starts, and ends.
    Start {
        program: PathBuf,
        arguments: &'static [&'static str],
    },
}

impl Contender {
    pub(crate) fn add(&self, pod: &Pod) -> Result<Job> {
        match &self.kind {
            Kind::Plugin { conf, .. } => Ok(self.plugin(conf, "ADD", pod)?.into()),
            Kind::List { .. } => Ok(Job {
                calls: self.list("ADD", pod)?,
                hands_on: true,
            }),
            Kind::FixedFloor {
                program,
                verb,
                master,
            } => {
                let link = format!("floor{}", pod.number);
                let words = [
                    (*verb).to_owned(),
                    pod.netns.display().to_string(),
                    master.map_or(link, str::to_owned),
                    self.address(pod),
                    self.gateway(),
                ];
                Ok(floor(program, &words, None).into())
            }
            Kind::Floor {
                program,
                bridge,
                state,
                set,
            } => {
                let address = self.address(pod);
                let file = state.join(&address).display().to_string();
                let gateway = self.gateway();
                let link = format!("floor{}", pod.number);
                let netns = pod.netns.display().to_string();
                let words = [
                    "add".into(),
                    netns,
                    link,
                    bridge.clone(),
                    address,
                    gateway,
                    file,
                ];
                Ok(floor(program, &words, *set).into())
            }
            Kind::Start { program, arguments } => Ok(start(program, arguments).into()),
        }
    }

    /// Its programs, started and ended. Run before what is timed, so that nobody pays for what another contender
    /// left in the processor's caches: on a node there is only one of them.
    pub(crate) fn warm_up(&self) -> Result<()> {
        let (programs, arguments): (Vec<PathBuf>, _) = match &self.kind {
            Kind::Plugin { folder, name, .. } => (vec![folder.join(name)], &[][..]),
            Kind::List {
                folder, plugins, ..
            } => {
                let names = plugins.iter().filter_map(|conf| conf["type"].as_str());
                (names.map(|name| folder.join(name)).collect(), &[][..])
            }
            Kind::Floor { program, .. } | Kind::FixedFloor { program, .. } => {
                (vec![program.clone()], &["nothing"][..])
            }
            Kind::Start { program, arguments } => (vec![program.clone()], *arguments),
        };
        programs
            .iter()
            .try_for_each(|program| start(program, arguments).time().map(drop))
    }

    /// `answer` is what ADD wrote: a runtime keeps it, and passes it to DEL. A program that only starts has no DEL.
    pub(crate) fn del(&self, pod: &Pod, answer: &[u8]) -> Result<Option<Job>> {
        match &self.kind {
            Kind::Plugin { conf, .. } => {
                let mut call = self.plugin(conf, "DEL", pod)?;
                call.stdin = with_prev_result(&call.stdin, answer)?;
                Ok(Some(call.into()))
            }
            Kind::List { .. } => {
                let mut calls = self.list("DEL", pod)?;
                calls.reverse();
                for call in &mut calls {
                    call.stdin = with_prev_result(&call.stdin, answer)?;
                }
                Ok(Some(Job {
                    calls,
                    hands_on: false,
                }))
            }
            Kind::FixedFloor { program, .. } => {
                let words = ["remove".to_owned(), pod.netns.display().to_string()];
                Ok(Some(floor(program, &words, None).into()))
            }
            Kind::Floor {
                program,
                state,
                set,
                ..
            } => {
                let address = self.address(pod);
                let file = state.join(&address).display().to_string();
                let netns = pod.netns.display().to_string();
                let words = ["del".into(), netns, address, file];
                Ok(Some(floor(program, &words, *set).into()))
            }
            Kind::Start { .. } => Ok(None),
        }
    }

    /// What a runtime asks for a pod that is there. The floor has no such thing, and the Go portmap refuses what it made
    /// itself when there are addresses of both families.
    pub(crate) fn check(&self, pod: &Pod, answer: &[u8]) -> Result<Option<Job>> {
        let calls = match &self.kind {
            Kind::Plugin { conf, .. } => vec![self.plugin(conf, "CHECK", pod)?],
            Kind::List { .. } if self.side == Side::Ours => self.list("CHECK", pod)?,
            Kind::List { .. }
            | Kind::Floor { .. }
            | Kind::FixedFloor { .. }
            | Kind::Start { .. } => return Ok(None),
        };
        let with_answer = |mut call: Call| {
            call.stdin = with_prev_result(&call.stdin, answer)?;
            Ok(call)
        };
        Ok(Some(Job {
            calls: calls.into_iter().map(with_answer).collect::<Result<_>>()?,
            hands_on: false,
        }))
    }

    fn plugin(&self, conf: &Value, command: &str, pod: &Pod) -> Result<Call> {
        let Kind::Plugin {
            folder,
            name,
            addressing,
            ..
        } = &self.kind
        else {
            bail!("only plugins are called as plugins");
        };
        let mut call = call(folder, name, conf, command, pod)?;
        if *addressing == Addressing::Runtime {
            let (address, gateway) = (self.address(pod), self.gateway());
            let args = format!("IgnoreUnknown=1;IP={address}/16;GATEWAY={gateway}");
            call.environment.push(("CNI_ARGS", args));
        }
        Ok(call)
    }

    /// Publishes as many ports of a pod that stays, from port 20,000 on, in this host or in a namespace that stands
    /// for another.
    pub(crate) fn publish(&self, count: u32, netns: Option<&str>) -> Result<()> {
        match self.side {
            Side::Ours => self.publish_range(count, netns),
            _ => host::publish_by_iptables(self.side, count, netns),
        }
    }

    /// By an extension that only ours knows.
    fn publish_range(&self, count: u32, netns: Option<&str>) -> Result<()> {
        let stays = Pod {
            id: "stays".into(),
            netns: host::SPARE.into(),
            number: STAYS,
        };
        for call in self.list("ADD", &stays)? {
            let mut conf: Value = serde_json::from_slice(&call.stdin)?;
            conf["runtimeConfig"]["portMappings"] = json!([
                { "hostPort": 20_000, "containerPort": 20_000, "protocol": "tcp", "range": count },
            ]);
            let stdin = serde_json::to_vec(&conf)?;
            Call { stdin, ..call }.inside(netns).time()?;
        }
        Ok(())
    }

    fn list(&self, command: &str, pod: &Pod) -> Result<Vec<Call>> {
        let Kind::List {
            folder,
            plugins,
            configure,
        } = &self.kind
        else {
            bail!("only a list is called as a list");
        };
        let calls = plugins.iter().map(|conf| {
            let mut conf = conf.clone();
            configure(&mut conf, pod);
            let name = conf["type"].as_str().context("a plugin without a type")?;
            call(folder, name, &conf, command, pod)
        });
        calls.collect()
    }

    /// The fixed address of a pod; the network's first is the gateway's.
    fn address(&self, pod: &Pod) -> String {
        let [high, low] = (pod.number + 2).to_be_bytes();
        format!("{}.{high}.{low}", self.side.network())
    }

    fn gateway(&self) -> String {
        format!("{}.0.1", self.side.network())
    }
}

/// A plugin, called as a runtime calls it.
fn call(folder: &Path, name: &str, conf: &Value, command: &str, pod: &Pod) -> Result<Call> {
    Ok(Call {
        program: folder.join(name),
        arguments: Vec::new(),
        environment: vec![
            ("CNI_COMMAND", command.into()),
            ("CNI_CONTAINERID", pod.id.clone()),
            ("CNI_NETNS", pod.netns.display().to_string()),
            ("CNI_IFNAME", "eth0".into()),
            ("CNI_PATH", folder.display().to_string()),
        ],
        stdin: serde_json::to_vec(conf)?,
    })
}

fn floor(program: &Path, words: &[String], set: Option<[&'static str; 2]>) -> Call {
    let mut arguments = words.to_vec();
    arguments.extend(set.into_iter().flatten().map(str::to_owned));
    Call {
        program: program.into(),
        arguments,
        ..Call::default()
    }
}

/// A plugin asked for its versions; the floor told to do nothing.
fn start(program: &Path, arguments: &[&str]) -> Call {
    Call {
        program: program.into(),
        arguments: arguments.iter().map(ToString::to_string).collect(),
        environment: vec![("CNI_COMMAND", "VERSION".into())],
        stdin: br#"{"cniVersion":"1.0.0"}"#.to_vec(),
    }
}
