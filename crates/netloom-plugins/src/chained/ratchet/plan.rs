//! What a pod is to be linked to: every source, read and checked before anything is touched.

use super::annotation::{self, Asked};
use super::config::{Config, Source};
use super::link::{Link, LinkText, read_pod};
use super::topology::{self, Topology, Tunnel};
use crate::wiring::setup_error::invalid;
use netloom_spec::{CniArgs, Error, PluginConf};

/// A link that this pod asks for.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) link: Link,
    /// It is asked for by this pod alone: the other one need not name it.
    pub(super) alone: bool,
    /// How the other host is reached, if the pods are on different ones.
    pub(super) tunnel: Option<Tunnel>,
}

/// A valid request.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) config: Config,
    /// The pod's name; `None` if nothing tells it, and it has no links.
    pub(super) pod: Option<String>,
    pub(super) wanted: Vec<Wanted>,
    /// Whether the pod takes links that others of its Kubernetes namespace ask for alone.
    pub(super) open: bool,
    /// Whether it takes part at all.
    takes_part: bool,
}

impl Plan {
    /// Reads the sources; nothing has been touched when this fails.
    pub(super) fn new(conf: &PluginConf, args: &str, if_name: &str) -> Result<Self, Error> {
        let config = Config::read(conf)?;
        let told = pod_in(&CniArgs::parse(args)?)?;
        let namespace = told.as_deref().and_then(|pod| pod.split_once('/'));
        let namespace = namespace.map_or("default", |(namespace, _)| namespace);
        let asked = if config.sources.contains(&Source::Annotations) {
            annotation::read(&config.annotations, namespace)?
        } else {
            Asked::default()
        };
        let pod = name_of(told, asked.pod_name.as_deref())?;
        let mut collected = Collected {
            pod: pod.as_deref(),
            if_name,
            config: &config,
            wanted: Vec::new(),
        };
        for source in &config.sources {
            collected.add_source(source, &asked)?;
        }
        let wanted = collected.wanted;
        Ok(Self {
            takes_part: asked.marked || !wanted.is_empty(),
            open: asked.open,
            wanted,
            pod,
            config,
        })
    }

    /// The pod, if it takes part in links.
    pub(super) fn participant(&self) -> Option<&str> {
        self.pod.as_deref().filter(|_| self.takes_part)
    }

    /// Who attaches the pod to a network, if this plugin has that done.
    pub(super) fn delegate(&self) -> Option<&PluginConf> {
        let boot = self.config.boot_network.as_ref();
        let boot = boot.filter(|_| self.participant().is_some());
        boot.or(self.config.delegate.as_ref())
    }
}

/// Refuses what [`Plan::new`] does, whatever the pod is called.
pub(super) fn validate(conf: &PluginConf) -> Result<(), Error> {
    let config = Config::read(conf)?;
    for (field, texts) in config.sources.iter().map(|it| config.links_of(it)) {
        for (index, text) in texts.iter().enumerate() {
            read_nameless(&config, text, &format!("{field}[{index}]"))?;
        }
    }
    Ok(())
}

/// A link of a pod whose name is not known.
fn read_nameless(config: &Config, text: &LinkText, field: &str) -> Result<Link, Error> {
    read_link(config, text, "default/unknown", field)
}

/// A link that the configuration allows.
fn read_link(config: &Config, text: &LinkText, pod: &str, field: &str) -> Result<Link, Error> {
    let link = Link::read(text, pod, field)?;
    if link.peer.is_on_host() && !config.allows_host {
        return Err(invalid(format!(
            "{field}.peer {:?}: pods of this network are linked to pods only, unless its \
             configuration has \"allowHost\": true",
            link.peer.pod
        )));
    }
    Ok(link)
}

/// The pod's name as the runtime tells it.
fn pod_in(args: &CniArgs) -> Result<Option<String>, Error> {
    let get = |key: &str| args.get(key).filter(|value| !value.is_empty());
    let Some(name) = get("K8S_POD_NAME") else {
        return Ok(None);
    };
    let namespace = get("K8S_POD_NAMESPACE").unwrap_or("default");
    Ok(Some(format!("{namespace}/{name}")))
}

/// A pod may not give itself another name than the runtime gives it.
fn name_of(told: Option<String>, own: Option<&str>) -> Result<Option<String>, Error> {
    match (told, own) {
        (Some(told), Some(own)) if told != own => Err(invalid(format!(
            "annotation ratchet.pod_name {own:?}: the runtime calls the pod {told:?}"
        ))),
        (Some(told), _) => Ok(Some(told)),
        (None, Some(own)) => read_pod(own, "annotation ratchet.pod_name").map(|it| Some(it.into())),
        (None, None) => Ok(None),
    }
}

