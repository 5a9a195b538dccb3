//! The configuration as it is written, and what is true of it whatever the pod.

use super::keys::Keys;
use super::link::LinkText;
use super::topology::Topology;
use crate::wiring::setup_error::invalid;
use netloom_spec::{Error, PluginConf};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// Where records are, unless `store` says otherwise.
const STORE: &str = "/var/lib/cni/netloom/ratchet";
/// A kubelet gives an ADD some 90 s, and other plugins want theirs.
const LONGEST_WAIT: u32 = 30;

/// Keys of the first ratchet that mean nothing here.
const IGNORED: [&str; 7] = [
    "etcd_host",
    "etcd_port",
    "child_path",
    "parent_interface",
    "parent_address",
    "use_labels",
    "cniDir",
];

/// Where links are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    RuntimeConfig,
    Args,
    Configuration,
    Annotations,
    /// Topologies in a directory.
    Directory(PathBuf),
}

/// A configuration that is valid.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) sources: Vec<Source>,
    /// The directory of the file store.
    pub(super) store: PathBuf,
    /// How long ADD waits for links whose other pod is not there.
    pub(super) wait: Duration,
    /// Whether ADD and CHECK fail for a link that is not up.
    pub(super) required: bool,
    /// Whether a pod is linked only to one that names it too.
    pub(super) mutual: bool,
    /// Whether links may lead to the host and its bridges.
    pub(super) allows_host: bool,
    /// Whether the result tells the links' addresses.
    pub(super) reports_addresses: bool,
    /// This host's name in topologies; the kernel's own if it is not given.
    pub(super) host: String,
    /// The configuration of who attaches a pod that has no links.
    pub(super) delegate: Option<PluginConf>,
    /// The same of one that has.
    pub(super) boot_network: Option<PluginConf>,
    /// Keys of the first ratchet that mean nothing here.
    pub(super) ignored: Vec<&'static str>,
    /// Links by where they are told.
    pub(super) configured: Topology,
    pub(super) of_args: Vec<LinkText>,
    pub(super) of_runtime: Vec<LinkText>,
    pub(super) annotations: Map<String, Value>,
}

impl Config {
    /// Validates what does not depend on the pod.
    pub(super) fn read(conf: &PluginConf) -> Result<Self, Error> {
        let keys = Keys::of(conf.raw(), "");
        let runtime = keys.object("runtimeConfig")?;
        let annotations = match &runtime {
            Some(runtime) => runtime.object("io.kubernetes.cri.pod-annotations")?,
            None => None,
        };
        let args = keys
            .object("args")?
            .map(|args| args.object("cni"))
            .transpose()?;
        let store = match keys.text("store")?.as_str() {
            "" => PathBuf::from(STORE),
            text => read_store(text)?,
        };
        let (wait, required) = (keys.number("wait")?, keys.flag("required")?);
        refuse_wait(wait, required)?;
        let sources = keys
            .get("source")
            .map(|_| keys.texts("source"))
            .transpose()?;
        let ignored = IGNORED.into_iter().filter(|key| keys.get(key).is_some());
        Ok(Self {
            sources: read_sources(sources.as_deref())?,
            store,
            wait: Duration::from_secs(wait.into()),
            required,
            mutual: keys.get("mutual").is_none() || keys.flag("mutual")?,
            allows_host: keys.flag("allowHost")?,
            reports_addresses: read_report(&keys.text("report")?)?,
            ignored: ignored.collect(),
            host: keys.text("host")?,
            delegate: read_delegate(conf, "delegate", &keys)?,
            boot_network: read_delegate(conf, "boot_network", &keys)?,
            configured: Topology::read(&keys)?,
            of_args: links_of(args.flatten())?,
            of_runtime: links_of(runtime)?,
            annotations: annotations.map(|it| it.whole().clone()).unwrap_or_default(),
        })
    }

