//! Findings as people, programs and GitHub read them.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level as Drawn, Patch, Renderer, Snippet};
use netloom_spec::terminal;
use serde_json::{Value, json};

use super::Report;
use super::finding::{Finding, Level};

/// As rustc shows errors: the line, what is under it, and the change that mends it.
pub(crate) fn human(report: &Report, finding: &Finding, colour: bool) -> String {
    let level = match finding.level {
        Level::Error => Drawn::ERROR,
        Level::Warning => Drawn::WARNING,
        Level::Note => Drawn::NOTE,
    };
    let path = report.path.display().to_string();
    let text = printable(&report.text);
    let source = || Snippet::source(text.as_str()).path(terminal::one_line(&path).into_owned());
    let annotation = AnnotationKind::Primary
        .span(finding.span.clone())
        .label(terminal::one_line(&finding.label).into_owned());
    let title = level
        .primary_title(terminal::one_line(&finding.message).into_owned())
        .id(finding.rule);
    let mut groups: Vec<Group<'_>> = vec![match report.text.is_empty() {
        true => title.element(annotate_snippets::Origin::path(path.clone())),
        false => title.element(source().annotation(annotation)),
    }];
    if let Some(help) = &finding.help {
        let help = terminal::one_line(help).into_owned();
        groups.push(match &finding.fix {
            Some(fix) => {
                let patch =
                    Patch::new(fix.span.clone(), terminal::one_line(&fix.text).into_owned());
                Drawn::HELP
                    .secondary_title(help)
                    .element(Snippet::source(text.as_str()).patch(patch))
            }
            None => Group::with_title(Drawn::HELP.secondary_title(help)),
        });
    }
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    renderer.decor_style(DecorStyle::Unicode).render(&groups)
}

/// The text without what controls a terminal and is not replaced by the drawer: control characters of
/// two bytes, each replaced by another of two bytes, so that places stay.
fn printable(text: &str) -> String {
    text.replace(|it: char| ('\u{80}'..='\u{9f}').contains(&it), "·")
}

/// Where a byte of a text is: line and column, from 1 on, the column in characters.
pub(crate) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (line, before[start..].chars().count() + 1)
}

/// One finding in one line, for whoever lists files.
pub(crate) fn line(report: &Report, finding: &Finding) -> String {
    let (line, column) = position(&report.text, finding.span.start);
    let help = finding
        .help
        .as_ref()
        .map(|help| format!(" ({help})"))
        .unwrap_or_default();
    format!(
        "{}[{}] {}:{line}:{column}: {}{help}",
        finding.level.word(),
        finding.rule,
        report.path.display(),
        finding.message,
    )
}

/// All of them as one JSON document.
pub(crate) fn json(reports: &[Report]) -> Value {
    let of = |report: &Report| {
        let findings = report.findings.iter().map(|it| object(report, it));
        findings.collect::<Vec<_>>()
    };
    let count = |level| {
        let findings = reports.iter().flat_map(|it| &it.findings);
        findings.filter(|it| it.level == level).count()
    };
    json!({
        "findings": reports.iter().flat_map(of).collect::<Vec<_>>(),
        "files": reports.len(),
        "errors": count(Level::Error),
        "warnings": count(Level::Warning),
        "notes": count(Level::Note),
    })
}

fn object(report: &Report, finding: &Finding) -> Value {
    let (line, column) = position(&report.text, finding.span.start);
    let (end_line, end_column) = position(&report.text, finding.span.end);
    let fix = finding
        .fix
        .as_ref()
        .map(|fix| json!({"start": fix.span.start, "end": fix.span.end, "text": fix.text}));
    json!({
        "file": report.path, "line": line, "column": column, "endLine": end_line, "endColumn": end_column,
        "rule": finding.rule, "level": finding.level.word(), "message": finding.message,
        "label": finding.label, "help": finding.help, "fix": fix,
    })
}

/// A workflow command of GitHub's, which shows it beside the line.
pub(crate) fn github(report: &Report, finding: &Finding) -> String {
    let (line, column) = position(&report.text, finding.span.start);
    let (end_line, end_column) = position(&report.text, finding.span.end);
    let level = match finding.level {
        Level::Note => "notice",
        level => level.word(),
    };
    let file = property(&report.path.display().to_string());
    let help = finding
        .help
        .as_ref()
        .map(|help| format!(": {help}"))
        .unwrap_or_default();
    let message = escape(&format!("{}{help}", finding.message));
    format!(
        "::{level} file={file},line={line},endLine={end_line},col={column},endColumn={end_column},title={}::{message}",
        finding.rule
    )
}

fn escape(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    escape(text).replace(':', "%3A").replace(',', "%2C")
}
