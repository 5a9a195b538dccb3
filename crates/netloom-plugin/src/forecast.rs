//! What ADD would do, told before it does anything.

use std::fmt::Write as _;
use std::mem;
use std::net::IpAddr;

use ipnet::IpNet;
use netloom_spec::{AddResult, Error, NetworkName, PluginConf, Version};

use crate::{Needs, Plugin, find};

/// What would become of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// It is made.
    Makes,
    /// It is there, and becomes another.
    Changes,
    /// It is wanted, and there already.
    IsThere,
    /// It might be expected to change, and does not.
    LeavesAlone,
}

impl Effect {
    /// In words, as a heading.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Makes => "will make",
            Self::Changes => "will change",
            Self::IsThere => "is there already",
            Self::LeavesAlone => "will not be touched",
        }
    }
}

/// Where an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Spot {
    /// On the host.
    Host,
    /// In the network namespace of the container.
    Pod,
}

impl Spot {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Pod => "pod",
        }
    }
}

/// One object, and what would become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The plugin that would do it.
    pub plugin: &'static str,
    /// What would become of it.
    pub effect: Effect,
    /// Where it is.
    pub spot: Spot,
    /// What it is: `link`, `address`, `route`, `rule`, `tc`, `nft` (a table and what is in it),
    /// `sysctl`, `file`, or another kind in the kernel's word.
    pub kind: &'static str,
    /// Its name, as far as it is known: `*` stands for the rest.
    pub name: String,
}

/// An ADD that is asked about, and what is known of it so far. Every plugin of the list adds to it, in
/// their order, an IPAM plugin before the plugin that it is for.
pub struct Forecast<'a> {
    /// The configuration of the plugin that is asked, with the runtime's capabilities.
    pub conf: PluginConf,
    /// All plugins that can be asked.
    pub registry: &'a [&'static dyn Plugin],
    /// The plugin that is asked.
    pub plugin: &'static str,
    /// The network.
    pub network: &'a NetworkName,
    /// The version of the configuration.
    pub version: Version,
    /// The container's id.
    pub container_id: &'a str,
    /// The name of the interface in the container.
    pub if_name: &'a str,
    /// `CNI_ARGS`, raw.
    pub args: &'a str,
    /// The path of the container's network namespace.
    pub netns: &'a str,
    /// The result as far as it can be told: addresses and routes.
    pub result: AddResult,
    /// Whether addresses come from somebody who is not asked yet, such as a DHCP server.
    pub is_open: bool,
    /// The names, or patterns, of links of the host that lead to the pod.
    pub host_ends: Vec<String>,
    /// What was told.
    pub steps: Vec<Step>,
    /// The plugins that nobody knows what they would do.
    pub unknown: Vec<String>,
}

impl Forecast<'_> {
    /// Asks the plugin of a configuration, and before it the one that it has its addresses from.
    ///
    /// # Errors
    /// As their ADD, for what would keep it from beginning.
    pub fn ask(&mut self, conf: PluginConf) -> Result<(), Error> {
        let kind = conf.plugin_type().to_owned();
        let outer = (mem::replace(&mut self.conf, conf), self.plugin);
        let plugin = find(self.registry, &kind);
        let needs = plugin.map_or(Ok(Needs::default()), |it| it.validate(&self.conf))?;
        let ipam = self.conf.ipam_type().filter(|_| needs.addresses);
        if let Some(ipam) = ipam.filter(|ipam| !ipam.is_empty()).map(str::to_owned) {
            self.ask_one(&ipam)?;
        }
        self.ask_one(&kind)?;
        (self.conf, self.plugin) = outer;
        Ok(())
    }

    fn ask_one(&mut self, kind: &str) -> Result<(), Error> {
        let Some(plugin) = find(self.registry, kind) else {
            self.is_open = true;
            self.unknown.push(kind.to_owned());
            return Ok(());
        };
        self.plugin = plugin.name();
        plugin.describe(self)
    }

    /// Tells of one object.
    pub fn tell(
        &mut self,
        effect: Effect,
        spot: Spot,
        kind: &'static str,
        name: impl Into<String>,
    ) {
        let name = name.into();
        let step = Step {
            plugin: self.plugin,
            effect,
            spot,
            kind,
            name,
        };
        if !self.steps.contains(&step) {
            self.steps.push(step);
        }
    }

    /// Tells of something on the host that is made.
    pub fn makes(&mut self, kind: &'static str, name: impl Into<String>) {
        self.tell(Effect::Makes, Spot::Host, kind, name);
    }

    /// Tells of something in the pod that is made.
    pub fn makes_inside(&mut self, kind: &'static str, name: impl Into<String>) {
        self.tell(Effect::Makes, Spot::Pod, kind, name);
    }

    /// The pod's interface with its addresses and routes.
    pub fn interface(&mut self) {
        self.makes_inside("link", self.if_name);
        self.layer_three();
    }

    /// The addresses and routes of the pod's interface.
    pub fn layer_three(&mut self) {
        let if_name = self.if_name;
        for ip in self.result.ips.clone() {
            self.makes_inside("address", format!("{} on {if_name}", ip.address));
        }
        for route in self.result.routes.clone() {
            let family = |ip: &IpAddr| ip.is_ipv4() == route.dst.addr().is_ipv4();
            let of_pod = || {
                self.result
                    .ips
                    .iter()
                    .find_map(|ip| ip.gateway.filter(family))
            };
            let way = route.gw.or_else(of_pod);
            self.route_inside(route.dst, way);
        }
        if self.is_open {
            self.makes_inside("address", format!("* on {if_name}"));
            self.makes_inside("route", format!("* dev {if_name}"));
        }
    }

    /// A route of the pod by its interface.
    pub fn route_inside(&mut self, to: IpNet, way: Option<IpAddr>) {
        self.makes_inside("route", route(to, way, self.if_name));
    }
}

/// A route in words, as a plan has it: `10.1.0.0/16 via 10.0.0.1 dev eth0`.
#[must_use]
pub fn route(to: IpNet, way: Option<IpAddr>, device: &str) -> String {
    let mut name = match (to.prefix_len(), to.addr().is_ipv6()) {
        (0, true) => "default (IPv6)".to_owned(),
        (0, false) => "default".to_owned(),
        _ => to.trunc().to_string(),
    };
    if let Some(way) = way {
        // Writing to a String cannot fail.
        let _ = write!(name, " via {way}");
    }
    let _ = write!(name, " dev {device}");
    name
}
