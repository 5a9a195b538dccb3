//! What a pod is to be: all that the user said, made complete, as it is written to its state.

use std::net::IpAddr;
use std::path::PathBuf;

use netloom_runtime::RuntimeConf;
use netloom_spec::{NetworkConfigList, PluginConf};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Doing, Result};

/// What a pod is to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PodSpec {
    /// 32 hexadecimal digits: the container id of the networks.
    pub id: String,
    /// The name that the user gave; empty for none.
    pub name: String,
    /// The program and its arguments; never empty.
    pub command: Vec<String>,
    /// The whole environment, in order.
    pub env: Vec<(String, String)>,
    /// The working directory in the pod, absolute.
    pub cwd: String,
    /// `UID[:GID]` or names of the pod's own passwd and group; empty is root.
    pub user: String,
    /// The host name in the pod.
    pub hostname: String,
    /// The root file system.
    pub root: Root,
    /// What the user mounts into it.
    pub volumes: Vec<Volume>,
    /// Which network namespace.
    pub network: NetworkMode,
    /// The networks, in the order of their ADDs.
    pub attachments: Vec<Attachment>,
    /// What the user said about name servers.
    pub dns: DnsOptions,
    /// Lines for `/etc/hosts`.
    pub hosts: Vec<(IpAddr, String)>,
    /// Ports of the host that are kept from others while the pod lives.
    pub ports: Vec<Port>,
    /// The bounding set, and what root in the pod has: a bit for each capability.
    pub capabilities: u64,
    /// Whether the command has a terminal.
    pub tty: bool,
    /// Whether the command reads the caller's stdin.
    pub interactive: bool,
    /// Whether the caller does not wait.
    pub detach: bool,
    /// Whether nothing is to stay when the command has ended.
    pub remove: bool,
    /// Whether pid 1 is a program that collects orphans and hands signals on.
    pub init: bool,
    /// Where plugins and the cache of attachments are.
    pub cni: CniPlace,
    /// A container engine that runs the command in the pod's network namespace, in place of a sandbox of
    /// our own.
    #[serde(default)]
    pub engine: Option<EngineCall>,
    /// An OCI runtime that makes the sandbox in place of ours.
    #[serde(default)]
    pub runtime: Option<Runtime>,
}

/// An OCI runtime, and the limits that it sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runtime {
    /// The program: `runc`, `crun`, or a path.
    pub program: String,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processors, in thousandths.
    pub cpus: Option<u64>,
    /// Processes.
    pub pids: Option<u64>,
}

/// How a container engine is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineCall {
    /// The program: `podman`.
    pub program: String,
    /// What stands behind its `run`: options, image and command.
    pub arguments: Vec<String>,
}

/// Where plugins and attachments are, and how long a plugin may take.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CniPlace {
    /// The directories of CNI_PATH.
    pub plugin_dirs: Vec<PathBuf>,
    /// The directory of cached attachments.
    pub cache_dir: PathBuf,
    /// Milliseconds that a plugin may run; 0 is no limit, nothing is the command's own default.
    pub timeout: Option<u64>,
}

/// The root file system of a pod.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Root {
    /// The host's, without what is mounted on it; what the pod writes vanishes with it.
    Host,
    /// A directory; what the pod writes vanishes with it, unless it is `writable`.
    Directory {
        /// Absolute.
        path: PathBuf,
        /// Whether the pod writes into the directory itself.
        writable: bool,
    },
    /// Layers of an image, the topmost first; what the pod writes vanishes with it.
    Layers(Vec<PathBuf>),
}

/// A directory or file of the host in the pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// On the host, absolute.
    pub source: PathBuf,
    /// In the pod, absolute.
    pub target: String,
    /// Whether the pod may not write to it.
    pub read_only: bool,
}

/// Which network namespace a pod has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NetworkMode {
    /// One of its own, for its attachments.
    Own,
    /// The host's.
    Host,
    /// One that somebody else made and keeps.
    Path(PathBuf),
}

/// What the user said about name servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsOptions {
    /// Name servers.
    pub servers: Vec<IpAddr>,
    /// Domains to search.
    pub search: Vec<String>,
    /// Options for the resolver.
    pub options: Vec<String>,
}

/// The protocol of a published port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// `tcp`, `udp` or `sctp`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// A published port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The address of the host that it is reached by; none is every one.
    pub host_ip: Option<IpAddr>,
    /// The port of the host.
    pub host: u16,
    /// The port in the pod.
    pub pod: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// One network of a pod.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attachment {
    /// The network's name.
    pub network: String,
    /// The interface in the pod.
    pub if_name: String,
    /// The bytes of the network's configuration.
    pub config: String,
    /// Its plugins, those of files beside it included.
    pub plugins: Vec<Map<String, Value>>,
    /// CNI_ARGS.
    pub args: Vec<(String, String)>,
    /// What is offered for the plugins' capabilities.
    pub capability_args: Map<String, Value>,
    /// Whether an ADD was begun that no DEL has undone.
    #[serde(default)]
    pub added: bool,
    /// The result of ADD in the newest version; absent until there is one.
    #[serde(default)]
    pub result: Option<Value>,
}

impl Attachment {
    /// An attachment to be made.
    ///
    /// # Errors
    /// If the configuration is not UTF-8, which JSON must be.
    pub fn new(list: &NetworkConfigList, if_name: impl Into<String>) -> Result<Self> {
        let config = String::from_utf8(list.bytes.clone())
            .doing(|| format!("read the configuration of network {:?}", list.name))?;
        Ok(Self {
            network: list.name.clone(),
            if_name: if_name.into(),
            config,
            plugins: list.plugins.iter().map(|it| it.raw().clone()).collect(),
            args: Vec::new(),
            capability_args: Map::new(),
            added: false,
            result: None,
        })
    }

    pub(crate) fn list(&self) -> Result<NetworkConfigList> {
        let read = || {
            let mut list = NetworkConfigList::parse(self.config.as_bytes())?;
            let plugins = self.plugins.iter().cloned().map(PluginConf::from_map);
            list.plugins = plugins.collect::<Result<_, netloom_spec::Error>>()?;
            Ok::<_, netloom_spec::Error>(list)
        };
        read().doing(|| format!("read the kept configuration of network {:?}", self.network))
    }

    pub(crate) fn runtime(&self, id: &str, netns: &str) -> RuntimeConf {
        let mut runtime = RuntimeConf::new(id, netns, &self.if_name);
        runtime.args.clone_from(&self.args);
        runtime.capability_args.clone_from(&self.capability_args);
        runtime
    }

    /// The result of ADD, if there is one.
    #[must_use]
    pub fn result(&self) -> Option<netloom_spec::AddResult> {
        let value = self.result.as_ref()?;
        netloom_spec::AddResult::from_value(value, netloom_spec::Version::LATEST).ok()
    }

    /// The addresses that ADD gave.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        let result = self.result().unwrap_or_default();
        result.ips.iter().map(|ip| ip.address.addr()).collect()
    }
}

/// What is to run in a pod beside its command.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// Its working directory.
    pub cwd: String,
    /// As whom it runs.
    pub user: String,
    /// Its bounding set.
    pub capabilities: u64,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether it reads the caller's stdin.
    pub interactive: bool,
}
