//! The examples of docs/plugins.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use netloom_testkit::probe;
use serde_json::Value;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/plugins");

/// A block marked `json add`, with what its info string says.
pub(crate) struct Example {
    pub(crate) place: String,
    pub(crate) conf: Value,
    pub(crate) setup: String,
    pub(crate) teardown: String,
    /// `CAP_ARGS`, and `CNI_ARGS`.
    pub(crate) runtime: String,
    pub(crate) args: String,
    needs: Vec<String>,
}

/// All of all pages.
pub(crate) fn all() -> Vec<Example> {
    let entries = fs::read_dir(DOCS).unwrap();
    let mut pages: Vec<_> = entries.map(|it| it.unwrap().path()).collect();
    pages.sort();
    pages.iter().flat_map(|page| of_page(page)).collect()
}

fn of_page(page: &Path) -> Vec<Example> {
    let text = fs::read_to_string(page).unwrap();
    let name = page.file_stem().unwrap().to_str().unwrap();
    let blocks = text.split("\n```json add").skip(1);
    let read = |(number, block): (usize, &str)| {
        let (info, body) = block.split_once('\n').unwrap();
        let body = body.split("\n```").next().unwrap();
        let mut said = attributes(info);
        let mut take = |key: &str| said.remove(key).unwrap_or_default();
        let needs = take("needs");
        Example {
            place: format!("{name}.md, example {number}"),
            conf: serde_json::from_str(body).unwrap(),
            setup: take("setup"),
            teardown: take("teardown"),
            runtime: format!("{{{}}}", take("runtime").replace('\'', "\"")),
            args: take("args"),
            needs: needs
                .split(',')
                .filter(|it| !it.is_empty())
                .map(str::to_owned)
                .collect(),
        }
    };
    (1..).zip(blocks).map(read).collect()
}

/// The `key=value` of an info string; values with blanks are in double quotes.
fn attributes(info: &str) -> BTreeMap<String, String> {
    let (mut pieces, mut quoted) = (vec![String::new()], false);
    for character in info.chars() {
        match character {
            '"' => quoted = !quoted,
            ' ' if !quoted => pieces.push(String::new()),
            other => pieces.last_mut().unwrap().push(other),
        }
    }
    let pairs = pieces.iter().filter_map(|piece| piece.split_once('='));
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

impl Example {
    /// What it needs and this machine does not have.
    pub(crate) fn lack(&self) -> Option<&str> {
        let has = |need: &str| match need.split_once(':') {
            Some(("program", name)) => probe::has_program(name),
            _ if need == "iptables" => probe::has_iptables(),
            _ if need == "vlan-filtering" => probe::has_vlan_filtering(),
            _ => probe::has_link_kind(need),
        };
        let mut needs = self.needs.iter().map(String::as_str);
        needs.find(|need| !has(need))
    }

    /// Whether it needs what some kernels have not.
    pub(crate) fn needs_a_kernel(&self) -> bool {
        let of_kernel = |need: &String| need != "iptables" && !need.starts_with("program:");
        self.needs.iter().any(of_kernel)
    }

    /// Whether only one pod can have what it asks for: an address, a device.
    pub(crate) fn is_exclusive(&self) -> bool {
        let text = format!("{} {} {}", self.conf, self.runtime, self.args);
        [
            "\"static\"",
            "\"ips\"",
            "portMappings",
            "host-device",
            "ratchet",
            "\"vlanId\"",
            "\"mac\"",
            "MAC=",
        ]
        .iter()
        .any(|word| text.contains(word))
    }
}
