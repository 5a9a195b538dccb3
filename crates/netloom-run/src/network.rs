//! What the user wants of networks, made into attachments.

use netloom_runtime::undeclared_capabilities;
use netloom_spec::NetworkConfigList;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::net_argument::Wanted;
use crate::{Attachment, DnsOptions, Port};

/// What the user wants of the pod's networks as a whole.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Published ports.
    pub ports: Vec<Port>,
    /// The value of the capability `bandwidth`.
    pub bandwidth: Option<Map<String, Value>>,
    /// Name servers: for plugins that take them, as `/etc/resolv.conf` has them anyway.
    pub dns: DnsOptions,
    /// For plugins that take the capability `io.kubernetes.cri.pod-annotations`.
    pub annotations: Map<String, Value>,
}

const ANNOTATIONS: &str = "io.kubernetes.cri.pod-annotations";

/// The attachments to these networks. What several networks could do, such as a published port, is for
/// the first that declares the capability.
///
/// # Errors
/// If two have the same interface; if no network takes a published port, a rate or annotations.
pub fn attachments(
    wanted: &[(Wanted, NetworkConfigList)],
    first_if_name: &str,
    wishes: &Wishes,
) -> Result<Vec<Attachment>> {
    let mut made: Vec<Attachment> = Vec::new();
    for (wanted, list) in wanted {
        let taken: Vec<_> = made.iter().map(|it| it.if_name.as_str()).collect();
        let if_name = if_name(wanted, &taken, first_if_name)?;
        made.push(attachment(wanted, list, if_name)?);
    }
    let lists: Vec<_> = wanted.iter().map(|(_, list)| list).collect();
    if !wishes.ports.is_empty() {
        let value = wishes.ports.iter().map(port).collect();
        give(&mut made, &lists, "portMappings", value, "-p")?;
    }
    if let Some(rates) = &wishes.bandwidth {
        let value = Value::Object(rates.clone());
        give(&mut made, &lists, "bandwidth", value, "--bandwidth")?;
    }
    if !wishes.annotations.is_empty() {
        let value = Value::Object(wishes.annotations.clone());
        give(&mut made, &lists, ANNOTATIONS, value, "--annotation")?;
    }
    if wishes.dns != DnsOptions::default() {
        let dns = &wishes.dns;
        let value = json!({
            "servers": dns.servers, "searches": dns.search, "options": dns.options,
        });
        for (it, list) in made.iter_mut().zip(&lists) {
            if declares(list, "dns") {
                it.capability_args.insert("dns".to_owned(), value.clone());
            }
        }
    }
    Ok(made)
}

/// The first free of eth0, eth1, …; `first` if that is free.
fn if_name(wanted: &Wanted, taken: &[&str], first: &str) -> Result<String> {
    if let Some(name) = &wanted.if_name {
        return match taken.contains(&name.as_str()) {
            false => Ok(name.clone()),
            true => Err(Error::new(format!(
                "network {:?}: the interface {name:?} is another network's already",
                wanted.network
            ))),
        };
    }
    let names = std::iter::once(first.to_owned()).chain((0..).map(|n| format!("eth{n}")));
    let mut free = names.filter(|name| !taken.contains(&name.as_str()));
    free.next()
        .ok_or_else(|| Error::new("there is no free interface name"))
}

fn attachment(wanted: &Wanted, list: &NetworkConfigList, if_name: String) -> Result<Attachment> {
    let mut it = Attachment::new(list, if_name)?;
    if let Some(mac) = &wanted.mac {
        match declares(list, "mac") {
            true => drop(it.capability_args.insert("mac".to_owned(), json!(mac))),
            false => it.args.push(("MAC".to_owned(), mac.clone())),
        }
    }
    if !wanted.ips.is_empty() {
        match declares(list, "ips") {
            true => drop(
                it.capability_args
                    .insert("ips".to_owned(), json!(wanted.ips)),
            ),
            false => it.args.push(("IP".to_owned(), wanted.ips.join(","))),
        }
    }
    it.args.extend(wanted.args.iter().cloned());
    if !it.args.is_empty() && !it.args.iter().any(|(key, _)| key == "IgnoreUnknown") {
        it.args
            .insert(0, ("IgnoreUnknown".to_owned(), "1".to_owned()));
    }
    Ok(it)
}

/// Whether a plugin of the network takes the capability.
fn declares(list: &NetworkConfigList, capability: &str) -> bool {
    let offered = netloom_runtime::RuntimeConf::default().capability(capability, true);
    undeclared_capabilities(list, &offered).is_empty()
}

