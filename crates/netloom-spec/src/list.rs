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
