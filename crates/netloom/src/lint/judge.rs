//! What ADD would refuse, in the words of the plugins: NL003 (another JSON type), NL006 (a value).

use netloom_plugin::{Needs, Plugin};
use netloom_plugins::registry::PLUGINS;
use netloom_spec::decode::{Step, Trace, traced};
use netloom_spec::{Error, PluginConf, Version, code};
use serde_json::{Map, Value, json};

use super::document::Document;
use super::finding::{Finding, Level};
use super::locate::{Located, locate};
use super::mend::mend;

/// More mistakes in one plugin's object are told after these are corrected.
const MOST: usize = 20;

/// One plugin of a network, as its file has it.
#[derive(Debug)]
pub(crate) struct Place {
    /// The way to its object.
    pub(crate) path: Vec<Step>,
    pub(crate) object: Map<String, Value>,
    /// The network's name and version, which come to the plugin with its object. Both are valid: what
    /// is wrong with them is not the plugin's to tell.
    pub(crate) name: String,
    pub(crate) version: String,
}

/// What is known of a plugin's object.
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    pub(crate) findings: Vec<Finding>,
    /// The fields of the objects in there, by their paths in the plugin's object.
    pub(crate) trace: Trace,
    /// None if the plugin refuses it.
    pub(crate) needs: Option<Needs>,
}

/// netloom's plugin of that name.
pub(crate) fn plugin(name: &str) -> Option<&'static dyn Plugin> {
    netloom_plugin::find(PLUGINS, name)
}

/// Judges one plugin's object. Of a plugin that is none of netloom's only what every plugin has.
pub(crate) fn judge(document: &Document, place: &Place) -> Option<Judgement> {
    let kind = place
        .object
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case("type"))?
        .1
        .as_str()?;
    let plugin = plugin(kind);
    let node = document.at(&place.path)?;
    let mut judgement = Judgement::default();
    let mut working = place.object.clone();
    let mut is_whole = true;
    while judgement.findings.len() < MOST {
        let (outcome, trace) = traced(|| verdict(plugin, &working, place));
        judgement.trace.fields.extend(trace.fields);
        let error = match outcome {
            Ok(needs) => {
                judgement.needs = Some(needs).filter(|_| judgement.findings.is_empty());
                break;
            }
            Err(error) => error,
        };
        let path = trace.fault;
        let path = path.filter(|path| error.msg.contains(&written(path)));
        let located = locate(node, path.as_deref(), &error.msg);
        // Where something was taken away, its absence may be all that is wrong.
        if !is_whole && !located.is_sure {
            break;
        }
        let mended = get(&working, &located.path).and_then(|value| mend(value, &error.msg));
        let mended = mended.filter(|_| located.is_value);
        judgement
            .findings
            .push(explain(&located, &error, mended.as_ref()));
        // With what was probably meant in its place, or without it, the next mistake is found.
        is_whole &= mended.is_some();
        if !located.is_value || !replace(&mut working, &located.path, mended) {
            break;
        }
    }
    match plugin {
        Some(plugin) => {
            let ipam = place
                .object
                .get("ipam")
                .and_then(|ipam| ipam.get("type")?.as_str());
            let known = skeleton(plugin, ipam.unwrap_or_default());
            judgement.trace.fields.extend(known.fields);
        }
        None => judgement.trace = Trace::default(),
    }
    Some(judgement)
}

/// What ADD says before its first effect.
fn verdict(
    plugin: Option<&dyn Plugin>,
    object: &Map<String, Value>,
    place: &Place,
) -> Result<Needs, Error> {
    let mut conf = PluginConf::from_map(object.clone())?;
    let Some(plugin) = plugin else {
        return Ok(Needs::default());
    };
    conf.set("name", place.name.as_str().into());
    conf.set("cniVersion", place.version.as_str().into());
    conf.remove("prevResult");
    let needs = plugin.validate(&conf)?;
    let ipam = conf.ipam_type().filter(|_| needs.addresses);
    if let Some(ipam) = ipam.and_then(self::plugin) {
        ipam.validate(&conf)?;
    }
    Ok(needs)
}

/// The fields that plugin and IPAM plugin know, whatever else is wrong with the object.
fn skeleton(plugin: &dyn Plugin, ipam: &str) -> Trace {
    let object = json!({
        "name": "n", "cniVersion": Version::LATEST.as_str(), "type": plugin.name(),
        "ipam": {"type": ipam}, "runtimeConfig": {},
    });
    let (_, trace) = traced(|| {
        let conf = object.as_object().cloned().map(PluginConf::from_map);
        if let Some(Ok(conf)) = conf {
            let _ = plugin.validate(&conf);
            let _ = self::plugin(ipam).map(|ipam| ipam.validate(&conf));
        }
    });
    trace
}

/// The keys that a plugin of netloom's reads of its object, or of `ipam` in it.
pub(crate) fn fields(name: &str, of_ipam: bool) -> Vec<&'static str> {
    let Some(plugin) = plugin(name) else {
        return Vec::new();
    };
    let ipam = if of_ipam { name } else { "" };
    let path: &[Step] = if of_ipam {
        &[Step::Key("ipam".to_owned())]
    } else {
        &[]
    };
    let trace = skeleton(plugin, ipam);
    let of_path = trace.fields.iter().filter(|(at, _)| at == path);
    let mut fields: Vec<&str> = of_path
        .flat_map(|(_, names)| names.iter().copied())
        .collect();
    fields.sort_unstable();
    fields.dedup();
    fields
}

fn explain(located: &Located, error: &Error, mended: Option<&Value>) -> Finding {
    let rule = match error.code {
        code::DECODING => "NL003",
        _ => "NL006",
    };
    let starts = ["failed to load netconf: ", "error parsing configuration: "];
    let told = starts.iter().fold(error.msg.as_str(), |told, start| {
        told.strip_prefix(start).unwrap_or(told)
    });
    let span = located.span.clone();
    let mut finding = Finding::new(rule, Level::Error, span.clone(), told);
    if let Some((_, expected)) = told.split_once("expected ") {
        let expected = expected.split(", got").next().unwrap_or_default();
        let any = format!("an integer from {} to {}", i64::MIN, i64::MAX);
        finding = finding.label(format!("expected {}", expected.replace(&any, "an integer")));
    }
    match mended.map(Value::to_string) {
        Some(text) => finding.fix(span, text.clone(), format!("write {text}")),
        None => finding,
    }
}

/// A path as errors have it.
fn written(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Index(index) => text.push_str(&format!("[{index}]")),
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => text.push_str(&format!(".{key}")),
        }
    }
    text
}

fn get<'v>(object: &'v Map<String, Value>, path: &[Step]) -> Option<&'v Value> {
    let (Step::Key(first), rest) = path.split_first()? else {
        return None;
    };
    rest.iter()
        .try_fold(object.get(first)?, |value, step| match step {
            Step::Key(key) => value.get(key),
            Step::Index(index) => value.get(index),
        })
}

/// Puts a value into the place of another, or takes that away; whether that changes anything.
fn replace(object: &mut Map<String, Value>, path: &[Step], new: Option<Value>) -> bool {
    let Some((Step::Key(first), rest)) = path.split_first() else {
        return false;
    };
    let place = rest.iter().try_fold(object.get_mut(first), |value, step| {
        Some(match step {
            Step::Key(key) => value?.get_mut(key),
            Step::Index(index) => value?.get_mut(index),
        })
    });
    let Some(place) = place.flatten() else {
        return false;
    };
    // `null` is as if absent.
    let new = new.unwrap_or_default();
    let is_change = *place != new;
    *place = new;
    is_change
}