fn give(
    made: &mut [Attachment],
    lists: &[&NetworkConfigList],
    capability: &str,
    value: Value,
    option: &str,
) -> Result<()> {
    let taker = lists.iter().position(|list| declares(list, capability));
    let Some(taker) = taker else {
        return Err(Error::new(nobody_takes(lists, capability, option)));
    };
    made[taker]
        .capability_args
        .insert(capability.to_owned(), value);
    Ok(())
}

fn nobody_takes(lists: &[&NetworkConfigList], capability: &str, option: &str) -> String {
    let names: Vec<_> = lists
        .iter()
        .map(|list| format!("{:?}", list.name))
        .collect();
    let who = match names.as_slice() {
        [] => return format!("{option} needs a network: add --net NAME"),
        [one] => format!("no plugin of network {one} takes it"),
        several => format!("no plugin of the networks {} takes it", several.join(", ")),
    };
    let plugin = match capability {
        "portMappings" => "portmap",
        "bandwidth" => "bandwidth",
        _ => "one that reads annotations",
    };
    format!(
        "{option}: {who}; add the plugin {plugin} with \"capabilities\": {{{capability:?}: true}} to its \
         configuration"
    )
}

fn port(port: &Port) -> Value {
    let mut mapping = json!({
        "hostPort": port.host, "containerPort": port.pod, "protocol": port.protocol.as_str(),
    });
    // What comes to a user's own host was led there from the address already.
    if let Some(ip) = port.host_ip.filter(|_| !crate::private_host::is_inside()) {
        mapping["hostIP"] = json!(ip);
    }
    mapping
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protocol;

    fn list(name: &str, capabilities: Value) -> NetworkConfigList {
        let list = json!({"name": name, "cniVersion": "1.1.0", "plugins": [
            {"type": "bridge"}, {"type": "x", "capabilities": capabilities},
        ]});
        NetworkConfigList::parse(list.to_string().as_bytes()).unwrap()
    }

    fn wanted(network: &str) -> Wanted {
        Wanted {
            network: network.to_owned(),
            ..Wanted::default()
        }
    }

    #[test]
    fn addresses_go_to_whoever_declares_them_and_else_to_the_arguments() {
        let asked = Wanted {
            ips: vec!["10.1.0.5".into()],
            mac: Some("0a:00:00:00:00:01".into()),
            ..wanted("a")
        };
        let declared = list("a", json!({"ips": true, "mac": true}));
        let plain = list("b", json!({}));
        let made = attachments(
            &[(asked.clone(), declared), (asked, plain)],
            "eth0",
            &Wishes::default(),
        )
        .unwrap();
        assert_eq!(made[0].capability_args["ips"], json!(["10.1.0.5"]));
        assert!(made[0].args.is_empty());
        let keys: Vec<_> = made[1].args.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["IgnoreUnknown", "MAC", "IP"]);
        assert_eq!((&*made[0].if_name, &*made[1].if_name), ("eth0", "eth1"));
    }

    #[test]
    fn a_port_is_for_the_first_network_that_takes_it_and_else_an_error() {
        let wishes = Wishes {
            ports: vec![Port {
                host_ip: None,
                host: 8080,
                pod: 80,
                protocol: Protocol::Tcp,
            }],
            ..Wishes::default()
        };
        let networks = [
            (wanted("a"), list("a", json!({}))),
            (wanted("b"), list("b", json!({"portMappings": true}))),
        ];
        let made = attachments(&networks, "eth0", &wishes).unwrap();
        assert!(made[0].capability_args.is_empty());
        assert_eq!(made[1].capability_args["portMappings"][0]["hostPort"], 8080);
        let error = attachments(&networks[..1], "eth0", &wishes).unwrap_err();
        assert!(error.words.contains("portmap"), "{error}");
        assert!(error.words.contains("\"a\""), "{error}");
    }

    #[test]
    fn an_interface_is_given_once() {
        let named = |name: &str| Wanted {
            if_name: Some(name.to_owned()),
            ..wanted("a")
        };
        let one = || list("a", json!({}));
        let networks = [(named("eth0"), one()), (wanted("a"), one())];
        let made = attachments(&networks, "eth0", &Wishes::default()).unwrap();
        assert_eq!(made[1].if_name, "eth1");
        let twice = [(named("x"), one()), (named("x"), one())];
        assert!(attachments(&twice, "eth0", &Wishes::default()).is_err());
    }
}
