//! A page, run: its commands in one shell of a throw-away host.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use netloom_testkit::{Block, Host, probe, product, skip};

use crate::compare::difference;
use crate::pages::{Page, root, writes};

const NETLOOM: &str = env!("CARGO_BIN_EXE_netloom");

/// What a setup may call.
const PRELUDE: &str = include_str!("prelude.sh");

/// Begins the output of a block, with its number.
const MARK: &str = "@@ block ";

/// The languages in which a block is something to type.
const TYPED: [&str; 3] = ["sh", "bash", "console"];

/// Runs what a page tells to type, and compares what it shows.
pub(crate) fn page(page: &Page) {
    page.blocks.iter().for_each(check);
    if !page.blocks.iter().any(is_run) {
        return;
    }
    let Some(_host) = host(page) else { return };
    let scratch = tempfile::tempdir().unwrap();
    let script = scratch.path().join("page.sh");
    fs::write(&script, script_of(page)).unwrap();
    let printed = in_throw_away_host(scratch.path(), &script);
    let outputs = outputs(page, &printed);
    compare(page, &outputs);
    pictures(page, &outputs);
}

fn is_run(block: &Block) -> bool {
    block.is("sh") && !block.is("host") && !block.attributes.contains_key("not-run")
}

/// That the info string says something known, and that there is something to it.
fn check(block: &Block) {
    const WORDS: [&str; 12] = [
        "sh",
        "console",
        "text",
        "output",
        "json",
        "yaml",
        "toml",
        "rust",
        "fails",
        "host",
        "add",
        "dockerfile",
    ];
    const KEYS: [&str; 9] = [
        "needs", "setup", "not-run", "in", "picture", "runtime", "args", "teardown", "since",
    ];
    let place = &block.place;
    let unknown = block
        .words
        .iter()
        .find(|word| !WORDS.contains(&word.as_str()));
    assert_eq!(unknown, None, "{place}: what is that word?");
    let unknown = block
        .attributes
        .keys()
        .find(|key| !KEYS.contains(&key.as_str()));
    assert_eq!(unknown, None, "{place}: what is that attribute?");
    assert!(
        !block.words.is_empty(),
        "{place}: say what it is: sh, text, json, …"
    );
    let is_typed = TYPED.iter().any(|language| block.is(language));
    let reason = block.attributes.get("not-run");
    assert!(
        !is_typed || block.is("sh") || reason.is_some() || tested_elsewhere(place),
        "{place}: make it `sh`, which is run, or say not-run=\"why\""
    );
    assert!(
        reason.is_none_or(|reason| reason.len() > 10),
        "{place}: why is it not run?"
    );
    if block.is("json") {
        drop(block.json());
    }
}

/// Pages whose sessions other test programs try: those of plugins, and those beside the folders of the book's
/// four kinds, which tell of one verb each.
fn tested_elsewhere(place: &str) -> bool {
    place.starts_with("plugins/") || !place.contains('/')
}

/// A host that has what the page needs.
fn host(page: &Page) -> Option<Host> {
    let host = Host::new()?;
    for block in &page.blocks {
        let needs = block.attributes.get("needs").map_or("", String::as_str);
        for need in needs.split(',').filter(|need| !need.is_empty()) {
            let is_there = match need.split_once(':') {
                Some(("program", name)) => probe::has_program(name),
                _ if need == "iptables" => probe::has_iptables(),
                _ if need == "vlan-filtering" => probe::has_vlan_filtering(),
                _ => probe::has_link_kind(need),
            };
            if !is_there {
                skip(&format!("{}: needs {need}", block.place));
                return None;
            }
        }
    }
    Some(host)
}

/// The page's commands, with marks between them.
fn script_of(page: &Page) -> String {
    let mut script = PRELUDE.to_owned();
    for (number, block) in page.blocks.iter().enumerate() {
        if let Some(file) = block.attributes.get("in") {
            writeln!(
                script,
                "set -e\ncat >/tmp/part.$$ <<'END OF PART'\n{}\nEND OF PART",
                block.text
            )
            .unwrap();
            writeln!(
                script,
                "[[ \"$(cat {file})\" == *\"$(cat /tmp/part.$$)\"* ]] || {{ echo 'not in {file}'; exit 1; }}\nrm /tmp/part.$$"
            )
            .unwrap();
        }
        if !is_run(block) {
            continue;
        }
        if let Some(setup) = block.attributes.get("setup") {
            writeln!(script, "set -e\n{setup}").unwrap();
        }
        writeln!(script, "echo; echo '{MARK}{number}'").unwrap();
        match block.is("fails") {
            true => writeln!(
                script,
                "set +e\n{}\nif [ $? = 0 ]; then echo 'that did not fail'; exit 1; fi",
                block.text
            ),
            false => writeln!(script, "set -e\n{}", block.text),
        }
        .unwrap();
    }
    script
}

