//! What is known of the networks beside what the kernel tells.

use netloom_kernel::netns::Netns;
use netloom_plugin::of_conf;
use netloom_plugins::registry::PLUGINS;
use netloom_runtime::CachedAttachment;
use netloom_runtime::load::{self, NetworkFile};
use serde_json::Value;

use crate::command::doctor;
use crate::graph::{Network, Overlay, Pod};
use crate::options::Options;

/// Names of networks and pods, and doctor's findings. What cannot be read is told on stderr: a
/// picture of what the kernel tells is better than none.
pub(super) fn overlay(options: &Options) -> Overlay {
    let networks = match load::directory(&options.conf_dir) {
        Ok(directory) => directory.networks,
        Err(error) => {
            note!("netloom: without the names of networks: {error}");
            Vec::new()
        }
    };
    let health = doctor::health(options).unwrap_or_else(|error| {
        note!("netloom: without the names and the health of pods: {error:#}");
        doctor::Health::default()
    });
    let mut pods: Vec<Pod> = health.living.iter().filter_map(pod).collect();
    pods.sort_by(|a, b| (&a.network, &a.interface).cmp(&(&b.network, &b.interface)));
    Overlay {
        networks: networks.iter().map(network).collect(),
        pods,
        problems: health.problems,
        wanted: Vec::new(),
    }
}

fn network(file: &NetworkFile) -> Network {
    let plugins = || {
        let confs = file.list.plugins.iter();
        confs.flat_map(|conf| of_conf(PLUGINS, conf).map(move |plugin| (plugin, conf)))
    };
    let is_on = |value: Option<&Value>| value == Some(&Value::Bool(true));
    let link = plugins().find_map(|(plugin, conf)| plugin.host_link(conf));
    Network {
        name: file.list.name.clone(),
        bridge: link.as_ref().and_then(|it| it.bridge()).map(str::to_owned),
        masquerades: plugins().any(|(_, conf)| is_on(conf.get("ipMasq"))),
    }
}

/// `None` where its namespace cannot be opened.
fn pod(it: &CachedAttachment) -> Option<Pod> {
    let namespace = Netns::open(&it.netns).ok()?.id().ok()?;
    let argument = |key: &str| {
        let pair = it.args.iter().find(|(name, _)| name == key)?;
        Some(pair.1.as_str())
    };
    let name = match (argument("K8S_POD_NAMESPACE"), argument("K8S_POD_NAME")) {
        (Some(namespace), Some(name)) => Some(format!("{namespace}/{name}")),
        // cnitool's follows from the namespace's path, and says less than that.
        _ if it.container_id.starts_with("cnitool-") => None,
        _ => Some(short(&it.container_id).to_owned()),
    };
    let mappings = it.capability_args.get("portMappings");
    let mappings = mappings.and_then(Value::as_array).into_iter().flatten();
    Some(Pod {
        namespace,
        name,
        container: it.container_id.clone(),
        interface: it.if_name.clone(),
        network: it.network.clone(),
        published: mappings.map(published).collect(),
    })
}

/// A mapping in words: `8080/tcp → 80`.
fn published(mapping: &Value) -> String {
    let number = |key: &str| {
        mapping
            .get(key)
            .map_or_else(|| "?".to_owned(), Value::to_string)
    };
    let protocol = mapping
        .get("protocol")
        .and_then(Value::as_str)
        .unwrap_or("tcp");
    format!(
        "{}/{protocol} → {}",
        number("hostPort"),
        number("containerPort")
    )
}

/// The beginning of a runtime's long id, as runtimes show it.
fn short(id: &str) -> &str {
    let is_long = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_long { &id[..12] } else { id }
}
