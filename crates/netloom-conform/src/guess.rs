//! What a plugin does, seen from what it answers.

use netloom_spec::Version;
use serde_json::{Value, json};

use crate::bench::{Bench, brief};
use crate::call::Said;
use crate::class::Class;
use crate::isolated;
use crate::stop::{Check, Stop, wrong};
use crate::stub;
use crate::subject::Subject;

/// Completes what is not told: the versions, the class, the IPAM plugin.
pub(crate) fn complete(
    mut subject: Subject,
    class: Option<Class>,
    is_told: bool,
) -> Result<Subject, String> {
    subject.versions = probe(&subject, versions)?
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|it| it.as_str()?.parse().ok())
        .collect();
    if subject.versions.is_empty() {
        // What VERSION is to be, the cases ask. The rest is asked with what most runtimes send.
        subject.versions = vec![Version::V1_0_0];
    }
    subject.class = match class {
        Some(class) => class,
        None => guess(&mut subject, is_told)?,
    };
    own_ipam(&mut subject);
    Ok(subject)
}

/// An IPAM plugin that is nowhere is replaced by the kit's.
fn own_ipam(subject: &mut Subject) {
    let path = subject.path.clone();
    let mut conf = subject.conf.clone();
    if let Some(ipam) = subject.ipam_of(&mut conf) {
        let name = ipam["type"].as_str().unwrap_or_default();
        // One that uses no IPAM plugin says so with an empty object.
        if !name.is_empty() && !path.iter().any(|dir| dir.join(name).is_file()) {
            *ipam = json!({ "type": stub::IPAM.0 });
        }
    }
    subject.conf = conf;
}

fn guess(subject: &mut Subject, is_told: bool) -> Result<Class, String> {
    let name = subject
        .plugin
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    if subject.conf["ipam"]["type"].as_str() == Some(&name) {
        return Ok(Class::Ipam);
    }
    if subject.conf["delegate"].is_object() {
        return Ok(Class::Meta);
    }
    if subject.lacks.is_some() {
        return Ok(Class::Interface);
    }
    let mut refusals = Vec::new();
    // With the kit's IPAM plugin, for one that wants any.
    let with_ipam = {
        let mut other = subject.clone();
        other.conf["ipam"] = json!({ "type": stub::IPAM.0 });
        other
    };
    let mut tried = vec![subject.clone()];
    own_ipam(&mut tried[0]);
    if !is_told {
        tried.push(with_ipam);
    }
    for attempt in tried {
        match by_result(&probe(&attempt, alone)?) {
            Ok(class) => {
                subject.conf = attempt.conf;
                return Ok(class);
            }
            Err(refusal) => refusals.push(refusal),
        }
    }
    let mut behind = subject.clone();
    behind.class = Class::Chained;
    let answer = probe(&behind, alone)?;
    match answer["ok"].as_bool().or(answer["ran"].as_bool()) {
        Some(true) => Ok(Class::Chained),
        _ => {
            refusals.push(answer["words"].as_str().unwrap_or_default().to_owned());
            Err(format!(
                "ADD fails, so what the plugin does cannot be told: give --class, or a configuration by --conf. \
                 It said: {}",
                refusals.join("; ")
            ))
        }
    }
}

/// A result with an interface is of an interface plugin, one with only addresses of an IPAM plugin.
fn by_result(answer: &Value) -> Result<Class, String> {
    if answer["ok"].as_bool() != Some(true) {
        return Err(answer["words"].as_str().unwrap_or_default().to_owned());
    }
    match (answer["interfaces"].as_u64(), answer["ips"].as_u64()) {
        (Some(1..), _) => Ok(Class::Interface),
        (_, Some(1..)) => Ok(Class::Ipam),
        _ => Err("the result of ADD has no interfaces and no addresses".to_owned()),
    }
}

/// Does something on a host of its own.
fn probe(subject: &Subject, ask: fn(&mut Bench<'_>) -> Check<Value>) -> Result<Value, String> {
    let answer = isolated::run(|| {
        let asked = Bench::new(subject).and_then(|mut bench| {
            let answer = ask(&mut bench);
            bench.end();
            answer
        });
        match asked {
            Ok(answer) => json!({ "answer": answer }),
            Err(Stop::Wrong(words) | Stop::Skip(words)) => json!({"answer": {"words": words}}),
            Err(Stop::Broken(words)) => json!({ "broken": words }),
        }
    })?;
    match answer["broken"].as_str() {
        Some(words) => Err(words.to_owned()),
        None => Ok(answer["answer"].clone()),
    }
}

/// How ADD fails, if it does: most cases need it.
pub(crate) fn broken(subject: &Subject) -> Result<Option<String>, String> {
    if subject.lacks.is_some() {
        return Ok(None);
    }
    let answer = probe(subject, alone)?;
    let words = answer["words"].as_str();
    Ok(words.map(|words| format!("ADD does not work: {words}")))
}

fn versions(bench: &mut Bench<'_>) -> Check<Value> {
    let request = bench
        .network_request("VERSION")
        .stdin(r#"{"cniVersion": "1.0.0"}"#);
    let said = bench.call(&request)?;
    let answer: Value = serde_json::from_str(&said.stdout).unwrap_or_default();
    Ok(answer["supportedVersions"].clone())
}

fn alone(bench: &mut Bench<'_>) -> Check<Value> {
    let pod = bench.pod("guess")?;
    let request = bench.request("ADD", pod);
    let said: Said = bench.call(&request)?;
    if !said.is_success() {
        let said = format!("{} {}", said.stdout, said.stderr);
        return wrong(brief(&said));
    }
    let result = match bench.result(&said) {
        Ok((_, result)) => result,
        // What it prints is wrong, which cases tell: what it does can be told all the same.
        Err(Stop::Wrong(words)) => return Ok(json!({"ran": true, "words": words})),
        Err(stop) => return Err(stop),
    };
    Ok(json!({"ok": true, "interfaces": result.interfaces.len(), "ips": result.ips.len()}))
}