struct Collected<'a> {
    pod: Option<&'a str>,
    if_name: &'a str,
    config: &'a Config,
    wanted: Vec<Wanted>,
}

impl Collected<'_> {
    fn add_source(&mut self, source: &Source, asked: &Asked) -> Result<(), Error> {
        let config = self.config;
        match source {
            Source::RuntimeConfig | Source::Args | Source::Configuration => {
                let (field, texts) = config.links_of(source);
                let own = Some(&config.configured).filter(|_| *source == Source::Configuration);
                self.add_all(field, texts, own)
            }
            Source::Annotations => self.add_asked(asked),
            Source::Directory(directory) => {
                for (path, topology) in topology::read_all(directory)? {
                    let field = format!("{}: links", path.display());
                    self.add_all(&field, &topology.links, Some(&topology))?;
                }
                Ok(())
            }
        }
    }

    /// The pod's own words: nothing of hosts, and of no other pod's links.
    fn add_asked(&mut self, asked: &Asked) -> Result<(), Error> {
        let field = "annotation netloom.dev/links";
        for (index, text) in asked.links.iter().enumerate() {
            for (key, value) in [("pod", &text.pod), ("host", &text.host)] {
                if !value.is_empty() {
                    return Err(invalid(format!(
                        "{field}[{index}].{key} {value:?}: a pod cannot say that"
                    )));
                }
            }
        }
        self.add_all(field, &asked.links, None)?;
        match &asked.old {
            Some(text) => self.add(text, "annotation ratchet", None, true),
            None => Ok(()),
        }
    }

    /// `topology` is where the hosts of the links are told, if that may be.
    fn add_all(
        &mut self,
        field: &str,
        texts: &[LinkText],
        topology: Option<&Topology>,
    ) -> Result<(), Error> {
        for (index, text) in texts.iter().enumerate() {
            self.add(text, &format!("{field}[{index}]"), topology, false)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        text: &LinkText,
        field: &str,
        topology: Option<&Topology>,
        alone: bool,
    ) -> Result<(), Error> {
        let Some(pod) = self.pod else {
            return self.refuse_nameless(text, field);
        };
        let mut link = read_link(self.config, text, pod, field)?;
        if link.peer.pod == pod {
            link = link.reversed();
        }
        if link.own.pod != pod {
            return Ok(());
        }
        let tunnel = self.tunnel(&link, field, topology)?;
        if link.own.if_name == self.if_name {
            let what = format!("{field}: {:?} is the pod's interface already", self.if_name);
            return Err(invalid(what));
        }
        let taken = |other: &&Wanted| other.link.own.if_name == link.own.if_name;
        if let Some(other) = self.wanted.iter().find(taken) {
            // A second source may tell of the same link.
            if other.link.has_ends_of(&link) {
                return Ok(());
            }
            return Err(invalid(format!(
                "{field}: interface {:?} is that of the link to {} too",
                link.own.if_name,
                other.link.peer.id()
            )));
        }
        self.wanted.push(Wanted {
            // The host is not asked.
            alone: (alone || !self.config.mutual) && !link.peer.is_on_host(),
            link,
            tunnel,
        });
        Ok(())
    }

    /// A pod that has no name can have no links. Those of others are no matter.
    fn refuse_nameless(&self, text: &LinkText, field: &str) -> Result<(), Error> {
        // What it says must be right all the same.
        read_nameless(self.config, text, field)?;
        if !text.pod.is_empty() {
            return Ok(());
        }
        let what = "the pod has no name: CNI_ARGS has no K8S_POD_NAME, which runtimes set";
        Err(invalid(format!("{field}: {what}")))
    }

    fn tunnel(
        &self,
        link: &Link,
        field: &str,
        topology: Option<&Topology>,
    ) -> Result<Option<Tunnel>, Error> {
        let Some(hosts) = &link.hosts else {
            return Ok(None);
        };
        let Some(topology) = topology else {
            return Err(invalid(format!(
                "{field}.host {:?}: only the configuration and topologies say where pods are",
                hosts.own
            )));
        };
        let this = match self.config.host.as_str() {
            "" => this_host(),
            host => host.to_owned(),
        };
        let tunnel = topology.tunnel(link, hosts, &this);
        tunnel.map(Some).map_err(|error| error.context(field))
    }
}

/// The kernel's name of this host.
fn this_host() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}
