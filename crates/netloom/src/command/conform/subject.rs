//! The plugins to be tested, each with its configuration and what it needs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use netloom_conform::{Class, Kit};
use netloom_plugins::registry::PLUGINS;
use netloom_runtime::load;
use serde_json::{Map, Value, json};

use crate::cli::conform::Conform;
use crate::command::install;
use crate::environment;

/// Configurations for the names that the reference plugins and netloom's have.
const KNOWN: &str = include_str!("known.json");
/// netloom's own plugins, where the user has none of that name.
const OWN: &str = "/run/netloom/conform";

/// One plugin.
pub(in crate::command) struct Subject {
    pub(in crate::command) name: String,
    /// `None`: netloom's own, which is installed when its turn comes.
    file: Option<PathBuf>,
    conf: Option<Value>,
    class: Option<Class>,
    setup: Option<String>,
    is_single: bool,
    lacks: Option<String>,
    files: Vec<(String, String)>,
    /// Plugins that it calls without its configuration saying so.
    needs: Vec<String>,
}

impl Subject {
    pub(super) fn all(wanted: &Conform) -> Result<Vec<Self>> {
        if wanted.own {
            return PLUGINS
                .iter()
                .map(|plugin| Self::own(plugin.name()))
                .collect();
        }
        let conf = wanted.conf.as_deref().map(read).transpose()?;
        let of = |path: &PathBuf| {
            let mut subject = Self::of_file(path, conf.as_ref())?;
            subject.class = wanted.class.map(Class::from).or(subject.class);
            subject.setup = wanted.setup.clone().or(subject.setup);
            subject.is_single |= wanted.single;
            Ok(subject)
        };
        wanted.plugins.iter().map(of).collect()
    }

    fn own(name: &str) -> Result<Self> {
        let mut subject = Self::new(name, None);
        subject.is_known()?;
        Ok(subject)
    }

    /// A plugin's file, with the configuration that is given, lies beside it, or is known.
    pub(in crate::command) fn of_file(path: &Path, conf: Option<&Value>) -> Result<Self> {
        let path = std::path::absolute(path)?;
        let metadata = fs::metadata(&path).with_context(|| path.display().to_string())?;
        if !metadata.is_file() {
            bail!("{} is no file: expected a plugin", path.display());
        }
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut subject = Self::new(&name, Some(path.clone()));
        if let Some(conf) = conf {
            let Some(own) = object_of(conf, &name) else {
                bail!("the configuration has no plugin of type {name:?}");
            };
            subject.conf = Some(own);
            return Ok(subject);
        }
        if let Some(own) = beside(&path).and_then(|conf| object_of(&conf, &name)) {
            subject.conf = Some(own);
            return Ok(subject);
        }
        subject.is_known()?;
        Ok(subject)
    }

