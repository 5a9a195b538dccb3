//! What a plugin finds on its stdin (CNI spec 1.1.0, section 3, "Deriving request configuration
//! from plugin configuration").

use netloom_spec::{AddResult, Attachment, NetworkConfigList, PluginConf, Version};
use serde_json::{Map, Value, json};

use crate::{Network, RuntimeConf};

/// The request about an attachment: ADD, CHECK, DEL.
pub(crate) fn about_attachment(
    network: &Network<'_>,
    conf: &PluginConf,
    prev_result: Option<&AddResult>,
    rt: &RuntimeConf,
) -> PluginConf {
    let mut request = about_network(network, conf);
    if let Some(result) = prev_result {
        let version = network.known_version().unwrap_or(result.cni_version);
        request.set("prevResult", wire(result, version));
    }
    let runtime_config = intersection(conf, rt);
    if !runtime_config.is_empty() {
        request.set("runtimeConfig", Value::Object(runtime_config));
    }
    request
}

/// What the first plugin of a list would be sent at ADD, or a later one but for the `prevResult`: for
/// whoever wants to know before what a plugin would do.
pub fn forecast_request(
    list: &NetworkConfigList,
    conf: &PluginConf,
    rt: &RuntimeConf,
) -> PluginConf {
    about_attachment(&list.into(), conf, None, rt)
}

/// The request that concerns no attachment: STATUS, and the base of all others.
pub(crate) fn about_network(network: &Network<'_>, conf: &PluginConf) -> PluginConf {
    let mut request = conf.clone();
    let reserved = conf.raw().keys().filter(|key| is_reserved(key));
    reserved.for_each(|key| request.remove(key));
    request.set("name", Value::from(network.name));
    request.set("cniVersion", Value::from(network.cni_version));
    request
}

/// The request to remove everything but the attachments `valid`. Without them the plugin is not
/// told which are.
pub(crate) fn gc(
    network: &Network<'_>,
    conf: &PluginConf,
    valid: Option<&[Attachment]>,
) -> PluginConf {
    let mut request = about_network(network, conf);
    if let Some(valid) = valid {
        request.set("cni.dev/valid-attachments", json!(valid));
        // What the key was called in the first release with GC (containernetworking/cni 1101).
        request.set("cni.dev/attachments", json!(valid));
    }
    request
}

/// A result as the versions of the configuration shape it. Only the shape before 0.3.0 cannot
/// hold every result: one without addresses. All that is left of it then is its version.
pub(crate) fn wire(result: &AddResult, version: Version) -> Value {
    result
        .to_value(version)
        .unwrap_or_else(|_| json!({ "cniVersion": version.as_str() }))
}

/// Keys that are between the configuration and the runtime, or that only the runtime may set.
fn is_reserved(key: &str) -> bool {
    key.eq_ignore_ascii_case("capabilities")
        || key.eq_ignore_ascii_case("prevResult")
        || key.starts_with("cni.dev/")
}

/// The capabilities that the runtime offers in `rt` and no plugin of the network declares: nobody
/// gets them.
pub fn undeclared_capabilities<'a>(
    network: impl Into<Network<'a>>,
    rt: &RuntimeConf,
) -> Vec<String> {
    let network = network.into();
    let is_declared = |name: &String| {
        let mut plugins = network.plugins.iter();
        plugins.any(|conf| conf.capabilities().get(name) == Some(&true))
    };
    let offered = rt.capability_args.keys();
    offered.filter(|name| !is_declared(name)).cloned().collect()
}

/// What the runtime offers of what the plugin's configuration declares.
fn intersection(conf: &PluginConf, rt: &RuntimeConf) -> Map<String, Value> {
    let declared = conf
        .capabilities()
        .into_iter()
        .filter(|(_, wanted)| *wanted);
    declared
        .filter_map(|(name, _)| {
            rt.capability_args
                .get(&name)
                .map(|value| (name, value.clone()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use netloom_spec::NetworkConfigList;

    use super::*;

    fn list(plugin: Value) -> NetworkConfigList {
        let list = json!({"name": "blue", "cniVersion": "1.1.0", "plugins": [plugin]});
        NetworkConfigList::parse(list.to_string().as_bytes()).unwrap()
    }

    fn request(plugin: Value, rt: &RuntimeConf) -> Value {
        let list = list(plugin);
        let request = about_attachment(&Network::from(&list), &list.plugins[0], None, rt);
        Value::Object(request.raw().clone())
    }

    #[test]
    fn name_and_version_of_the_list_replace_those_of_the_plugin() {
        let plugin = json!({"type": "t", "name": "other", "CniVersion": "0.2.0", "x": [1]});
        let expected = json!({"type": "t", "name": "blue", "cniVersion": "1.1.0", "x": [1]});
        assert_eq!(request(plugin, &RuntimeConf::default()), expected);
    }

    #[test]
    fn runtime_config_is_what_is_both_declared_and_offered() {
        let plugin = json!({"type": "t", "capabilities": {"mac": true, "ips": true, "no": false}});
        let rt = RuntimeConf::default()
            .capability("mac", "0a:00:00:00:00:01")
            .capability("no", 1)
            .capability("undeclared", 2);
        let expected = json!({
            "type": "t", "name": "blue", "cniVersion": "1.1.0",
            "runtimeConfig": {"mac": "0a:00:00:00:00:01"},
        });
        assert_eq!(request(plugin, &rt), expected);
    }

    #[test]
    fn keys_that_only_the_runtime_may_set_are_dropped() {
        let plugin = json!({
            "type": "t", "prevResult": {}, "cni.dev/valid-attachments": [], "cni.dev/x": 1,
        });
        let expected = json!({"type": "t", "name": "blue", "cniVersion": "1.1.0"});
        assert_eq!(request(plugin, &RuntimeConf::default()), expected);
    }

    #[test]
    fn gc_has_both_spellings_of_the_key_or_none() {
        let list = list(json!({"type": "t"}));
        let network = Network::from(&list);
        let valid = [Attachment {
            container_id: "c".into(),
            if_name: "eth0".into(),
        }];
        let some = gc(&network, &list.plugins[0], Some(&valid));
        for key in ["cni.dev/valid-attachments", "cni.dev/attachments"] {
            assert_eq!(
                some.raw()[key],
                json!([{"containerID": "c", "ifname": "eth0"}])
            );
        }
        let empty = gc(&network, &list.plugins[0], Some(&[]));
        assert_eq!(empty.raw()["cni.dev/valid-attachments"], json!([]));
        let none = gc(&network, &list.plugins[0], None);
        assert_eq!(
            none.raw().keys().collect::<Vec<_>>(),
            ["cniVersion", "name", "type"]
        );
    }

    #[test]
    fn a_result_without_addresses_is_only_a_version_before_0_3_0() {
        let wire = wire(&AddResult::new(), Version::V0_2_0);
        assert_eq!(wire, json!({"cniVersion": "0.2.0"}));
    }
}
