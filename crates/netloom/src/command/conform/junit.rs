//! The report for machines that read JUnit's XML.

use std::fs::File;

use anyhow::Result;
use netloom_conform::{Outcome, Report, Verdict};
use quick_junit::{NonSuccessKind, Report as Document, TestCase, TestCaseStatus, TestSuite};

pub(super) fn write(file: File, reports: &[(String, Report)]) -> Result<()> {
    let mut document = Document::new("netloom conform");
    for (name, report) in reports {
        let mut suite = TestSuite::new(name.as_str());
        suite.add_test_cases(report.outcomes.iter().map(|it| case(name, it)));
        document.add_test_suite(suite);
    }
    Ok(document.serialize(file)?)
}

fn case(plugin: &str, outcome: &Outcome) -> TestCase {
    let status = match &outcome.verdict {
        Verdict::Passed => TestCaseStatus::success(),
        Verdict::Failed(words) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(words.as_str());
            status.set_type(outcome.level.word());
            status.set_description(outcome.to_string());
            status
        }
        Verdict::Skipped(words) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(words.as_str());
            status
        }
    };
    let mut case = TestCase::new(format!("{} {}", outcome.id, outcome.title), status);
    case.set_classname(plugin);
    case.set_time(outcome.time);
    case
}
