//! `netloom lint`: what it finds, that it finds nothing in what is right, and that it says of a
//! configuration what ADD says.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod examples;
mod files;
mod machine;
mod new;
mod schema;
mod verdict;
mod wrong;

use std::path::Path;

use netloom_testkit::{Call, Outcome};
use serde_json::Value;

const NETLOOM: &str = env!("CARGO_BIN_EXE_netloom");

fn lint(arguments: &[&str]) -> Call {
    arguments
        .iter()
        .fold(Call::new(NETLOOM).arg("lint"), |call, it| call.arg(it))
}

/// What is found in a file, as the JSON document tells it.
#[track_caller]
fn findings(file: &Path) -> Vec<Value> {
    told(&lint(&["--format", "json"]).arg(file).run())
}

#[track_caller]
fn told(outcome: &Outcome) -> Vec<Value> {
    let report: Value = serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{error} in:\n{outcome}"));
    let findings = report["findings"].as_array().unwrap().clone();
    let errors = findings.iter().filter(|it| it["level"] == "error").count();
    assert_eq!(outcome.code(), Some(i32::from(errors > 0)), "{outcome}");
    findings
}
