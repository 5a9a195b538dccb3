//! What is tried: a configured network, a configuration file, or a plugin.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use netloom_plugins::registry::PLUGINS;
use netloom_runtime::load;
use netloom_spec::{NetworkConfigList, NetworkName, decode};
use serde_json::{Value, json};

use crate::environment;
use crate::options::Options;

/// A network, and where its plugins are.
pub(super) struct Subject {
    pub(super) network: NetworkConfigList,
    /// The file it is from; `None` for one that was made up for a plugin.
    pub(super) file: Option<PathBuf>,
    /// Where plugins are searched, in this order, before netloom's own.
    pub(super) plugin_dirs: Vec<PathBuf>,
}

impl Subject {
    pub(super) fn find(options: &Options, asked: Option<&str>) -> Result<Self> {
        match asked {
            None => Self::beside(Path::new(".")),
            Some(path) if Path::new(path).is_file() => Self::of_file(Path::new(path)),
            Some(path) if path.contains('/') => {
                let is_wrong = match Path::new(path) {
                    it if it.is_dir() => "",
                    it if it.exists() => "is neither a file nor a directory",
                    _ => "does not exist",
                };
                ensure!(
                    is_wrong.is_empty(),
                    "{path:?} {is_wrong}: expected a configuration, a plugin, a project's directory or a network's name"
                );
                Self::beside(Path::new(path))
            }
            Some(name) => Self::configured(options, name),
        }
    }

    /// A network of the configuration directory.
    fn configured(options: &Options, name: &str) -> Result<Self> {
        let file = load::directory(&options.conf_dir)
            .and_then(|directory| directory.find(name))
            .with_context(|| format!("{name:?} is neither a file nor a configured network"))?;
        let mut subject = Self::new(file.list, Some(file.path), None);
        subject.plugin_dirs = environment::plugin_dirs();
        Ok(subject)
    }

    /// The one configuration of a project: the first file in its `conf`.
    fn beside(project: &Path) -> Result<Self> {
        let conf = project.join("conf");
        let extensions = ["conflist", "conf", "json"];
        let files = load::conf_files(&conf, &extensions)?;
        let Some(file) = files.first() else {
            bail!(
                "no configuration in {}: name a network, a configuration file or a plugin",
                conf.display()
            );
        };
        Self::of_file(file)
    }

    /// A configuration, or a plugin for which one is made up.
    fn of_file(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path)?;
        let parent = path.parent().map(Path::to_owned).unwrap_or_default();
        let is_configuration = ["conflist", "conf", "json"]
            .iter()
            .any(|known| path.extension().is_some_and(|it| it == *known));
        if is_configuration {
            let network = read(&path)?;
            // A project has its plugin beside the directory of configurations, or where cargo puts it.
            let project = parent.parent().map(Path::to_owned).unwrap_or_default();
            let mut subject = Self::new(network, Some(path), None);
            subject.plugin_dirs = vec![
                project.clone(),
                project.join("target/release"),
                project.join("target/debug"),
                parent,
            ];
            subject.plugin_dirs.extend(environment::plugin_dirs());
            return Ok(subject);
        }
        let mode = fs::metadata(&path)?.permissions().mode();
        ensure!(
            mode & 0o111 != 0,
            "{} is neither executable nor named as a configuration (.conflist, .conf, .json)",
            path.display()
        );
        let name = path.file_name().context("a plugin has a name")?;
        let name = name.to_string_lossy().into_owned();
        let conf = json!({
            "cniVersion": "1.0.0",
            "name": "try",
            "plugins": [{ "type": name }],
        });
        let network = NetworkConfigList::parse(conf.to_string().as_bytes())?;
        Ok(Self::new(network, None, Some(parent)))
    }

    fn new(network: NetworkConfigList, file: Option<PathBuf>, first: Option<PathBuf>) -> Self {
        let plugin_dirs = first.into_iter().chain(environment::plugin_dirs());
        Self {
            network,
            file,
            plugin_dirs: plugin_dirs.collect(),
        }
    }

    /// Every plugin that the configuration names: the `type` of plugins, of IPAM, of delegates.
    pub(super) fn types(&self) -> BTreeSet<String> {
        let mut types = BTreeSet::new();
        for plugin in &self.network.plugins {
            collect(&Value::Object(plugin.raw().clone()), &mut types);
        }
        let Ok(name) = NetworkName::new(&self.network.name) else {
            return types;
        };
        for conf in &self.network.plugins {
            let plugin = netloom_plugin::find(PLUGINS, conf.plugin_type());
            let delegates = plugin.map_or_else(Vec::new, |it| it.delegates(conf, &name));
            for delegate in delegates {
                collect(&Value::Object(delegate.raw().clone()), &mut types);
            }
        }
        types
    }

    /// Where a plugin is found before netloom's own.
    pub(super) fn find_plugin(&self, name: &str) -> Option<PathBuf> {
        let candidates = self.plugin_dirs.iter().map(|dir| dir.join(name));
        let executable = |path: &PathBuf| {
            fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
        };
        candidates.into_iter().find(executable)
    }

    /// The links of the host that plugins stand on, as `master` or `device` names them.
    pub(super) fn lower_links(&self) -> BTreeSet<String> {
        let plugins = self.network.plugins.iter();
        let of_host = plugins.filter(|it| it.get("linkInContainer") != Some(&Value::Bool(true)));
        let named = of_host.filter_map(|plugin| {
            let value = plugin.get("master").or_else(|| plugin.get("device"))?;
            value.as_str().filter(|name| !name.is_empty())
        });
        named.map(str::to_owned).collect()
    }
}

fn read(path: &Path) -> Result<NetworkConfigList> {
    let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let object = decode::parse_object(&bytes).with_context(|| path.display().to_string())?;
    if object.contains_key("plugins") {
        return Ok(load::list_from_file(path)?);
    }
    let conf = load::plugin_from_file(path)?;
    Ok(NetworkConfigList::from_conf(&conf)?)
}

fn collect(value: &Value, types: &mut BTreeSet<String>) {
    let Value::Object(object) = value else { return };
    if let Some(name) = object.get("type").and_then(Value::as_str) {
        types.insert(name.to_owned());
    }
    object.values().for_each(|inner| collect(inner, types));
}
