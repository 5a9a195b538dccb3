//! `conform`: whether plugins keep the specification.

mod expected;
mod junit;
mod report;
pub(super) mod subject;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use netloom_conform::Level;

use super::{Misuse, Told};
use crate::cli::conform::Conform;
use crate::options::Options;
use crate::stage;
use expected::Expected;
use report::Report;
use subject::Subject;

pub(super) fn run(options: &Options, wanted: &Conform) -> Result<()> {
    if wanted.list {
        return list(options.json);
    }
    let misuse = |error: anyhow::Error| anyhow::Error::new(Misuse(format!("{error:#}")));
    // All that can be wrong with the request is found before anything is run.
    let subjects = Subject::all(wanted).map_err(misuse)?;
    let expected = Expected::read(wanted.expect.as_deref()).map_err(misuse)?;
    let known = |id: &&String| netloom_conform::all().any(|case| case.id == id.as_str());
    if let Some(id) = wanted.only.iter().find(|id| !known(id)) {
        let words = format!("there is no case {id:?}: `netloom conform --list` shows them");
        return Err(Misuse(words).into());
    }
    let junit = wanted
        .junit
        .as_deref()
        .map(create)
        .transpose()
        .map_err(misuse)?;

    stage::enter()?;
    let level = Level::from(wanted.level);
    let mut report = Report::new(options.json, wanted.tap, level, expected);
    for subject in &subjects {
        let kit = subject.kit(&wanted.only)?;
        report.begin(&subject.name);
        let outcomes = kit
            .run_with(&mut |outcome| report.case(outcome))
            .map_err(|failed| anyhow::anyhow!("{}: {failed}", subject.name))?;
        report.end(outcomes);
        subject.clear();
    }
    if let Some(file) = junit {
        junit::write(file, report.done()).context("write the JUnit report")?;
    }
    match report.finish() {
        None => Ok(()),
        Some(words) => Err(Told::with_status(words, 1).into()),
    }
}

/// The report's file, before the host's `/run` is covered.
fn create(path: &Path) -> Result<fs::File> {
    fs::File::create(path).with_context(|| format!("create {}", path.display()))
}

fn list(is_json: bool) -> Result<()> {
    if is_json {
        let cases = netloom_conform::all().map(|case| {
            serde_json::json!({
                "id": case.id, "level": case.level.word(), "section": case.section, "title": case.title,
                "classes": classes(case),
            })
        });
        print_json!(serde_json::Value::from_iter(cases));
        return Ok(());
    }
    for case in netloom_conform::all() {
        let classes = match classes(case).len() {
            4 => String::new(),
            _ => format!(" ({})", classes(case).join(", ")),
        };
        say!(
            "{}  {:6}  {:22} {}{classes}",
            case.id,
            case.level.word(),
            case.section,
            case.title
        );
    }
    Ok(())
}

fn classes(case: &netloom_conform::Case) -> Vec<&'static str> {
    let all = netloom_conform::Class::ALL.into_iter();
    all.filter(|it| case.is_for(*it))
        .map(|it| it.word())
        .collect()
}