    fn new(name: &str, file: Option<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            file,
            conf: None,
            class: None,
            setup: None,
            is_single: false,
            lacks: None,
            files: Vec::new(),
            needs: Vec::new(),
        }
    }

    /// Takes what is known of a plugin of this name, if anything is.
    fn is_known(&mut self) -> Result<()> {
        let known: Map<String, Value> = serde_json::from_str(KNOWN)?;
        let Some(entry) = known.get(&self.name) else {
            return Ok(());
        };
        let mut conf = entry["conf"].clone();
        conf["type"] = json!(self.name);
        self.lacks = entry["lacks"]
            .as_str()
            .map(str::to_owned)
            .or_else(|| lack(&entry["kind"]));
        self.class = Class::ALL
            .into_iter()
            .find(|it| Some(it.word()) == entry["class"].as_str());
        self.is_single = entry["single"].as_bool() == Some(true);
        self.setup = entry["setup"].as_str().map(str::to_owned);
        let files = entry["files"].as_object().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.files = files.map(|(path, it)| (path.clone(), text(it))).collect();
        self.needs = entry["needs"]
            .as_array()
            .into_iter()
            .flatten()
            .map(text)
            .collect();
        self.conf = Some(conf);
        Ok(())
    }

    /// The kit for it, with netloom's own plugins where none of the user's has the name.
    pub(in crate::command) fn kit(&self, only: &[String]) -> Result<Kit> {
        let own = Path::new(OWN);
        let mut dirs: Vec<PathBuf> = Vec::new();
        if let Some(parent) = self.file.as_deref().and_then(Path::parent) {
            dirs.push(parent.to_owned());
        }
        let mut names: BTreeSet<String> = self.needs.iter().cloned().collect();
        collect(self.conf.as_ref().unwrap_or(&Value::Null), &mut names);
        if self.file.is_none() {
            names.insert(self.name.clone());
        }
        let is_own = |name: &&str| PLUGINS.iter().any(|it| it.name() == *name);
        let is_there = |name: &&str| dirs.iter().any(|dir| dir.join(name).is_file());
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let names: Vec<&str> = names
            .into_iter()
            .filter(|it| is_own(it) && !is_there(it))
            .collect();
        install::into(own, &names, false)?;
        let file = self.file.clone().unwrap_or_else(|| own.join(&self.name));
        let mut kit = Kit::new(file);
        // Of plugins that speak no newer version than others, the plugin's own could not be asked for.
        let others = environment::plugin_dirs()
            .into_iter()
            .filter(|_| self.file.is_some());
        let all = dirs.into_iter().chain([own.to_owned()]).chain(others);
        for dir in all.filter(|dir| dir.is_dir()) {
            kit = kit.path(dir);
        }
        for (path, text) in &self.files {
            kit = kit.file(path, text);
        }
        if let Some(conf) = &self.conf {
            kit = kit.conf(conf.clone());
        }
        if let Some(class) = self.class {
            kit = kit.class(class);
        }
        if let Some(line) = &self.setup {
            kit = kit.setup(line);
        }
        if self.is_single {
            kit = kit.single();
        }
        if let Some(why) = &self.lacks {
            kit = kit.lacks(why);
        }
        Ok(only.iter().fold(kit, |kit, id| kit.only(id)))
    }

    /// Makes room for the next one: programs built for tests are large.
    pub(super) fn clear(&self) {
        let _ = fs::remove_dir_all(OWN);
    }
}

/// What the kernel does not have of what the plugin makes.
fn lack(kind: &Value) -> Option<String> {
    netloom_plugins::lack_of(kind.as_str()?).unwrap_or_else(|error| Some(error.msg))
}

fn read(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

/// The configuration of a project: its plugin lies beside the directory, or where cargo puts it.
fn beside(plugin: &Path) -> Option<Value> {
    let parent = plugin.parent()?;
    let mut projects = vec![parent.to_owned()];
    if parent
        .parent()
        .and_then(Path::file_name)
        .is_some_and(|it| it == "target")
    {
        projects.extend(parent.ancestors().nth(2).map(Path::to_owned));
    }
    let files = projects.iter().filter_map(|project| {
        let extensions = ["conflist", "conf", "json"];
        load::conf_files(project.join("conf"), &extensions).ok()
    });
    files.flatten().find_map(|file| read(&file).ok())
}

/// The plugin's object in a configuration; of an IPAM plugin that of its caller.
fn object_of(conf: &Value, name: &str) -> Option<Value> {
    let list = conf["plugins"].as_array().cloned();
    let all = list.unwrap_or_else(|| vec![conf.clone()]);
    let is_own = |it: &&Value| it["type"].as_str() == Some(name);
    let asks = |it: &&Value| it["ipam"]["type"].as_str() == Some(name);
    let found = all.iter().find(is_own).or_else(|| all.iter().find(asks));
    found.cloned()
}

fn collect(value: &Value, names: &mut BTreeSet<String>) {
    let Value::Object(object) = value else { return };
    if let Some(name) = object.get("type").and_then(Value::as_str) {
        names.insert(name.to_owned());
    }
    object.values().for_each(|inner| collect(inner, names));
}
