//! What the annotations of a pod ask for. They are the pod's words: they may say whom it wants to be
//! linked to, and nothing of the host.

use super::keys::objects_in;
use super::link::{EndText, LinkText};
use crate::wiring::setup_error::invalid;
use netloom_spec::{Error, decode};
use serde_json::{Map, Value};

/// Links as JSON.
const LINKS: &str = "netloom.dev/links";
/// The first ratchet's mark of a pod that it is for, then a label of Docker's.
const MARK: &str = "ratchet";
/// All other keys of the first ratchet begin so.
const PREFIX: &str = "ratchet.";

/// What a pod asks for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) links: Vec<LinkText>,
    /// Whether it bears the first ratchet's mark.
    pub(super) marked: bool,
    /// The name that it gives itself in the first ratchet's form.
    pub(super) pod_name: Option<String>,
    /// The link in the first ratchet's form, which only the primary tells of.
    pub(super) old: Option<LinkText>,
    /// Whether it takes part without naming anybody: the other of such a pair.
    pub(super) open: bool,
}

/// Reads the annotations of a pod in a Kubernetes namespace.
pub(super) fn read(annotations: &Map<String, Value>, namespace: &str) -> Result<Asked, Error> {
    let links = match text(annotations, LINKS) {
        Some(json) => {
            let at = format!("annotation {LINKS}");
            let value = decode::parse(json.as_bytes()).map_err(|error| error.context(&at))?;
            let links = objects_in(&value, &at)?;
            links.iter().map(LinkText::read).collect::<Result<_, _>>()?
        }
        None => Vec::new(),
    };
    // Any value will do but a plain no.
    let marked = text(annotations, MARK).is_some_and(|value| value != "false");
    let mut asked = Asked {
        links,
        marked,
        ..Asked::default()
    };
    if marked {
        asked.read_old(annotations, namespace)?;
    }
    Ok(asked)
}

fn text<'a>(annotations: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    annotations.get(key).and_then(Value::as_str)
}

impl Asked {
    /// The ten keys. `target_pod`, `target_container` and `public_ip` were never used.
    fn read_old(&mut self, annotations: &Map<String, Value>, namespace: &str) -> Result<(), Error> {
        let get = |key: &str| text(annotations, &format!("{PREFIX}{key}"));
        self.pod_name = get("pod_name").map(|name| qualified(name, namespace));
        if get("primary") != Some("true") {
            self.open = true;
            return Ok(());
        }
        let require = |key: &str| {
            get(key).ok_or_else(|| {
                let what = format!("annotation {PREFIX}{key} is missing: a primary needs it");
                invalid(what)
            })
        };
        let end = |if_name: &str, ip: &str| -> Result<EndText, Error> {
            Ok(EndText {
                if_name: require(if_name)?.to_owned(),
                addresses: vec![with_prefix(require(ip)?)],
                ..EndText::default()
            })
        };
        self.old = Some(LinkText {
            near: end("local_ifname", "local_ip")?,
            peer: qualified(require("pair_name")?, namespace),
            far: end("pair_ifname", "pair_ip")?,
            ..LinkText::default()
        });
        Ok(())
    }
}

/// A name without a Kubernetes namespace is one of the pod's own.
fn qualified(name: &str, namespace: &str) -> String {
    if name.contains('/') {
        return name.to_owned();
    }
    format!("{namespace}/{name}")
}

/// The first ratchet put `/24` behind each address.
fn with_prefix(address: &str) -> String {
    match address {
        it if it.contains('/') => it.to_owned(),
        it if it.contains(':') => format!("{it}/64"),
        it => format!("{it}/24"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn asked(annotations: Value) -> Result<Asked, Error> {
        read(annotations.as_object().unwrap(), "default")
    }

    #[test]
    fn the_primary_of_the_tutorial_asks_for_the_whole_link() {
        let asked = asked(json!({
            "ratchet": "true", "ratchet.pod_name": "primary-pod", "ratchet.primary": "true",
            "ratchet.local_ip": "192.168.2.100", "ratchet.local_ifname": "in1",
            "ratchet.pair_name": "pair-pod", "ratchet.pair_ip": "192.168.2.101",
            "ratchet.pair_ifname": "in2", "ratchet.public_ip": "1.1.1.1"
        }));
        let asked = asked.unwrap();
        let link = asked.old.unwrap();
        assert_eq!((&*link.near.if_name, &*link.far.if_name), ("in1", "in2"));
        assert_eq!(link.near.addresses, ["192.168.2.100/24"]);
        assert_eq!(link.peer, "default/pair-pod");
        assert!(asked.marked && !asked.open);
        assert_eq!(asked.pod_name.unwrap(), "default/primary-pod");
    }

    #[test]
    fn the_pair_takes_part_and_a_plain_no_does_not() {
        let pair = json!({"ratchet": "yes", "ratchet.pod_name": "p", "ratchet.primary": "false"});
        let pair = asked(pair).unwrap();
        assert!(pair.marked && pair.open && pair.old.is_none());
        let none = asked(json!({"ratchet": "false", "ratchet.primary": "true"})).unwrap();
        assert!(!none.marked && !none.open && none.old.is_none());
    }

    #[test]
    fn what_a_primary_lacks_is_named() {
        let error = asked(json!({"ratchet": "", "ratchet.primary": "true"})).unwrap_err();
        assert!(error.msg.contains("ratchet.local_ifname"), "{error}");
        let error = asked(json!({"netloom.dev/links": "[{\"if\": 7}]"})).unwrap_err();
        assert!(error.msg.contains("netloom.dev/links"), "{error}");
    }
}
