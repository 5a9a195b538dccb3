//! Objects of single plugins: those beside a list, and the deprecated ones without a list.

use std::path::Path;

use netloom_spec::{Error as CniError, NetworkConfigList, PluginConf, code};
use serde_json::Value;

use super::{Error, conf_files, read};

/// Reads the object of one plugin, which must have a `type`.
///
/// # Errors
/// When it is not such an object.
pub fn plugin_from_bytes(bytes: &[u8]) -> Result<PluginConf, CniError> {
    let conf = PluginConf::parse(bytes)?;
    match conf.plugin_type() {
        "" => {
            let hint = match conf.get("plugins") {
                Some(_) => ": this is a list of plugins; its file's name must end in .conflist",
                None => "",
            };
            let problem = format!("error parsing configuration: missing 'type'{hint}");
            Err(CniError::new(code::INVALID_CONFIG, problem))
        }
        _ => Ok(conf),
    }
}

/// Loads the object of one plugin.
///
/// # Errors
/// When the file cannot be read or has no such object.
pub fn plugin_from_file(path: impl AsRef<Path>) -> Result<PluginConf, Error> {
    let path = path.as_ref();
    plugin_from_bytes(&read(path)?).map_err(|cause| Error::Parse {
        path: path.to_owned(),
        cause,
    })
}

/// The plugins of the network `network` that are not in its list but files (`.conf`) of their own,
/// in the directory of its name in `dir`; sorted by file name.
///
/// # Errors
/// When one of the files cannot be read or has no plugin. That there is no such directory is no
/// error.
pub fn plugins_beside(dir: impl AsRef<Path>, network: &str) -> Result<Vec<PluginConf>, Error> {
    // The name is not checked before ADD, and must not lead elsewhere.
    if network.is_empty() || network.contains('/') || matches!(network, "." | "..") {
        return Ok(Vec::new());
    }
    let files = conf_files(dir.as_ref().join(network), &["conf"])?;
    files.iter().map(plugin_from_file).collect()
}

/// The deprecated form: the first object of a single plugin with this `name` among the files
/// `.conf` and `.json` of `dir`. [`find_by_name`](super::find_by_name) finds it too, as a list.
///
/// # Errors
/// [`Error::NoConfigsFound`] or [`Error::NotFound`]; a file that cannot be used is no error if
/// another has it.
pub fn find_plugin_by_name(dir: impl AsRef<Path>, name: &str) -> Result<PluginConf, Error> {
    let mut loaded = super::directory(dir)?;
    let is_single = |path: &Path| super::extension(path).is_none_or(|it| it != "conflist");
    loaded.networks.retain(|network| is_single(&network.path));
    loaded.problems.retain(|problem| is_single(&problem.path));
    let found = loaded.find(name)?;
    plugin_from_file(&found.path)
}

/// The list of a file with a single plugin.
pub(super) fn list_from_plugin_file(path: &Path) -> Result<NetworkConfigList, Error> {
    let conf = plugin_from_file(path)?;
    NetworkConfigList::from_conf(&conf).map_err(|cause| Error::Parse {
        path: path.to_owned(),
        cause,
    })
}

/// `conf` with further values. Numbers keep their value, whatever their size.
///
/// ```
/// use netloom_runtime::load::inject;
/// use netloom_spec::PluginConf;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let conf = PluginConf::parse(br#"{"type": "bridge", "id": 9007199254740993}"#)?;
/// let conf = inject(&conf, [("name", "blue".into())])?;
/// assert_eq!(conf.to_bytes(), br#"{"id":9007199254740993,"name":"blue","type":"bridge"}"#);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When a key is empty or a value is null, or the outcome is no object of a plugin.
pub fn inject<'a>(
    conf: &PluginConf,
    values: impl IntoIterator<Item = (&'a str, Value)>,
) -> Result<PluginConf, Error> {
    let invalid = |text: String| Error::Invalid(CniError::new(code::INVALID_CONFIG, text));
    let mut conf = conf.clone();
    for (key, value) in values {
        if key.is_empty() {
            return Err(invalid("keys cannot be empty".to_owned()));
        }
        if value.is_null() {
            return Err(invalid(format!("key '{key}' value must not be nil")));
        }
        conf.set(key, value);
    }
    plugin_from_bytes(&conf.to_bytes()).map_err(Error::Invalid)
}
