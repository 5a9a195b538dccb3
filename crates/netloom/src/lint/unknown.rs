//! Keys that no plugin reads: NL004. Keys in another case than the documentation's: NL005.
//! Capabilities that the plugin does not take: NL202.

use std::collections::BTreeMap;

use netloom_spec::decode::{Step, Trace};

use super::document::{Entry, Node};
use super::finding::{Finding, Level};
use super::judge::plugin;
use crate::near::nearest;

/// What runtimes and other programs put into any plugin's object.
const EVERYBODYS: [&str; 9] = [
    "args",
    "capabilities",
    "cniVersion",
    "dns",
    "ipam",
    "name",
    "prevResult",
    "runtimeConfig",
    "type",
];
/// Where other programs' keys are.
const ASIDE: [&str; 3] = ["args", "prevResult", "runtimeConfig"];
/// Receives all keys that no other field does.
const REST: &str = "*";

type Fields = BTreeMap<String, Vec<&'static str>>;

/// Judges the keys of a plugin's object and of the objects in it.
pub(crate) fn unknown(object: &Node, trace: &Trace) -> Vec<Finding> {
    // Of a plugin that is not netloom's nothing is known.
    if trace.fields.is_empty() {
        return Vec::new();
    }
    let ipam = object
        .entry_of_any_case("ipam")
        .and_then(|it| it.value.entry_of_any_case("type"));
    let foreign_ipam = ipam.is_some_and(|kind| plugin(kind.text.trim_matches('"')).is_none());
    let fields = fields(trace, foreign_ipam);
    let mut findings = Vec::new();
    look(object, &mut Vec::new(), &fields, &mut findings);
    findings.extend(capabilities(object, &fields));
    findings
}

/// The fields of each object that was read, by its path in lower case.
fn fields(trace: &Trace, foreign_ipam: bool) -> Fields {
    let mut fields = Fields::new();
    for (path, names) in &trace.fields {
        if foreign_ipam && path.first() == Some(&Step::Key("ipam".to_owned())) {
            continue;
        }
        fields.entry(key_of(path)).or_default().extend(names);
    }
    // Of an object that is handed on, as `ipam` and `delegate` are, only its type is read here.
    fields.retain(|_, names| names.iter().any(|name| *name != "type"));
    fields.entry(key_of(&[])).or_default().extend(EVERYBODYS);
    fields
}

fn key_of(path: &[Step]) -> String {
    format!("{path:?}").to_lowercase()
}

fn look(node: &Node, path: &mut Vec<Step>, fields: &Fields, findings: &mut Vec<Finding>) {
    let known = fields
        .get(&key_of(path))
        .filter(|known| !known.contains(&REST));
    for entry in node.entries() {
        if let Some(known) = known {
            findings.extend(judge(entry, known));
        }
        let aside = path.is_empty() && ASIDE.iter().any(|it| entry.key.eq_ignore_ascii_case(it));
        if !aside {
            path.push(Step::Key(entry.key.clone()));
            look(&entry.value, path, fields, findings);
            path.pop();
        }
    }
    for (index, element) in node.elements().iter().enumerate() {
        path.push(Step::Index(index));
        look(element, path, fields, findings);
        path.pop();
    }
}

fn judge(entry: &Entry, known: &[&'static str]) -> Option<Finding> {
    let key = entry.key.as_str();
    let span = entry.key_span.clone();
    if known.contains(&key) || is_anybodys(key) {
        return None;
    }
    if let Some(canonical) = known.iter().find(|it| it.eq_ignore_ascii_case(key)) {
        let message = format!("key {key:?} is documented as {canonical:?}");
        let finding = Finding::new("NL005", Level::Note, span.clone(), message);
        let finding = finding.label("plugins read it whatever its case");
        return Some(finding.fix(
            span,
            format!("{canonical:?}"),
            format!("write {canonical:?}"),
        ));
    }
    let message = format!("unknown key {key:?}");
    let finding =
        Finding::new("NL004", Level::Warning, span.clone(), message).label("no plugin reads it");
    Some(match nearest(key, known.iter().copied()) {
        Some(near) => finding.fix(
            span,
            format!("{near:?}"),
            format!("there is a key {near:?}"),
        ),
        None => finding,
    })
}

/// Comments, and keys of other programs that say whose they are.
fn is_anybodys(key: &str) -> bool {
    key.contains(['/', '.'])
        || key.starts_with(['_', '$', '#'])
        || key.eq_ignore_ascii_case("comment")
}

fn capabilities(object: &Node, fields: &Fields) -> Vec<Finding> {
    let Some(declared) = object.entry_of_any_case("capabilities") else {
        return Vec::new();
    };
    // Beside the name among everybody's.
    let root = fields
        .get(&key_of(&[]))
        .is_some_and(|it| it.iter().filter(|name| **name == "runtimeConfig").count() > 1);
    let taken = fields.get(&key_of(&[Step::Key("runtimeConfig".to_owned())]));
    let known: &[&str] = match taken {
        Some(known) if known.contains(&REST) => return Vec::new(),
        Some(known) => known,
        // It is read, and not as a struct: handed on, perhaps.
        None if root => return Vec::new(),
        None => &[],
    };
    let unread = declared
        .value
        .entries()
        .iter()
        .filter(|entry| entry.text == "true" && !known.contains(&entry.key.as_str()));
    let finding = |entry: &Entry| {
        let span = entry.key_span.clone();
        let message = format!(
            "capability {:?} is not one that this plugin takes",
            entry.key
        );
        let finding = Finding::new("NL202", Level::Warning, span.clone(), message)
            .label("what the runtime offers is not read");
        match nearest(&entry.key, known.iter().copied()) {
            Some(near) => finding.fix(
                span,
                format!("{near:?}"),
                format!("there is a capability {near:?}"),
            ),
            None if known.is_empty() => finding.help("the plugin takes none"),
            None => finding.help(format!("it takes {}", known.join(", "))),
        }
    };
    unread.map(finding).collect()
}
