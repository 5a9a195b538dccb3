//! One plugin's configuration, and the request made from it (CNI spec 1.1.0, sections 1 and 3).

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::decode;
use crate::error::Error;
use crate::result::{AddResult, Dns};
use crate::version::Version;

/// What identifies an attachment within a network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attachment {
    /// The container's id.
    #[serde(rename = "containerID")]
    pub container_id: String,
    /// The name of the interface in the container.
    #[serde(rename = "ifname")]
    pub if_name: String,
}

/// One plugin's configuration: a plugin object of a list, a request on a
/// plugin's stdin, or a file of before 1.0.0.
///
/// The object is kept whole, keys nobody knows included. The keys every plugin
/// shares are checked to be of the right JSON type when it is read; what they
/// say is for the reader to check. The default has no keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginConf {
    raw: Map<String, Value>,
}

/// The keys every plugin shares.
#[derive(Deserialize)]
#[expect(dead_code, reason = "decoded for the check alone")]
struct Shared {
    #[serde(default, rename = "cniVersion")]
    cni_version: String,
    #[serde(default)]
    name: String,
    #[serde(default, rename = "type")]
    plugin_type: String,
    #[serde(default)]
    capabilities: BTreeMap<String, bool>,
    #[serde(default)]
    ipam: Ipam,
    #[serde(default)]
    dns: Dns,
}

#[derive(Default, Deserialize)]
#[expect(dead_code, reason = "decoded for the check alone")]
struct Ipam {
    #[serde(default, rename = "type")]
    plugin_type: String,
}

impl PluginConf {
    /// Reads a configuration.
    ///
    /// # Errors
    /// [`DECODING`](crate::code::DECODING) if `bytes` are not one JSON object or
    /// a key every plugin shares has a value of the wrong type.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let raw = decode::parse_object(bytes)
            .map_err(|fault| fault.context("error parsing configuration"))?;
        Self::from_map(raw)
    }

    /// As [`PluginConf::parse`], of an object already read.
    ///
    /// # Errors
    /// As [`PluginConf::parse`].
    pub fn from_map(raw: Map<String, Value>) -> Result<Self, Error> {
        decode::from_object::<Shared>(&raw)
            .map_err(|fault| fault.context("error parsing configuration"))?;
        Ok(Self { raw })
    }

    /// The whole object.
    pub fn raw(&self) -> &Map<String, Value> {
        &self.raw
    }

    /// The value of `key`, whatever its case; `None` if absent or `null`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        decode::get(&self.raw, key)
    }

    fn text(&self, key: &str) -> &str {
        self.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// The network's name, not checked; empty if absent.
    pub fn name(&self) -> &str {
        self.text("name")
    }

    /// `cniVersion` as it is spelled; empty if absent.
    pub fn cni_version(&self) -> &str {
        self.text("cniVersion")
    }

    /// The protocol version; 0.1.0 if absent.
    ///
    /// # Errors
    /// [`INCOMPATIBLE_VERSION`](crate::code::INCOMPATIBLE_VERSION) if it is not
    /// a known one.
    pub fn version(&self) -> Result<Version, Error> {
        self.cni_version().parse()
    }

    /// The plugin's name (`type`), not checked; empty if absent.
    pub fn plugin_type(&self) -> &str {
        self.text("type")
    }

    /// The IPAM plugin's name (`ipam.type`), not checked; `None` if absent or empty.
    pub fn ipam_type(&self) -> Option<&str> {
        let ipam = self.get("ipam")?.as_object()?;
        decode::get(ipam, "type")?
            .as_str()
            .filter(|name| !name.is_empty())
    }

    /// The capabilities the configuration declares, and whether each is wanted.
    pub fn capabilities(&self) -> BTreeMap<String, bool> {
        self.get("capabilities")
            .and_then(|value| decode::from_value(value).ok())
            .unwrap_or_default()
    }

    /// The well-known key `dns`; empty if absent.
    pub fn dns(&self) -> Dns {
        self.get("dns")
            .and_then(|value| decode::from_value(value).ok())
            .unwrap_or_default()
    }

    /// The result of the plugins before this one, or of the whole ADD.
    ///
    /// One without `cniVersion` is taken to be in the version of the
    /// configuration, one of another family is refused.
    ///
    /// # Errors
    /// As [`PluginConf::version`] and [`AddResult::parse`].
    pub fn prev_result(&self) -> Result<Option<AddResult>, Error> {
        let Some(value) = self.get("prevResult") else {
            return Ok(None);
        };
        let version = self.version()?;
        let filled = match value {
            Value::Object(object) if !has_version(object) => {
                let mut object = object.clone();
                object.insert("cniVersion".to_owned(), version.as_str().into());
                &Value::Object(object)
            }
            _ => value,
        };
        AddResult::from_value(filled, version)
            .map(Some)
            .map_err(|fault| fault.context("could not parse prevResult"))
    }

    /// The attachments that GC must spare (`cni.dev/valid-attachments`); `None`
    /// if the runtime did not say.
    ///
    /// # Errors
    /// [`DECODING`](crate::code::DECODING) or
    /// [`INVALID_CONFIG`](crate::code::INVALID_CONFIG) if they are not a list of
    /// attachments.
    pub fn valid_attachments(&self) -> Result<Option<Vec<Attachment>>, Error> {
        /// Early runtimes with GC wrote only the second.
        const KEYS: [&str; 2] = ["cni.dev/valid-attachments", "cni.dev/attachments"];
        let Some((key, value)) = KEYS.iter().find_map(|key| decode::find(&self.raw, key)) else {
            return Ok(None);
        };
        decode::from_value(value)
            .map(Some)
            .map_err(|fault| fault.context(format_args!("{key:?}")))
    }

    /// Sets `key`, in place of every key that differs only in case.
    pub fn set(&mut self, key: impl Into<String>, value: Value) {
        let key = key.into();
        self.remove(&key);
        self.raw.insert(key, value);
    }

    /// Removes `key` and every key that differs only in case.
    pub fn remove(&mut self, key: &str) {
        self.raw
            .retain(|spelled, _| !spelled.eq_ignore_ascii_case(key));
    }

    /// The object as compact JSON, sorted by key.
    pub fn to_bytes(&self) -> Vec<u8> {
        decode::compact(&self.raw).into_bytes()
    }

    /// Reads a plugin's own type from the object, by the rules of [`decode`].
    ///
    /// # Errors
    /// [`DECODING`](crate::code::DECODING) or
    /// [`INVALID_CONFIG`](crate::code::INVALID_CONFIG), naming the path to the
    /// value.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        decode::from_object(&self.raw)
            .map_err(|fault: Error| fault.context("failed to load netconf"))
    }
}

