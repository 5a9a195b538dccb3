//! Every link of a page leads to a file, and to a heading of it; every page is in the book.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use regex_lite::Regex;

use crate::pages::{self, root};

/// What `cargo xtask book` writes itself.
const GENERATED: [&str; 1] = ["docs/reference/commands.md"];

/// Pages beside `docs` that are in the book too.
const BESIDE: [&str; 5] = [
    "README.md",
    "SPECIFICATION.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
];

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut names: Vec<String> = BESIDE.map(str::to_owned).into();
    names.extend(
        pages::all()
            .into_iter()
            .map(|page| format!("docs/{}", page.name)),
    );
    let mut broken = Vec::new();
    let mut followed = 0;
    for name in &names {
        let text = read(name);
        for target in targets(&prose(&text)) {
            followed += 1;
            if let Some(reason) = wrong(name, &target) {
                broken.push(format!("{name}: ({target}): {reason}"));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
    assert!(followed > 100, "{followed}");
}

#[test]
fn every_page_is_in_the_book_and_the_book_has_no_other() {
    let summary = read("docs/SUMMARY.md");
    let listed: BTreeSet<String> = targets(&summary)
        .iter()
        .map(|target| resolve("docs/SUMMARY.md", target))
        .filter(|name| !GENERATED.contains(&name.as_str()))
        .collect();
    let mut there: BTreeSet<String> = BESIDE.map(str::to_owned).into();
    let pages = pages::all()
        .into_iter()
        .map(|page| format!("docs/{}", page.name));
    there.extend(pages);
    // The book has pages at the top of docs by themselves.
    let missing = there
        .difference(&listed)
        .filter(|name| name.matches('/').count() > 1);
    let missing: Vec<_> = missing.collect();
    assert!(
        missing.is_empty(),
        "add a line to docs/SUMMARY.md for {missing:?}"
    );
    let dangling: Vec<_> = listed.difference(&there).collect();
    assert!(
        dangling.is_empty(),
        "docs/SUMMARY.md lists what is not there: {dangling:?}"
    );
}

fn read(name: &str) -> String {
    let path = root().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path:?}: {error}"))
}

/// A page without its blocks and without `code`.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            prose += line;
            prose += "\n";
        }
    }
    Regex::new("`[^`\n]*`")
        .unwrap()
        .replace_all(&prose, "code")
        .into_owned()
}

/// Where its links lead inside the tree.
fn targets(text: &str) -> Vec<String> {
    let inline = Regex::new(r"\]\(([^()\s]+)\)").unwrap();
    let reference = Regex::new(r"(?m)^\[[^\]]+\]: (\S+)$").unwrap();
    let all = inline
        .captures_iter(text)
        .chain(reference.captures_iter(text));
    let targets = all.map(|found| found[1].to_owned());
    targets.filter(|target| !target.contains("://")).collect()
}

/// The path from the root that a link of a page means.
fn resolve(page: &str, target: &str) -> String {
    let file = target.split('#').next().unwrap_or_default();
    if file.is_empty() {
        return page.to_owned();
    }
    let mut path = PathBuf::new();
    for part in Path::new(page).parent().unwrap().join(file).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            other => path.push(other),
        }
    }
    path.to_str().unwrap().to_owned()
}

fn wrong(page: &str, target: &str) -> Option<String> {
    let file = resolve(page, target);
    if GENERATED.contains(&file.as_str()) {
        return None;
    }
    if !root().join(&file).exists() {
        return Some(format!("there is no {file}"));
    }
    let (_, heading) = target.split_once('#')?;
    let headings = headings(&read(&file));
    let is_there = headings.iter().any(|other| other == heading);
    (!is_there).then(|| format!("{file} has no such heading; it has {headings:?}"))
}

/// The anchors of a page's headings, as GitHub and mdBook make them.
fn headings(text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        } else if !is_code && line.starts_with('#') {
            found.push(anchor(line.trim_start_matches('#').trim()));
        }
    }
    found
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|character| match character {
        ' ' => Some('-'),
        '-' | '_' => Some(character),
        other if other.is_alphanumeric() => Some(other),
        _ => None,
    });
    kept.collect::<String>().to_lowercase()
}

#[test]
fn links_in_code_do_not_count_and_anchors_are_those_of_headings() {
    let text = "[a](b.md#c-d) `[x](y)`\n```text\n[no](no)\n```\n[e]: ../f.md\n[web](https://x)\n";
    assert_eq!(targets(&prose(text)), ["b.md#c-d", "../f.md"]);
    assert_eq!(resolve("docs/how-to/a.md", "../b.md#x"), "docs/b.md");
    assert_eq!(
        anchor("What `DEL` does not wait for: 1.0"),
        "what-del-does-not-wait-for-10"
    );
}
