//! What a configuration needs and this machine lacks: NL501 (a plugin), NL502 (what a plugin's STATUS
//! asks for), NL503 (a kind of link). Plugins are executed for it, with VERSION and STATUS.

use std::ops::Range;
use std::path::PathBuf;

use netloom_plugin::of_conf;
use netloom_plugins::registry::PLUGINS;
use netloom_runtime::{Cni, Error};
use netloom_spec::decode::Step;
use netloom_spec::{NetworkConfigList, PluginConf, Version, code};

use super::Report;
use super::document::{Document, Node};
use super::finding::{Finding, Level};
use super::locate::locate;
use super::network::{Form, load};

/// Where this machine has its plugins, and who asks them.
pub(crate) struct Machine {
    pub(crate) cni: Cni,
    pub(crate) plugin_dirs: Vec<PathBuf>,
}

impl Machine {
    /// Adds what is missing to the findings of a file that ADD would not refuse anywhere.
    pub(crate) fn judge(&self, report: &mut Report) {
        if report.errors().next().is_some() {
            return;
        }
        let Ok(document) = Document::parse(&report.text) else {
            return;
        };
        let form = Form::of(&report.path, &document);
        let Ok(network) = load(&report.text, form) else {
            return;
        };
        for (at, conf) in network.plugins.iter().enumerate() {
            let path = match form {
                Form::Plugin => Vec::new(),
                Form::List => vec![Step::Key("plugins".to_owned()), Step::Index(at)],
            };
            if let Some(node) = document.at(&path) {
                report.findings.extend(self.lacks(&network, conf, node));
            }
        }
        super::sort(&mut report.findings);
    }

    /// What is missing for one plugin of a network. What follows from it is not told beside it.
    fn lacks(&self, network: &NetworkConfigList, conf: &PluginConf, node: &Node) -> Vec<Finding> {
        let missing = self.missing(conf, node);
        if !missing.is_empty() {
            return missing;
        }
        let mut alone = network.clone();
        alone.plugins = vec![conf.clone()];
        if let Err(error) = self.cni.validate(&alone) {
            let span = of_type(node, "type");
            return vec![finding("NL501", Level::Error, span, &error.to_string())];
        }
        if let Some(error) = self.refusal(&mut alone) {
            let words = error.to_string();
            let span = locate(node, None, &words).span;
            return vec![finding("NL502", Level::Error, span, &words)];
        }
        // What only some pods need, so that STATUS is good without it.
        let kinds =
            of_conf(PLUGINS, conf).filter_map(|plugin| plugin.link_kind(conf).ok().flatten());
        let lacks = kinds.filter_map(|kind| netloom_plugins::lack_of(kind).ok().flatten());
        lacks
            .map(|words| finding("NL503", Level::Warning, of_type(node, "type"), &words))
            .collect()
    }

    /// The plugin, and that of its IPAM, where no directory has them.
    fn missing(&self, conf: &PluginConf, node: &Node) -> Vec<Finding> {
        let ipam = node.entry("ipam").map(|entry| &entry.value);
        let both = [
            Some((conf.plugin_type(), of_type(node, "type"))),
            conf.ipam_type().zip(ipam.map(|it| of_type(it, "type"))),
        ];
        let mut findings = Vec::new();
        for (name, span) in both
            .into_iter()
            .flatten()
            .filter(|(name, _)| !name.is_empty())
        {
            if netloom_invoke::find_in_path(name, &self.plugin_dirs).is_ok() {
                continue;
            }
            let dirs: Vec<_> = self
                .plugin_dirs
                .iter()
                .map(|it| it.display().to_string())
                .collect();
            let words = format!("the plugin {name:?} is not in {}", dirs.join(", "));
            let finding = Finding::new("NL501", Level::Error, span, words).label("not installed");
            let is_own = netloom_plugin::find(PLUGINS, name).is_some();
            findings.push(match is_own {
                true => finding.help("`netloom install` has it, or name its directory in CNI_PATH"),
                false => finding.help("install it, or name its directory in CNI_PATH"),
            });
        }
        findings
    }

    /// Why the plugin cannot serve an ADD. STATUS is of 1.1.0, and what it looks for is needed in every
    /// version: so it is asked in that, if the plugin speaks it.
    fn refusal(&self, network: &mut NetworkConfigList) -> Option<Error> {
        network.cni_version = Version::V1_1_0.as_str().to_owned();
        let error = self.cni.status(&*network).err()?;
        (error.code() != code::INCOMPATIBLE_VERSION).then_some(error)
    }
}

fn finding(rule: &'static str, level: Level, span: Range<usize>, words: &str) -> Finding {
    let finding = Finding::new(rule, level, span, words).label("not on this machine");
    match netloom_plugins::command_for(words) {
        Some(command) => finding.help(command),
        None => finding,
    }
}

/// The value of a key of an object, else where the object begins.
fn of_type(node: &Node, key: &str) -> Range<usize> {
    let entry = node.entry_of_any_case(key);
    entry.map_or(node.span.start..node.span.start + 1, |it| {
        it.value.span.clone()
    })
}