    /// The links of a source that is in the configuration itself, and the field that they are in.
    pub(super) fn links_of(&self, source: &Source) -> (&'static str, &[LinkText]) {
        match source {
            Source::RuntimeConfig => ("runtimeConfig.links", &self.of_runtime),
            Source::Args => ("args.cni.links", &self.of_args),
            Source::Configuration => ("links", &self.configured.links),
            Source::Annotations | Source::Directory(_) => ("", &[]),
        }
    }
}

fn links_of(keys: Option<Keys<'_>>) -> Result<Vec<LinkText>, Error> {
    let links = keys.map(|keys| keys.objects("links")).transpose()?;
    links.iter().flatten().map(LinkText::read).collect()
}

fn refuse_wait(wait: u32, required: bool) -> Result<(), Error> {
    if wait > LONGEST_WAIT {
        let what = format!("wait {wait}: expected at most {LONGEST_WAIT} seconds");
        return Err(invalid(what));
    }
    if required && wait == 0 {
        return Err(invalid(
            "required needs \"wait\": of two pods one comes first, and waits for the other",
        ));
    }
    Ok(())
}

/// Whether the result tells the links' addresses.
fn read_report(text: &str) -> Result<bool, Error> {
    match text {
        "" | "interfaces" => Ok(false),
        "full" => Ok(true),
        other => {
            let what = format!("report {other:?}: expected \"interfaces\" or \"full\"");
            Err(invalid(what))
        }
    }
}

fn read_store(text: &str) -> Result<PathBuf, Error> {
    let path = text.strip_prefix("file:").unwrap_or(text);
    if path.starts_with('/') {
        return Ok(path.into());
    }
    Err(invalid(format!(
        "store {text:?}: expected file: and an absolute path, such as file:{STORE}"
    )))
}

/// Where a configuration that may be bad otherwise has its store: for DEL and GC.
pub(super) fn store_in(conf: &PluginConf) -> PathBuf {
    let told = conf.get("store").and_then(Value::as_str);
    let told = told.and_then(|text| read_store(text).ok());
    told.unwrap_or_else(|| STORE.into())
}

fn read_sources(told: Option<&[String]>) -> Result<Vec<Source>, Error> {
    let Some(told) = told else {
        return Ok(vec![
            Source::RuntimeConfig,
            Source::Args,
            Source::Configuration,
            Source::Annotations,
        ]);
    };
    let read = |text: &String| match text.as_str() {
        "runtimeConfig" => Ok(Source::RuntimeConfig),
        "args" => Ok(Source::Args),
        "configuration" => Ok(Source::Configuration),
        "annotations" => Ok(Source::Annotations),
        other => match other.strip_prefix("file:") {
            Some(path) if path.starts_with('/') => Ok(Source::Directory(path.into())),
            _ => Err(invalid(format!(
                "source {other:?}: expected runtimeConfig, args, configuration, annotations, or \
                 file: and the absolute path of a directory of topologies"
            ))),
        },
    };
    told.iter().map(read).collect()
}

/// The configuration for a delegate. The first ratchet gave it neither name nor version.
fn read_delegate(
    conf: &PluginConf,
    key: &'static str,
    keys: &Keys<'_>,
) -> Result<Option<PluginConf>, Error> {
    let Some(keys) = keys.object(key)? else {
        return Ok(None);
    };
    let kind = keys.get("type").and_then(Value::as_str);
    match kind {
        None | Some("") => {
            return Err(invalid(format!(
                "{key}: needs a \"type\", the name of a plugin such as \"bridge\""
            )));
        }
        Some("ratchet") => {
            return Err(invalid(format!("{key}.type \"ratchet\" would call itself")));
        }
        Some(_) => {}
    }
    let mut delegate =
        PluginConf::from_map(keys.whole().clone()).map_err(|error| error.context(key))?;
    delegate.set("name", json!(conf.name()));
    delegate.remove("cniVersion");
    if !conf.cni_version().is_empty() {
        delegate.set("cniVersion", json!(conf.cni_version()));
    }
    if let Some(runtime) = conf.get("runtimeConfig") {
        delegate.set("runtimeConfig", runtime.clone());
    }
    Ok(Some(delegate))
}
