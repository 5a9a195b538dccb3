//! A network's configuration list (CNI spec 1.1.0, section 1).

use std::fmt;

use serde_json::{Map, Value, json};

use crate::conf::PluginConf;
use crate::decode;
use crate::error::{Error, code};
use crate::version::select_version;

/// A network: its name, and the plugins that make an attachment to it.
///
/// The name is not checked for its characters here: that is for whoever uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkConfigList {
    /// The network's name.
    pub name: String,
    /// The version to run in: selected if there are `cniVersions`, else what
    /// the document says, which may be unknown or empty.
    pub cni_version: String,
    /// The further versions the document is valid for.
    pub cni_versions: Vec<String>,
    /// CHECK must not be run.
    pub disable_check: bool,
    /// GC must not be run.
    pub disable_gc: bool,
    /// No plugins from beside the list, only those in it.
    pub load_only_inlined_plugins: bool,
    /// The plugins in the list, in order. Empty only if the document has no
    /// `plugins`, which promises some beside the list.
    pub plugins: Vec<PluginConf>,
    /// The document as it was read.
    pub bytes: Vec<u8>,
}

impl NetworkConfigList {
    /// Reads a list.
    ///
    /// Keys of the list itself are matched exactly, as the reference
    /// implementation does here; keys of the plugins whatever their case.
    ///
    /// # Errors
    /// [`code::DECODING`] for broken JSON and values of the wrong type,
    /// [`code::INVALID_CONFIG`] for what is missing or not valid.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        Self::read(bytes).map_err(|fault| fault.context("error parsing configuration list"))
    }

    fn read(bytes: &[u8]) -> Result<Self, Error> {
        let object = decode::parse_object(bytes)?;
        let name = text(&object, "name")?.ok_or_else(|| invalid("no name"))?;
        let original = text(&object, "cniVersion")?.unwrap_or_default();
        let cni_versions = versions(&object)?;
        let load_only_inlined_plugins = flag(&object, "loadOnlyInlinedPlugins")?;
        Ok(Self {
            name: name.to_owned(),
            cni_version: select_version(original, &cni_versions)?,
            cni_versions,
            disable_check: flag(&object, "disableCheck")?,
            disable_gc: flag(&object, "disableGC")?,
            load_only_inlined_plugins,
            plugins: plugins(&object, load_only_inlined_plugins)?,
            bytes: bytes.to_owned(),
        })
    }

    /// The list that holds one plugin of the form before 1.0.0, with its name
    /// and its version.
    ///
    /// # Errors
    /// [`code::INVALID_CONFIG`] if `conf` has no `type`.
    pub fn from_conf(conf: &PluginConf) -> Result<Self, Error> {
        require_type(conf)?;
        let document = json!({
            "name": conf.name(),
            "cniVersion": conf.cni_version(),
            "plugins": [conf.raw()],
        });
        Ok(Self {
            name: conf.name().to_owned(),
            cni_version: conf.cni_version().to_owned(),
            cni_versions: Vec::new(),
            disable_check: false,
            disable_gc: false,
            load_only_inlined_plugins: false,
            plugins: vec![conf.clone()],
            bytes: decode::compact(&document).into_bytes(),
        })
    }
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(code::INVALID_CONFIG, text)
}

fn wrong_type(key: impl fmt::Display, value: &Value, expected: &str) -> Error {
    let got = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    Error::new(
        code::DECODING,
        format!("invalid type for {key}: expected {expected}, got {got}"),
    )
}

/// The value of exactly this key; `null` is as if absent.
fn get<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    object.get(key).filter(|value| !value.is_null())
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, Error> {
    get(object, key)
        .map(|value| {
            value
                .as_str()
                .ok_or_else(|| wrong_type(key, value, "a string"))
        })
        .transpose()
}

/// A boolean, or the word for one in any case.
fn flag(object: &Map<String, Value>, key: &str) -> Result<bool, Error> {
    match get(object, key) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(Value::String(word)) if word.eq_ignore_ascii_case("true") => Ok(true),
        Some(Value::String(word)) if word.eq_ignore_ascii_case("false") => Ok(false),
        Some(Value::String(word)) => Err(invalid(format!(
            "invalid value {word:?} for {key}: expected true or false"
        ))),
        Some(value) => Err(wrong_type(key, value, "true or false")),
    }
}

fn versions(object: &Map<String, Value>) -> Result<Vec<String>, Error> {
    let Some(value) = get(object, "cniVersions") else {
        return Ok(Vec::new());
    };
    let entries = value
        .as_array()
        .ok_or_else(|| wrong_type("cniVersions", value, "an array of strings"))?;
    let entries = entries.iter().enumerate().map(|(index, entry)| {
        let key = format_args!("cniVersions index {index}");
        entry
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| wrong_type(key, entry, "a string"))
    });
    entries.collect()
}

fn plugins(object: &Map<String, Value>, only_inlined: bool) -> Result<Vec<PluginConf>, Error> {
    let Some(value) = get(object, "plugins") else {
        if only_inlined {
            return Err(invalid(
                "`loadOnlyInlinedPlugins` is true, and no 'plugins' key",
            ));
        }
        return Ok(Vec::new());
    };
    let plugins = value
        .as_array()
        .ok_or_else(|| wrong_type("'plugins'", value, "an array of objects"))?;
    if plugins.is_empty() {
        return Err(invalid("no plugins in list"));
    }
    let plugins = plugins.iter().enumerate().map(|(index, value)| {
        plugin(value)
            .map_err(|fault| fault.context(format_args!("failed to parse plugin config {index}")))
    });
    plugins.collect()
}

