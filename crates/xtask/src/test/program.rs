//! One test program: run, read, and counted.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use anyhow::Result;

use super::libtest::Tally;
use super::report::{Outcome, Skip};
use super::times::Times;
use crate::process::{self, Ending};

/// One test program may take this long; one that hangs is killed and counted as failed.
pub(super) const LIMIT: Duration = Duration::from_secs(20 * 60);

/// A program that speaks as libtest does, about to run.
pub(super) struct Program {
    pub(super) title: String,
    pub(super) command: Command,
    /// How many tests it runs at the same time.
    pub(super) threads: usize,
    /// The file to which its tests write why they were skipped.
    pub(super) skips: PathBuf,
    /// Whether nothing else may run beside it: it measures, or works the whole machine.
    pub(super) alone: bool,
}

impl Program {
    /// Runs it, with each line of its stdout given to `show`; counts its tests, those that skipped
    /// themselves apart.
    pub(super) fn run(mut self, mut show: impl FnMut(&str)) -> Result<Outcome> {
        let mut tally = Tally::default();
        let mut times = Times::from_now();
        let begin = Instant::now();
        let ending = process::stream(&mut self.command, LIMIT, |line| {
            show(line);
            tally.see(line);
            times.see(line);
        })?;
        let title = self.title;
        show(&format!("{title}: {:.1} s", begin.elapsed().as_secs_f64()));
        let mut outcome = Outcome {
            slow: times.of_tests(&title, self.threads),
            ..Outcome::default()
        };
        let skipped = skipped(&fs::read_to_string(&self.skips)?, &tally.failures);
        outcome.passed = tally.passed.saturating_sub(skipped.len());
        let all = skipped
            .into_iter()
            .chain(std::mem::take(&mut tally.ignored));
        outcome.skips.extend(all.map(|(test, reason)| Skip {
            program: title.clone(),
            test,
            reason,
        }));
        outcome.names.append(&mut tally.names);
        let failures = failures(&tally, &ending);
        outcome.failures.extend(
            failures
                .into_iter()
                .map(|failure| format!("{title}: {failure}")),
        );
        Ok(outcome)
    }
}

/// Each failed test, and what else went wrong with the program.
fn failures(tally: &Tally, ending: &Ending) -> Vec<String> {
    let mut failures = tally.failures.clone();
    let unnamed = tally.failed.saturating_sub(failures.len());
    failures.extend((0..unnamed).map(|_| "a test, see above".to_owned()));
    match ending {
        Ending::TimedOut => failures.push(format!("not done after {} s, killed", LIMIT.as_secs())),
        Ending::Exited(status) if tally.unfinished > 0 => failures.push(format!("died: {status}")),
        Ending::Exited(status) if !status.success() && tally.failed == 0 => {
            failures.push(status.to_string());
        }
        Ending::Exited(_) => {}
    }
    failures
}

/// The tests that wrote down a reason and did not fail for another; each once.
fn skipped(lines: &str, failures: &[String]) -> Vec<(String, String)> {
    let mut seen = BTreeSet::new();
    let pairs = lines
        .lines()
        .filter_map(|line| line.split_once('\t').or_else(|| line.split_once(": ")));
    pairs
        .filter(|(name, _)| !failures.iter().any(|failed| failed == name))
        .filter(|(name, _)| seen.insert(name.to_string()))
        .map(|(name, reason)| (name.to_owned(), reason.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_skipped_once_and_not_when_it_failed() {
        let lines = "a\tno modem\na: no disk\nb\tno modem\nnot a line\n";
        assert_eq!(
            skipped(lines, &["b".into()]),
            [("a".to_owned(), "no modem".to_owned())]
        );
    }
}