fn has_version(result: &Map<String, Value>) -> bool {
    decode::get(result, "cniVersion").is_some_and(|version| version.as_str() != Some(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(text: &str) -> PluginConf {
        PluginConf::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn an_empty_object_is_a_configuration_of_the_oldest_version() {
        let conf = conf("{}");
        assert_eq!(
            (conf.name(), conf.plugin_type(), conf.cni_version()),
            ("", "", "")
        );
        assert_eq!(
            (conf.ipam_type(), conf.version().unwrap()),
            (None, Version::V0_1_0)
        );
        assert!(conf.dns().is_empty() && conf.capabilities().is_empty());
        assert_eq!(conf.prev_result().unwrap(), None);
        assert_eq!(conf.valid_attachments().unwrap(), None);
    }

    #[test]
    fn shared_keys_match_whatever_their_case() {
        let conf = conf(
            r#"{"Name":"n","TYPE":"t","CNIVersion":"0.4.0","IPAM":{"Type":"i"},
            "DNS":{"Domain":"d"},"PrevResult":{}}"#,
        );
        assert_eq!(
            (conf.name(), conf.plugin_type(), conf.ipam_type()),
            ("n", "t", Some("i"))
        );
        assert_eq!(
            (conf.version().unwrap(), conf.dns().domain.as_str()),
            (Version::V0_4_0, "d")
        );
        assert!(conf.prev_result().unwrap().is_some());
    }

    #[test]
    fn an_unknown_version_is_kept_but_is_no_version() {
        let conf = conf(r#"{"cniVersion":"1.2.0","prevResult":{}}"#);
        assert_eq!(conf.cni_version(), "1.2.0");
        assert_eq!(
            conf.version().unwrap_err().code,
            crate::code::INCOMPATIBLE_VERSION
        );
        assert_eq!(
            conf.prev_result().unwrap_err().code,
            crate::code::INCOMPATIBLE_VERSION
        );
    }

    #[test]
    fn shared_keys_of_the_wrong_type_are_refused_at_once() {
        for (text, msg) in [
            (r#"{"name":1}"#, "name: expected a string, got 1"),
            (r#"{"type":[]}"#, "type: expected a string, got an array"),
            (
                r#"{"cniVersion":1.0}"#,
                "cniVersion: expected a string, got 1.0",
            ),
            (
                r#"{"ipam":"x"}"#,
                "ipam: expected an object, got the string \"x\"",
            ),
            (
                r#"{"ipam":{"Type":true}}"#,
                "ipam.Type: expected a string, got true",
            ),
            (
                r#"{"capabilities":{"a":1}}"#,
                "capabilities.a: expected true or false, got 1",
            ),
            (
                r#"{"dns":{"search":"x"}}"#,
                "dns.search: expected an array, got the string \"x\"",
            ),
            ("[]", "expected a JSON object, got an array"),
            ("null", "expected a JSON object, got null"),
        ] {
            let fault = PluginConf::parse(text.as_bytes()).unwrap_err();
            let msg = format!("error parsing configuration: {msg}");
            assert_eq!((fault.code, fault.msg), (6, msg), "{text}");
        }
    }

    #[test]
    fn a_previous_result_without_version_has_that_of_the_configuration() {
        for version in ["", r#","cniVersion":"""#, r#","cniVersion":null"#] {
            let text = format!(r#"{{"cniVersion":"0.3.1","prevResult":{{"ips":[]{version}}}}}"#);
            let result = conf(&text).prev_result().unwrap().unwrap();
            assert_eq!(result.cni_version, Version::V0_3_1, "{text}");
        }
        let oldest = conf(r#"{"prevResult":{"ip4":{"ip":"10.1.0.5/16"}}}"#);
        assert_eq!(oldest.prev_result().unwrap().unwrap().ips.len(), 1);
    }

    #[test]
    fn a_previous_result_may_have_another_version_of_the_same_family() {
        for key in ["cniVersion", "CNIVersion", "cniversion"] {
            let text = format!(r#"{{"cniVersion":"1.0.0","prevResult":{{"{key}":"1.1.0"}}}}"#);
            let result = conf(&text).prev_result().unwrap().unwrap();
            assert_eq!(result.cni_version, Version::V1_1_0, "{text}");
        }
        let other = conf(r#"{"cniVersion":"1.0.0","prevResult":{"cniVersion":"0.4.0"}}"#);
        assert_eq!(
            other.prev_result().unwrap_err().msg,
            "could not parse prevResult: result type supports [1.0.0 1.1.0] but unmarshalled \
             CNIVersion is \"0.4.0\""
        );
    }

    #[test]
    fn a_bad_previous_result_is_named_by_its_path() {
        let bad = conf(r#"{"cniVersion":"1.0.0","prevResult":{"ips":[{"address":"10.1.0.5"}]}}"#);
        let fault = bad.prev_result().unwrap_err();
        let start = "could not parse prevResult: invalid result: ips[0].address: invalid CIDR";
        assert!(fault.msg.starts_with(start) && fault.code == 7, "{fault}");
        let bad = conf(r#"{"cniVersion":"1.0.0","prevResult":"x"}"#);
        assert_eq!(bad.prev_result().unwrap_err().code, 6);
        assert_eq!(conf(r#"{"prevResult":null}"#).prev_result().unwrap(), None);
    }

    #[test]
    fn an_attachment_that_must_be_spared_needs_both_its_names() {
        let early = conf(r#"{"cni.dev/attachments":[{"containerID":"a","ifname":"b"}]}"#);
        assert_eq!(early.valid_attachments().unwrap().unwrap().len(), 1);
        let none = conf(r#"{"cni.dev/valid-attachments":[],"cni.dev/attachments":[{}]}"#);
        assert_eq!(none.valid_attachments().unwrap(), Some(Vec::new()));
        let bad = conf(r#"{"cni.dev/valid-attachments":[{"containerID":"a"}]}"#);
        let msg = "\"cni.dev/valid-attachments\": [0].ifname: required, but missing";
        assert_eq!(bad.valid_attachments().unwrap_err(), Error::new(7, msg));
    }

    #[test]
    fn setting_a_key_replaces_its_other_spellings() {
        let mut conf = conf(r#"{"NAME":"a","Name":"b","x":1}"#);
        conf.set("name", "c".into());
        assert_eq!(conf.to_bytes(), br#"{"name":"c","x":1}"#);
        conf.remove("X");
        assert_eq!(conf.raw().len(), 1);
    }

    #[test]
    fn a_plugin_decodes_its_own_keys() {
        #[derive(Debug, Deserialize)]
        struct Bridge {
            #[serde(rename = "isGateway", default)]
            is_gateway: bool,
        }
        let bridge: Bridge = conf(r#"{"isgateway":true}"#).decode().unwrap();
        assert!(bridge.is_gateway);
        let fault = conf(r#"{"isGateway":"yes"}"#)
            .decode::<Bridge>()
            .unwrap_err();
        assert_eq!(
            fault.msg,
            "failed to load netconf: isGateway: expected true or false, got the string \"yes\""
        );
    }
}
