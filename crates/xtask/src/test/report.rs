//! What all tiers came to.

use std::time::Duration;

/// What one tier came to.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) passed: usize,
    /// Each failure in words.
    pub(crate) failures: Vec<String>,
    /// Each skipped test with its reason.
    pub(crate) skips: Vec<(String, String)>,
    pub(crate) time: Duration,
}

impl Outcome {
    /// A check that is one test by itself.
    pub(crate) fn check(&mut self, name: &str, result: Result<(), String>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(message) => self.failures.push(format!("{name}: {message}")),
        }
    }

    fn ran(&self) -> usize {
        self.passed + self.failures.len()
    }

    fn counts(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed,
            self.failures.len(),
            self.skips.len()
        )
    }
}

#[derive(Default)]
pub(crate) struct Report {
    tiers: Vec<(&'static str, Outcome)>,
}

impl Report {
    /// Prints what a tier came to, at its end, and keeps it for the summary.
    pub(crate) fn add(&mut self, tier: &'static str, outcome: Outcome) {
        println!(
            "tier {tier}: {} in {:.1} s",
            outcome.counts(),
            outcome.time.as_secs_f64()
        );
        self.tiers.push((tier, outcome));
    }

    pub(crate) fn is_green(&self) -> bool {
        let mut outcomes = self.tiers.iter().map(|(_, outcome)| outcome);
        outcomes.all(|outcome| outcome.failures.is_empty())
            && self.tiers.iter().any(|(_, outcome)| outcome.ran() > 0)
    }

    pub(crate) fn print(&self) {
        crate::process::headline("summary");
        for (tier, outcome) in &self.tiers {
            println!(
                "{tier:<10} {:<42} {:>7.1} s",
                outcome.counts(),
                outcome.time.as_secs_f64()
            );
        }
        for line in self.skipped() {
            println!("{line}");
        }
        for (tier, outcome) in &self.tiers {
            for failure in &outcome.failures {
                println!("FAILED  {tier}: {failure}");
            }
        }
        println!("\n{}", self.last_line());
    }

    /// The tests that were skipped, those with one reason together.
    fn skipped(&self) -> Vec<String> {
        let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
        for (tier, outcome) in &self.tiers {
            for (name, reason) in &outcome.skips {
                let name = format!("{tier}: {name}");
                match reasons.iter_mut().find(|(known, _)| known == reason) {
                    Some((_, names)) => names.push(name),
                    None => reasons.push((reason, vec![name])),
                }
            }
        }
        let lines = |(reason, names): (&str, Vec<String>)| {
            let names = names.into_iter().map(|name| format!("          {name}"));
            std::iter::once(format!("SKIPPED  {reason}"))
                .chain(names)
                .collect::<Vec<_>>()
        };
        reasons.into_iter().flat_map(lines).collect()
    }

    fn last_line(&self) -> String {
        let mut all = Outcome::default();
        for (_, outcome) in &self.tiers {
            all.passed += outcome.passed;
            all.failures.extend_from_slice(&outcome.failures);
            all.skips.extend_from_slice(&outcome.skips);
        }
        all.counts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(passed: usize, failures: &[&str], skips: &[(&str, &str)]) -> Outcome {
        Outcome {
            passed,
            failures: failures.iter().map(ToString::to_string).collect(),
            skips: skips
                .iter()
                .map(|(name, reason)| (name.to_string(), reason.to_string()))
                .collect(),
            time: Duration::ZERO,
        }
    }

    #[test]
    fn the_last_line_is_the_sum_in_the_form_that_ci_reads() {
        let mut report = Report::default();
        report.add("one", outcome(3, &["a"], &[("b", "no modem")]));
        report.add("two", outcome(4, &[], &[("c", "no modem")]));
        assert_eq!(report.last_line(), "7 passed, 1 failed, 2 skipped");
    }

    #[test]
    fn skips_are_told_by_reason() {
        let mut report = Report::default();
        report.add(
            "one",
            outcome(1, &[], &[("b", "no modem"), ("d", "no disk")]),
        );
        report.add("two", outcome(1, &[], &[("c", "no modem")]));
        assert_eq!(
            report.skipped(),
            [
                "SKIPPED  no modem",
                "          one: b",
                "          two: c",
                "SKIPPED  no disk",
                "          one: d",
            ]
        );
    }

    #[test]
    fn one_failure_or_nothing_run_is_not_green() {
        let mut report = Report::default();
        assert!(!report.is_green());
        report.add("one", outcome(1, &[], &[]));
        assert!(report.is_green());
        report.add("two", outcome(1, &["a"], &[]));
        assert!(!report.is_green());
    }
}
