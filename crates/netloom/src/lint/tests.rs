//! Whatever a file holds, lint tells of places inside it.

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use super::{Report, beside, draw, fix};

/// The configurations of docs/plugins.
fn examples() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/plugins");
    let pages = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let pages = pages.map(|page| std::fs::read_to_string(page).unwrap());
    let blocks = pages.flat_map(|page| {
        let blocks = page.split("\n```json").skip(1).map(str::to_owned);
        blocks.collect::<Vec<_>>()
    });
    let bodies = blocks.filter_map(|block| {
        let (_, body) = block.split_once('\n')?;
        Some(body.split("\n```").next()?.to_owned())
    });
    bodies.collect()
}

/// One change: from, how much is taken away, and what comes there.
type Change = (Index, usize, String);

fn changed(mut text: String, changes: &[Change]) -> String {
    for (at, length, with) in changes {
        let places: Vec<usize> = text
            .char_indices()
            .map(|(at, _)| at)
            .chain([text.len()])
            .collect();
        let from = at.index(places.len());
        let to = (from + length).min(places.len() - 1);
        text.replace_range(places[from]..places[to], with);
    }
    text
}

fn is_inside(report: &Report) {
    for finding in &report.findings {
        let fix = finding.fix.iter().map(|fix| &fix.span);
        for span in [&finding.span].into_iter().chain(fix) {
            let slice = report.text.get(span.clone());
            assert!(
                slice.is_some(),
                "{}: {span:?} of {:?}",
                finding.rule,
                report.text
            );
        }
    }
}

#[test]
fn no_file_makes_lint_panic_or_point_outside() {
    let examples = examples();
    assert!(examples.len() > 40, "only {} examples", examples.len());
    let piece = prop_oneof![
        Just("\"".to_owned()),
        Just("{".to_owned()),
        Just("]".to_owned()),
        Just(",".to_owned()),
        Just("null".to_owned()),
        Just("\u{feff}".to_owned()),
        Just("1e999".to_owned()),
        Just("\\ud800".to_owned()),
        Just("// ü\n".to_owned()),
        ".{0,4}",
    ];
    let change = (any::<Index>(), 0_usize..12, piece);
    let wrong = (any::<Index>(), proptest::collection::vec(change, 0..6));
    let mut runner = TestRunner::new(Config {
        cases: 2000,
        ..Config::default()
    });
    let judged = runner.run(&wrong, |(which, changes)| {
        let text = changed(which.get(&examples).clone(), &changes);
        let name = if which.index(2) == 0 {
            "a.conflist"
        } else {
            "b.conf"
        };
        let mut reports = [Report::new(Path::new(name), text.clone())];
        is_inside(&reports[0]);
        beside(&mut reports);
        is_inside(&reports[0]);
        let [report] = &reports;
        for finding in &report.findings {
            assert!(!draw::human(report, finding, false).is_empty());
            assert!(!draw::line(report, finding).contains('\n'));
        }
        fix::fixed(&report.text, &report.findings);
        Ok(())
    });
    judged.unwrap();
}
