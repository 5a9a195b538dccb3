//! The flannel plugin's configuration, and the delegate's that follows from it.

use super::subnet_env::SubnetEnv;
use crate::wiring::setup_error::invalid;
use netloom_spec::{Error, PluginConf, Route, decode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

const SUBNET_FILE: &str = "/run/flannel/subnet.env";
const DATA_DIR: &str = "/var/lib/cni/flannel";
/// As upstream: the delegate where none is named, which is asked to be a gateway.
const USUAL_DELEGATE: &str = "bridge";

/// Upstream's keys, unvalidated.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    subnet_file: String,
    data_dir: String,
    delegate: Map<String, Value>,
    ipam: Map<String, Value>,
    runtime_config: Option<Map<String, Value>>,
}

/// A valid request.
#[derive(Debug)]
pub(super) struct Plan {
    /// Where flanneld writes.
    pub(super) subnet_file: PathBuf,
    /// Where delegates' configurations are saved.
    pub(super) data_dir: PathBuf,
    /// The delegate's configuration as far as it does not depend on the subnet.
    delegate: PluginConf,
    /// The base of its `ipam`.
    ipam: Map<String, Value>,
    /// The routes in there.
    routes: Vec<Value>,
}

impl Plan {
    /// Validates the configuration; nothing has been touched when this fails.
    pub(super) fn new(conf: &PluginConf) -> Result<Self, Error> {
        let config: Config = conf.decode()?;
        let routes = routes(&config.ipam)?;
        Ok(Self {
            subnet_file: or_default(config.subnet_file, SUBNET_FILE),
            data_dir: or_default(config.data_dir, DATA_DIR),
            delegate: delegate(conf, config.delegate, config.runtime_config)?,
            ipam: config.ipam,
            routes,
        })
    }

    /// The delegate's configuration on this host.
    pub(super) fn render(&self, env: &SubnetEnv) -> Result<PluginConf, Error> {
        let mut delegate = self.delegate.clone();
        // Whoever does not masquerade leaves it to the other.
        set_default(&mut delegate, "ipMasq", json!(!env.ip_masq));
        set_default(&mut delegate, "mtu", json!(env.mtu));
        delegate.set("ipam", Value::Object(self.ipam(env)));
        Ok(delegate)
    }

    fn ipam(&self, env: &SubnetEnv) -> Map<String, Value> {
        let mut ipam = self.ipam.clone();
        if decode::get(&ipam, "type").is_none() {
            put(&mut ipam, "type", json!("host-local"));
        }
        let sets = env
            .subnets
            .iter()
            .map(|subnet| json!([{"subnet": subnet.to_string()}]));
        put(&mut ipam, "ranges", sets.collect());
        let to_network = env
            .networks
            .iter()
            .map(|net| json!({"dst": net.to_string()}));
        let routes = self.routes.iter().cloned().chain(to_network);
        put(&mut ipam, "routes", routes.collect());
        ipam
    }
}

/// Where delegates' configurations are, as far as a configuration tells that may be bad otherwise.
pub(super) fn data_dir(conf: &PluginConf) -> PathBuf {
    let told = conf.get("dataDir").and_then(Value::as_str);
    or_default(told.unwrap_or_default().to_owned(), DATA_DIR)
}

fn or_default(text: String, default: &str) -> PathBuf {
    PathBuf::from(if text.is_empty() {
        default.to_owned()
    } else {
        text
    })
}

fn delegate(
    conf: &PluginConf,
    keys: Map<String, Value>,
    runtime_config: Option<Map<String, Value>>,
) -> Result<PluginConf, Error> {
    if decode::get(&keys, "type").is_some_and(|kind| !kind.is_string()) {
        let text = "'delegate' dictionary, if present, must have (string) 'type' field";
        return Err(invalid(text));
    }
    for key in ["name", "ipam"] {
        if decode::get(&keys, key).is_some() {
            return Err(invalid(format!(
                "'delegate' dictionary must not have '{key}' field, it'll be set by flannel"
            )));
        }
    }
    let mut delegate = PluginConf::from_map(keys).map_err(|error| error.context("delegate"))?;
    delegate.set("name", json!(conf.name()));
    if !conf.cni_version().is_empty() {
        delegate.set("cniVersion", json!(conf.cni_version()));
    }
    set_default(&mut delegate, "type", json!(USUAL_DELEGATE));
    match delegate.plugin_type() {
        "" => {
            return Err(invalid(
                "delegate.type is empty: name a plugin such as \"bridge\"",
            ));
        }
        // It would be its own delegate, and save its configuration over this one.
        "flannel" => {
            let text = "delegate.type \"flannel\": flannel needs another plugin such as \"bridge\"";
            return Err(invalid(text));
        }
        USUAL_DELEGATE => set_default(&mut delegate, "isGateway", json!(true)),
        _ => {}
    }
    if let Some(runtime_config) = runtime_config {
        delegate.set("runtimeConfig", Value::Object(runtime_config));
    }
    Ok(delegate)
}

