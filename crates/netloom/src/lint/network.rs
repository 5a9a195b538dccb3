//! The network as a whole: NL008 (what keeps it from being loaded), NL101 (a
//! version that a plugin does not speak), NL004 (keys of the list), NL102
//! (a list in a version before lists), NL201 (a plugin that needs one before it).

use std::ops::Range;
use std::path::Path;

use netloom_plugin::Plugin;
use netloom_runtime::load;
use netloom_spec::decode::Step;
use netloom_spec::{NetworkConfigList, NetworkName, Version, code};
use serde_json::Value;

use super::document::{Document, Node};
use super::finding::{Finding, Level};
use super::judge::{Judgement, Place, judge, plugin};
use super::locate::locate;
use super::unknown::unknown;
use crate::near::nearest;

/// What a list itself has. They are matched exactly, unlike the keys of plugins.
const LIST_KEYS: [&str; 7] = [
    "cniVersion",
    "cniVersions",
    "disableCheck",
    "disableGC",
    "loadOnlyInlinedPlugins",
    "name",
    "plugins",
];

/// Whether a file holds a list or, as before 1.0.0, one plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    List,
    Plugin,
}

impl Form {
    /// As the file's name tells; where it does not, as its content does.
    pub(crate) fn of(path: &Path, document: &Document) -> Self {
        let extension = path.extension().map(|it| it.to_string_lossy());
        match extension.as_deref() {
            Some("conflist") => Self::List,
            Some("conf" | "json") => Self::Plugin,
            _ if document.root.entry("plugins").is_some() => Self::List,
            _ => Self::Plugin,
        }
    }
}

/// Everything that is wrong with a network. `folder` is where its file is.
pub(crate) fn findings(document: &Document, text: &str, form: Form, folder: &Path) -> Vec<Finding> {
    let loaded = load(text, form);
    let network = loaded.as_ref().ok();
    let mut findings = identity(document, network);
    if form == Form::List {
        findings.extend(list_keys(&document.root));
        findings.extend(network.and_then(|it| no_plugins(document, it, folder)));
    }
    let places = places(document, form, network);
    let mut judged: Vec<Option<Judgement>> = Vec::new();
    for place in &places {
        let mut judgement = judge(document, place);
        if let (Some(judgement), Some(node)) = (&mut judgement, document.at(&place.path)) {
            findings.append(&mut judgement.findings);
            findings.extend(unknown(node, &judgement.trace));
        }
        judged.push(judgement);
    }
    findings.extend(first_of_chain(document, &places, &judged));
    if form == Form::List {
        findings.extend(before_lists(document, network, places.len()));
    }
    // What keeps it from being loaded is told by who knows more of it, if somebody does.
    if let Err(error) = &loaded
        && !findings.iter().any(|it| it.level == Level::Error)
    {
        findings.push(unloadable(&document.root, error));
    }
    findings
}

/// What comes to every plugin with its object.
fn identity(document: &Document, network: Option<&NetworkConfigList>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(network) = network else {
        return findings;
    };
    if let Err(error) = NetworkName::new(network.name.as_str()) {
        let message = format!("name {:?}: {error}", network.name);
        findings.push(Finding::new(
            "NL008",
            Level::Error,
            span_of(document, "name"),
            message,
        ));
    }
    let at = span_of(document, "cniVersion");
    match network.cni_version.parse::<Version>() {
        Err(error) => findings.push(Finding::new("NL101", Level::Error, at, error.to_string())),
        Ok(version) => findings.extend(speechless(network, version, &at)),
    }
    findings
}

/// The plugins of netloom's that do not speak the network's version.
fn speechless(network: &NetworkConfigList, version: Version, at: &Range<usize>) -> Vec<Finding> {
    let ipam = network.plugins.iter().filter_map(|it| it.ipam_type());
    let names = network
        .plugins
        .iter()
        .map(|it| it.plugin_type())
        .chain(ipam);
    let plugins = names
        .filter_map(plugin)
        .filter(|it| !it.versions().contains(&version));
    let finding = |plugin: &dyn Plugin| {
        let known: Vec<_> = plugin.versions().iter().map(|it| it.as_str()).collect();
        let message = format!("{} does not speak cniVersion {version}", plugin.name());
        let finding = Finding::new("NL101", Level::Error, at.clone(), message);
        finding.help(format!("it speaks {}", known.join(", ")))
    };
    plugins.map(finding).collect()
}

/// A list whose plugins are to be in files beside it, where none are.
fn no_plugins(document: &Document, network: &NetworkConfigList, folder: &Path) -> Option<Finding> {
    let beside = load::plugins_beside(folder, &network.name);
    if !network.plugins.is_empty() || beside.is_ok_and(|it| !it.is_empty()) {
        return None;
    }
    let message = format!(
        "the list has no plugins, and there are none in the directory {:?} beside it",
        network.name
    );
    Some(Finding::new(
        "NL008",
        Level::Error,
        span_of(document, "plugins"),
        message,
    ))
}