/// Runs a script where the tutorials' readers are: in the host that the first page tells to make.
fn in_throw_away_host(scratch: &Path, script: &Path) -> String {
    let begin = Page::read("tutorials/begin.md");
    let line = begin.blocks.iter().find(|block| block.is("host")).unwrap();
    let line = line
        .text
        .replace("exec bash", &format!("exec bash {}", script.display()));
    let programs = scratch.join("bin");
    let home = scratch.join("home");
    fs::create_dir_all(&programs).unwrap();
    fs::create_dir_all(&home).unwrap();
    let link = |to: &Path, name: &Path| std::os::unix::fs::symlink(to, name).unwrap();
    link(&product(NETLOOM), &programs.join("netloom"));
    link(&root(), &home.join("netloom"));
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let or = |name: &str, below: &str| match variable(name) {
        text if text.is_empty() => format!("{}/{below}", variable("HOME")),
        text => text,
    };
    let output = Command::new("bash")
        .args(["-c", &line])
        .env_clear()
        .env(
            "PATH",
            format!("{}:{}", programs.display(), variable("PATH")),
        )
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", &home)
        .env("CARGO_HOME", or("CARGO_HOME", ".cargo"))
        .env("RUSTUP_HOME", or("RUSTUP_HOME", ".rustup"))
        .env("CARGO_NET_OFFLINE", "true")
        // What others wrote is compiled once, whatever run it is.
        .env(
            "CARGO_BUILD_BUILD_DIR",
            concat!(env!("CARGO_TARGET_TMPDIR"), "/book"),
        )
        .env("CARGO_TERM_QUIET", "true")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{}: {}\n{printed}{}",
        script.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    printed
}

/// What each block printed, by its number; nothing for those that were not run.
fn outputs(page: &Page, printed: &str) -> Vec<String> {
    let mut outputs = vec![String::new(); page.blocks.len()];
    let mut current = None;
    for line in printed.lines() {
        if let Some(number) = line.strip_prefix(MARK) {
            current = number.parse::<usize>().ok();
        } else if let Some(number) = current {
            outputs[number] += &format!("{line}\n");
        }
    }
    outputs
}

fn compare(page: &Page, outputs: &[String]) {
    let mut texts: Vec<String> = page.blocks.iter().map(|block| block.text.clone()).collect();
    let mut findings = Vec::new();
    let mut last = None;
    for (number, block) in page.blocks.iter().enumerate() {
        if is_run(block) {
            last = Some(number);
        }
        if !block.is("output") {
            continue;
        }
        let Some(printed) = last.map(|number| &outputs[number]) else {
            panic!("{}: output of what?", block.place);
        };
        if let Some(difference) = difference(&block.text, printed) {
            texts[number] = printed.trim_matches('\n').to_owned();
            findings.push(format!(
                "{}: {difference}\nall of it:\n{printed}",
                block.place
            ));
        }
    }
    if writes() {
        return page.rewrite(&texts);
    }
    findings.extend(untold(page, outputs));
    assert!(findings.is_empty(), "\n{}", findings.join("\n\n"));
}

/// The blocks of a tutorial that print something which it does not show: its first page promises that there are none.
fn untold(page: &Page, outputs: &[String]) -> Vec<String> {
    let is_tutorial = page.name.starts_with("tutorials/");
    let next = page.blocks.iter().skip(1).map(Some).chain([None]);
    let silent = page.blocks.iter().zip(next).zip(outputs);
    silent
        .filter(|((block, next), _)| {
            let is_told = next.is_some_and(|next| next.is("output"));
            is_tutorial && is_run(block) && !is_told && !block.attributes.contains_key("picture")
        })
        .filter(|(_, printed)| !printed.trim().is_empty())
        .map(|((block, _), printed)| {
            format!("{}: shows not that it prints\n{printed}", block.place)
        })
        .collect()
}

/// That the pictures which a page's commands draw are those that it shows.
fn pictures(page: &Page, outputs: &[String]) {
    for (block, printed) in page.blocks.iter().zip(outputs) {
        let Some(file) = block.attributes.get("picture") else {
            continue;
        };
        let path = root().join("docs").join(file);
        let shown = fs::read_to_string(&path).unwrap_or_default();
        let difference = difference(&shown, printed);
        match writes() {
            true if difference.is_some() => {
                fs::write(&path, printed.trim_matches('\n').to_owned() + "\n").unwrap()
            }
            true => {}
            false => assert_eq!(difference, None, "{}: {file}", block.place),
        }
    }
}
