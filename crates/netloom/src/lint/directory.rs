//! The files of one directory beside each other: NL401 (one name twice), NL402 (more than the kubelet
//! uses), NL403 (copies that nobody reads), NL304 (subnets of two networks that overlap).

use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde_json::Value;

use super::Report;
use super::finding::{Finding, Level};

/// Endings of files that editors and package managers leave.
const COPIES: [&str; 7] = [
    "~",
    ".bak",
    ".orig",
    ".old",
    ".rpmsave",
    ".rpmnew",
    ".dpkg-old",
];

/// What is wrong with the files beside each other; each finding goes to the report of its file.
pub(crate) fn judge(reports: &mut [Report]) {
    let known: Vec<(String, Vec<IpNet>, PathBuf)> = reports.iter().map(of).collect();
    for at in 1..reports.len() {
        let (before, (name, nets, _)) = (&known[..at], &known[at]);
        let mut found = Vec::new();
        if let Some((.., path)) = before
            .iter()
            .find(|(other, ..)| other == name && !name.is_empty())
        {
            let message = format!(
                "the network {name:?} is in {} already, which comes first",
                path.display()
            );
            let span = reports[at].span_of("name");
            found.push(
                Finding::new("NL401", Level::Warning, span, message)
                    .label("this file is not used")
                    .help("give it another name"),
            );
        }
        // One finding however many there are: a directory of copies would have one for each pair.
        let others = before.iter().filter(|(other, ..)| other != name);
        let mut overlaps = others.filter_map(|(other, other_nets, path)| {
            let (net, of_other) = overlap(nets, other_nets)?;
            Some((net, of_other, other, path))
        });
        if let Some((net, of_other, other, path)) = overlaps.next() {
            let more = match overlaps.count() {
                0 => String::new(),
                more => format!(", and those of {more} more"),
            };
            let message = format!(
                "{net} overlaps {of_other} of the network {other:?} ({}){more}",
                path.display()
            );
            let span = reports[at].span_of("subnet");
            found.push(
                Finding::new("NL304", Level::Warning, span, message)
                    .help("give one of them another subnet"),
            );
        }
        reports[at].findings.extend(found);
    }
    if let [first, _, ..] = known.as_slice() {
        let first = first.2.display().to_string();
        for report in reports.iter_mut().skip(1) {
            let message =
                format!("the kubelet's runtime uses the first file alone, by name: {first}");
            report.findings.push(Finding::new(
                "NL402",
                Level::Note,
                report.span_of("name"),
                message,
            ));
        }
    }
}

/// The first subnets of two networks that overlap.
fn overlap<'n>(nets: &'n [IpNet], others: &'n [IpNet]) -> Option<(&'n IpNet, &'n IpNet)> {
    nets.iter().find_map(|net| {
        let is_over = |it: &&IpNet| it.contains(net) || net.contains(*it);
        Some((net, others.iter().find(is_over)?))
    })
}

/// Files that look like configurations and are none.
pub(crate) fn copies(dir: &Path) -> std::io::Result<Vec<Report>> {
    let mut reports = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let Some(ending) = COPIES.iter().find(|ending| name.ends_with(**ending)) else {
            continue;
        };
        let is_conf = [".conf", ".conflist", ".json"]
            .iter()
            .any(|it| name.contains(it));
        if is_conf {
            let message = format!("a copy that nobody reads, for its name ends in {ending:?}");
            let finding = Finding::new("NL403", Level::Note, 0..0, message);
            reports.push(Report {
                path,
                text: String::new(),
                findings: vec![finding],
            });
        }
    }
    reports.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(reports)
}

fn of(report: &Report) -> (String, Vec<IpNet>, PathBuf) {
    let value: Value = serde_json::from_str(&report.text).unwrap_or_default();
    let name = value
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let mut nets = Vec::new();
    subnets(&value, &mut nets);
    (name, nets, report.path.clone())
}

fn subnets(value: &Value, nets: &mut Vec<IpNet>) {
    match value {
        Value::Object(object) => {
            let net = object.get("subnet").and_then(Value::as_str);
            nets.extend(
                net.and_then(|net| net.parse::<IpNet>().ok())
                    .map(|net| net.trunc()),
            );
            object.values().for_each(|value| subnets(value, nets));
        }
        Value::Array(array) => array.iter().for_each(|value| subnets(value, nets)),
        _ => {}
    }
}