/// The routes of the base `ipam`, as they came, and known to be routes.
fn routes(ipam: &Map<String, Value>) -> Result<Vec<Value>, Error> {
    let Some(value) = decode::get(ipam, "routes") else {
        return Ok(Vec::new());
    };
    decode::from_value::<Vec<Route>>(value).map_err(|error| error.context("ipam.routes"))?;
    Ok(value.as_array().cloned().unwrap_or_default())
}

fn set_default(conf: &mut PluginConf, key: &str, value: Value) {
    if conf.get(key).is_none() {
        conf.set(key, value);
    }
}

/// Sets a key in place of all its spellings.
fn put(object: &mut Map<String, Value>, key: &str, value: Value) {
    object.retain(|spelled, _| !spelled.eq_ignore_ascii_case(key));
    object.insert(key.to_owned(), value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(value: Value) -> PluginConf {
        PluginConf::parse(value.to_string().as_bytes()).unwrap()
    }

    fn env(ip_masq: bool, subnets: &[&str], networks: &[&str]) -> SubnetEnv {
        let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        SubnetEnv {
            networks: nets(networks),
            subnets: nets(subnets),
            mtu: 1450,
            ip_masq,
        }
    }

    fn rendered(keys: Value, env: &SubnetEnv) -> Value {
        let mut whole = json!({"cniVersion": "1.0.0", "name": "cbr0", "type": "flannel"});
        for (key, value) in keys.as_object().unwrap() {
            whole[key] = value.clone();
        }
        let delegate = Plan::new(&conf(whole)).unwrap().render(env).unwrap();
        serde_json::from_slice(&delegate.to_bytes()).unwrap()
    }

    #[test]
    fn the_delegate_is_a_bridge_with_the_host_s_subnet() {
        let env = env(true, &["10.244.3.0/24"], &["10.244.0.0/16"]);
        assert_eq!(
            rendered(json!({}), &env),
            json!({
                "cniVersion": "1.0.0", "name": "cbr0", "type": "bridge", "isGateway": true,
                "ipMasq": false, "mtu": 1450,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": "10.244.3.0/24"}]],
                    "routes": [{"dst": "10.244.0.0/16"}]
                }
            })
        );
    }

    #[test]
    fn what_the_delegate_says_itself_counts_more_and_the_rest_is_passed_on() {
        let env = env(
            false,
            &["10.1.3.0/24", "fd00:3::/64"],
            &["10.1.0.0/16", "fd00::/32"],
        );
        let keys = json!({
            "delegate": {
                "type": "ipvlan", "master": "eth0", "MTU": 1400, "hairpinMode": true,
                "isDefaultGateway": true
            },
            "ipam": {
                "dataDir": "/run/ipam", "Ranges": [[{"subnet": "10.9.0.0/24"}]],
                "routes": [{"dst": "10.96.0.0/12", "gw": "10.1.3.1"}]
            },
            "runtimeConfig": {"portMappings": [{"hostPort": 80}]}
        });
        assert_eq!(
            rendered(keys, &env),
            json!({
                "cniVersion": "1.0.0", "name": "cbr0", "type": "ipvlan", "master": "eth0",
                "MTU": 1400, "hairpinMode": true, "isDefaultGateway": true, "ipMasq": true,
                "runtimeConfig": {"portMappings": [{"hostPort": 80}]},
                "ipam": {
                    "type": "host-local", "dataDir": "/run/ipam",
                    "ranges": [[{"subnet": "10.1.3.0/24"}], [{"subnet": "fd00:3::/64"}]],
                    "routes": [
                        {"dst": "10.96.0.0/12", "gw": "10.1.3.1"}, {"dst": "10.1.0.0/16"},
                        {"dst": "fd00::/32"}
                    ]
                }
            })
        );
    }

    #[test]
    fn bad_keys_are_named() {
        for (keys, told) in [
            (json!({"type": 7}), "must have (string) 'type' field"),
            (json!({"type": ""}), "delegate.type is empty"),
            (json!({"type": "flannel"}), "delegate.type \"flannel\""),
            (json!({"NAME": "x"}), "must not have 'name' field"),
            (json!({"ipam": {}}), "must not have 'ipam' field"),
            (
                json!({"dns": 7}),
                "delegate: error parsing configuration: dns",
            ),
        ] {
            let whole = json!({"name": "n", "type": "flannel", "delegate": keys});
            let error = Plan::new(&conf(whole)).unwrap_err();
            assert!(error.msg.contains(told), "{error}");
        }
        let bad = json!({"name": "n", "ipam": {"routes": [{"dst": "10.96.0.0"}]}});
        let error = Plan::new(&conf(bad)).unwrap_err();
        assert!(error.msg.contains("ipam.routes: [0].dst"), "{error}");
    }
}