fn plugin(value: &Value) -> Result<PluginConf, Error> {
    let object = value
        .as_object()
        .ok_or_else(|| wrong_type("plugin", value, "an object"))?;
    let conf = PluginConf::from_map(object.clone())?;
    require_type(&conf)?;
    Ok(conf)
}

/// A plugin in a list must say which one it is.
fn require_type(conf: &PluginConf) -> Result<(), Error> {
    if conf.plugin_type().is_empty() {
        return Err(invalid("error parsing configuration: missing 'type'"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<NetworkConfigList, Error> {
        NetworkConfigList::parse(text.as_bytes())
    }

    #[test]
    fn booleans_may_be_words() {
        for (word, flag) in [
            ("true", true),
            ("\"TRUE\"", true),
            ("\"False\"", false),
            ("null", false),
        ] {
            let list = parse(&format!(
                r#"{{"name":"n","disableCheck":{word},"disableGC":{word}}}"#
            ));
            let list = list.unwrap();
            assert_eq!(
                (list.disable_check, list.disable_gc),
                (flag, flag),
                "{word}"
            );
        }
    }

    #[test]
    fn a_list_may_leave_its_plugins_to_the_directory_beside_it() {
        let list = parse(r#"{"name":"n"}"#).unwrap();
        assert!(list.plugins.is_empty() && list.cni_version.is_empty());
    }

    #[test]
    fn the_name_is_not_judged_here() {
        assert_eq!(parse(r#"{"name":"a/b"}"#).unwrap().name, "a/b");
    }

    #[test]
    fn the_version_is_selected_from_all() {
        let list = parse(r#"{"name":"n","cniVersion":"0.4.0","cniVersions":["1.0.0","9.0.0"]}"#);
        let list = list.unwrap();
        assert_eq!(
            (list.cni_version.as_str(), list.cni_versions.len()),
            ("1.0.0", 2)
        );
        assert_eq!(
            parse(r#"{"name":"n","cniVersion":"9.9"}"#)
                .unwrap()
                .cni_version,
            "9.9"
        );
    }

    #[test]
    fn keys_of_the_list_are_matched_exactly_but_not_those_of_plugins() {
        assert!(
            !parse(r#"{"name":"n","DisableCheck":true}"#)
                .unwrap()
                .disable_check
        );
        let list = parse(r#"{"name":"n","plugins":[{"Type":"t"}]}"#).unwrap();
        assert_eq!(list.plugins[0].plugin_type(), "t");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, code, msg) in [
            (
                "",
                6,
                "invalid JSON: EOF while parsing a value at line 1 column 0",
            ),
            ("[]", 6, "expected a JSON object, got an array"),
            ("{}", 7, "no name"),
            (r#"{"name":null}"#, 7, "no name"),
            (
                r#"{"name":5}"#,
                6,
                "invalid type for name: expected a string, got a number",
            ),
            (
                r#"{"name":"n","cniVersion":1}"#,
                6,
                "invalid type for cniVersion: expected a string, got a number",
            ),
            (
                r#"{"name":"n","cniVersions":"1.0.0"}"#,
                6,
                "invalid type for cniVersions: expected an array of strings, got a string",
            ),
            (
                r#"{"name":"n","cniVersions":["1.0.0",{}]}"#,
                6,
                "invalid type for cniVersions index 1: expected a string, got an object",
            ),
            (
                r#"{"name":"n","cniVersions":["1.0.0.0"]}"#,
                7,
                "invalid cniVersions entry 1.0.0.0 at index 0: invalid version \"1.0.0.0\": \
                 expected up to three integers such as 1.1.0",
            ),
            (
                r#"{"name":"n","disableCheck":1}"#,
                6,
                "invalid type for disableCheck: expected true or false, got a number",
            ),
            (
                r#"{"name":"n","disableGC":"yes"}"#,
                7,
                "invalid value \"yes\" for disableGC: expected true or false",
            ),
            (
                r#"{"name":"n","loadOnlyInlinedPlugins":true}"#,
                7,
                "`loadOnlyInlinedPlugins` is true, and no 'plugins' key",
            ),
            (
                r#"{"name":"n","plugins":{}}"#,
                6,
                "invalid type for 'plugins': expected an array of objects, got an object",
            ),
            (r#"{"name":"n","plugins":[]}"#, 7, "no plugins in list"),
            (
                r#"{"name":"n","plugins":[{"type":"a"},{}]}"#,
                7,
                "failed to parse plugin config 1: error parsing configuration: missing 'type'",
            ),
            (
                r#"{"name":"n","plugins":[true]}"#,
                6,
                "failed to parse plugin config 0: invalid type for plugin: expected an object, \
                 got a boolean",
            ),
            (
                r#"{"name":"n","plugins":[{"type":"a","ipam":[]}]}"#,
                6,
                "failed to parse plugin config 0: error parsing configuration: ipam: expected an \
                 object, got an array",
            ),
        ] {
            let msg = format!("error parsing configuration list: {msg}");
            assert_eq!(parse(text), Err(Error::new(code, msg)), "{text}");
        }
    }

    #[test]
    fn one_plugin_of_old_becomes_a_list() {
        let text = r#"{"name":"n","cniVersion":"0.2.0","type":"t","x":12345678901234567}"#;
        let conf = PluginConf::parse(text.as_bytes()).unwrap();
        let list = NetworkConfigList::from_conf(&conf).unwrap();
        assert_eq!(
            (list.name.as_str(), list.cni_version.as_str()),
            ("n", "0.2.0")
        );
        assert_eq!(NetworkConfigList::parse(&list.bytes).unwrap(), list);
        let untyped = PluginConf::parse(br#"{"name":"n"}"#).unwrap();
        let fault = NetworkConfigList::from_conf(&untyped).unwrap_err();
        assert_eq!(fault.msg, "error parsing configuration: missing 'type'");
    }
}
