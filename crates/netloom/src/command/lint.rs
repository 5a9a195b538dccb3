//! `lint`: what is wrong with configurations, before a node fails on them.

use std::fs;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use netloom_runtime::load;

use super::Told;
use crate::cli::{Format, Lint};
use crate::configured::cni;
use crate::environment;
use crate::lint::finding::Level;
use crate::lint::{Machine, Report, beside, copies, draw, fix};
use crate::options::Options;

/// How often what was mended is looked at again: a mistake may hide another.
const ROUNDS: usize = 20;

/// What the command was called with cannot be used.
const MISUSE: u8 = 2;

pub(super) fn run(options: &Options, lint: &Lint) -> Result<()> {
    let target = lint.target.as_deref().unwrap_or(&options.conf_dir);
    let mut reports = read(target).map_err(misuse)?;
    if lint.fix {
        for report in &mut reports {
            mend(report)?;
        }
    }
    if lint.host {
        let machine = Machine {
            cni: cni(options),
            plugin_dirs: environment::plugin_dirs(),
        };
        reports.iter_mut().for_each(|it| machine.judge(it));
    }
    if target.is_dir() {
        beside(&mut reports);
        reports.extend(copies(target)?);
    }
    let format = if options.json {
        Format::Json
    } else {
        lint.format
    };
    show(&reports, format);
    let errors = reports.iter().map(|it| it.errors().count()).sum::<usize>();
    match errors {
        0 => Ok(()),
        _ => Err(Told::with_status(
            format!("{}: ADD would refuse this", counted(errors, "error")),
            1,
        )
        .into()),
    }
}

fn misuse(error: anyhow::Error) -> anyhow::Error {
    Told::with_status(format!("{error:#}"), MISUSE).into()
}

fn read(target: &Path) -> Result<Vec<Report>> {
    if target == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("read the configuration on stdin")?;
        return Ok(vec![Report::new(target, text)]);
    }
    let metadata = fs::metadata(target).with_context(|| {
        format!(
            "lint {}: expected a file, a directory or -",
            target.display()
        )
    })?;
    let files: Vec<PathBuf> = match metadata.is_dir() {
        true => [
            load::conf_files(target, &["conflist"])?,
            load::conf_files(target, &["conf", "json"])?,
        ]
        .concat(),
        false => vec![target.to_owned()],
    };
    files.iter().map(|path| report(path)).collect()
}

/// Judges one file.
pub(super) fn report(path: &Path) -> Result<Report> {
    let is_file = fs::metadata(path).is_ok_and(|it| it.is_file());
    anyhow::ensure!(is_file, "read {}: not a regular file", path.display());
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    Ok(Report::new(path, text))
}

/// Writes the file anew, whole or not at all, when anything can be mended.
fn mend(report: &mut Report) -> Result<()> {
    let mut total = 0;
    for _ in 0..ROUNDS {
        let (text, done) = fix::fixed(&report.text, &report.findings);
        if done == 0 {
            break;
        }
        total += done;
        *report = Report::new(&report.path, text);
    }
    if total == 0 {
        return Ok(());
    }
    if report.path == Path::new("-") {
        print!("{}", report.text);
        return Ok(());
    }
    let mut name = report.path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".netloom-{}", std::process::id()));
    let beside = report.path.with_file_name(name);
    let written = replace(&report.path, &beside, &report.text);
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written.with_context(|| format!("write {}", report.path.display()))?;
    note!("netloom: {total} mended in {}", report.path.display());
    Ok(())
}

fn replace(path: &Path, beside: &Path, text: &str) -> std::io::Result<()> {
    let path = fs::canonicalize(path)?;
    fs::write(beside, text)?;
    fs::set_permissions(beside, fs::metadata(&path)?.permissions())?;
    fs::rename(beside, path)
}

fn show(reports: &[Report], format: Format) {
    let all = || {
        reports
            .iter()
            .flat_map(|report| report.findings.iter().map(move |it| (report, it)))
    };
    match format {
        Format::Json => print_json!(draw::json(reports)),
        Format::Github => {
            for (report, finding) in all() {
                say!("{}", draw::github(report, finding));
            }
        }
        Format::Human => {
            let colour = std::io::stdout().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
            for (report, finding) in all() {
                // The parts that others chose are made safe where they are drawn.
                println!("{}\n", draw::human(report, finding, colour));
            }
            let levels = [
                (Level::Error, "error"),
                (Level::Warning, "warning"),
                (Level::Note, "note"),
            ];
            let counts = levels.map(|(level, word)| {
                counted(all().filter(|(_, it)| it.level == level).count(), word)
            });
            note!("{}: {}", counted(reports.len(), "file"), counts.join(", "));
        }
    }
}

fn counted(number: usize, word: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {word}{plural}")
}