/// The value of a key of the document, else its beginning.
fn span_of(document: &Document, key: &str) -> Range<usize> {
    let entry = document.root.entry_of_any_case(key);
    entry.map_or_else(|| beginning(&document.root), |it| it.value.span.clone())
}

fn beginning(root: &Node) -> Range<usize> {
    root.span.start..(root.span.start + 1).min(root.span.end)
}

pub(super) fn load(text: &str, form: Form) -> Result<NetworkConfigList, netloom_spec::Error> {
    match form {
        Form::List => NetworkConfigList::parse(text.as_bytes()),
        Form::Plugin => load::plugin_from_bytes(text.as_bytes())
            .and_then(|conf| NetworkConfigList::from_conf(&conf)),
    }
}

fn unloadable(root: &Node, error: &netloom_spec::Error) -> Finding {
    let told = error
        .msg
        .strip_prefix("error parsing configuration list: ")
        .unwrap_or(&error.msg);
    let told = told
        .strip_prefix("error parsing configuration: ")
        .unwrap_or(told);
    let key = if error.code == code::INCOMPATIBLE_VERSION {
        "cniVersion"
    } else {
        ""
    };
    let named = root.entry(key).map(|entry| entry.value.span.clone());
    let located = locate(root, None, told).span;
    // Where nothing is to blame the beginning is shown, not the whole file.
    let is_large = located.len() > 80;
    let span = named.unwrap_or_else(|| if is_large { beginning(root) } else { located });
    let rule = if key.is_empty() { "NL008" } else { "NL101" };
    Finding::new(rule, Level::Error, span, told)
}

fn list_keys(root: &Node) -> Vec<Finding> {
    let unknown = root.entries().iter().filter(|entry| {
        let key = entry.key.as_str();
        !LIST_KEYS.contains(&key) && !key.contains(['/', '.']) && !key.starts_with(['_', '$', '#'])
    });
    let finding = |entry: &super::document::Entry| {
        let span = entry.key_span.clone();
        let message = format!("unknown key {:?} of the list", entry.key);
        let finding =
            Finding::new("NL004", Level::Warning, span.clone(), message).label("nobody reads it");
        match nearest(&entry.key, LIST_KEYS) {
            Some(near) => finding.fix(
                span,
                format!("{near:?}"),
                format!("there is a key {near:?}"),
            ),
            None => finding.help("plugins' keys belong into the objects of `plugins`"),
        }
    };
    unknown.map(finding).collect()
}

/// The objects of all plugins, with what comes to them from the network.
fn places(document: &Document, form: Form, network: Option<&NetworkConfigList>) -> Vec<Place> {
    let valid = |name: &String| NetworkName::new(name.as_str()).is_ok();
    let name = network.map(|it| it.name.clone()).filter(valid);
    let name = name.unwrap_or_else(|| "network".to_owned());
    let version = network.and_then(|it| it.cni_version.parse().ok());
    let version = version.unwrap_or(Version::LATEST).as_str().to_owned();
    let place = |path: Vec<Step>, value: &Value| {
        let object = value.as_object()?.clone();
        Some(Place {
            path,
            object,
            name: name.clone(),
            version: version.clone(),
        })
    };
    if form == Form::Plugin {
        return place(Vec::new(), &document.value).into_iter().collect();
    }
    let plugins = document.value.get("plugins").and_then(Value::as_array);
    let all = plugins.into_iter().flatten().enumerate();
    all.filter_map(|(index, value)| {
        place(
            vec![Step::Key("plugins".to_owned()), Step::Index(index)],
            value,
        )
    })
    .collect()
}

fn first_of_chain(
    document: &Document,
    places: &[Place],
    judged: &[Option<Judgement>],
) -> Option<Finding> {
    let needs = judged.first()?.as_ref()?.needs?;
    let node = document.at(&places[0].path)?;
    let kind = node.entry_of_any_case("type")?;
    plugin(kind.text.trim_matches('"'))?;
    let message = format!(
        "{} is the first plugin and needs the result of one before it",
        kind.text
    );
    let finding = Finding::new("NL201", Level::Error, kind.value.span.clone(), message);
    needs.prev_result.then(|| {
        finding
            .label("nothing made an interface yet")
            .help("put it behind the plugin that makes the interface")
    })
}

fn before_lists(
    document: &Document,
    network: Option<&NetworkConfigList>,
    plugins: usize,
) -> Option<Finding> {
    let version: Version = network?.cni_version.parse().ok()?;
    if plugins < 2 || version >= Version::V0_3_0 {
        return None;
    }
    let span = span_of(document, "cniVersion");
    let message = format!(
        "cniVersion {version} is of before there were lists: results lose interfaces and further addresses between the plugins"
    );
    let finding = Finding::new("NL102", Level::Warning, span, message);
    Some(finding.help("write \"1.0.0\" or later, unless the runtime is older"))
}
