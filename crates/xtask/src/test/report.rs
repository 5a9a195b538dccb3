//! What all tiers came to.

use std::time::Duration;

use super::times::Took;

/// So many tests are named as the slowest.
const SLOWEST: usize = 10;

/// A test that could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Skip {
    /// The test program.
    pub(crate) program: String,
    pub(crate) test: String,
    pub(crate) reason: String,
}

/// What one tier came to.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) passed: usize,
    /// Each failure in words.
    pub(crate) failures: Vec<String>,
    pub(crate) skips: Vec<Skip>,
    /// Skips of earlier tiers that this one did or told again: whatever became of them is counted here, no longer there.
    pub(crate) taken_over: Vec<Skip>,
    /// The tests that ran to a good end, those that skipped themselves among them.
    pub(crate) names: Vec<String>,
    pub(crate) time: Duration,
    /// How long each test took, where that is known.
    pub(crate) slow: Vec<Took>,
}

impl Outcome {
    /// Adds what one program of several came to.
    pub(crate) fn absorb(&mut self, mut ran: Self) {
        self.passed += ran.passed;
        self.failures.append(&mut ran.failures);
        self.skips.append(&mut ran.skips);
        self.taken_over.append(&mut ran.taken_over);
        self.names.append(&mut ran.names);
        self.slow.append(&mut ran.slow);
    }

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
        for (_, earlier) in &mut self.tiers {
            earlier
                .skips
                .retain(|skip| !outcome.taken_over.contains(skip));
        }
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
        let all: Duration = self.tiers.iter().map(|(_, outcome)| outcome.time).sum();
        println!("{:<53} {:>7.1} s", "all of them", all.as_secs_f64());
        for line in self.skipped().into_iter().chain(self.slowest()) {
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
            for Skip {
                program,
                test,
                reason,
            } in &outcome.skips
            {
                let name = format!("{tier}: {program}: {test}");
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

    /// The tests that took longest, of all tiers.
    fn slowest(&self) -> Vec<String> {
        let all = self.tiers.iter();
        let mut all: Vec<(&str, &Took)> = all
            .flat_map(|(tier, outcome)| outcome.slow.iter().map(|took| (*tier, took)))
            .collect();
        all.sort_by_key(|(_, took)| std::cmp::Reverse(took.time));
        let line = |(tier, took): (&str, &Took)| {
            let seconds = took.time.as_secs_f64();
            format!(
                "SLOW {seconds:>7.1} s  {tier}: {}: {}",
                took.program, took.test
            )
        };
        all.into_iter().take(SLOWEST).map(line).collect()
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

    fn skip(test: &str, reason: &str) -> Skip {
        Skip {
            program: "p".into(),
            test: test.into(),
            reason: reason.into(),
        }
    }

    fn outcome(passed: usize, failures: &[&str], skips: &[Skip]) -> Outcome {
        let failures = failures.iter().map(ToString::to_string).collect();
        Outcome {
            passed,
            failures,
            skips: skips.to_vec(),
            ..Outcome::default()
        }
    }

    #[test]
    fn the_last_line_is_the_sum_in_the_form_that_ci_reads() {
        let mut report = Report::default();
        report.add("one", outcome(3, &["a"], &[skip("b", "no modem")]));
        report.add("two", outcome(4, &[], &[skip("c", "no modem")]));
        assert_eq!(report.last_line(), "7 passed, 1 failed, 2 skipped");
    }

    #[test]
    fn skips_are_told_by_reason() {
        let mut report = Report::default();
        report.add(
            "one",
            outcome(1, &[], &[skip("b", "no modem"), skip("d", "no disk")]),
        );
        report.add("two", outcome(1, &[], &[skip("c", "no modem")]));
        assert_eq!(
            report.skipped(),
            [
                "SKIPPED  no modem",
                "          one: p: b",
                "          two: p: c",
                "SKIPPED  no disk",
                "          one: p: d",
            ]
        );
    }

    #[test]
    fn a_skip_that_a_later_tier_takes_over_is_counted_there_alone() {
        let mut report = Report::default();
        report.add(
            "network",
            outcome(1, &[], &[skip("b", "no vlan"), skip("c", "no modem")]),
        );
        let taken_over = vec![skip("b", "no vlan")];
        report.add(
            "vm",
            Outcome {
                passed: 1,
                taken_over,
                ..Outcome::default()
            },
        );
        assert_eq!(report.last_line(), "2 passed, 0 failed, 1 skipped");
    }

    #[test]
    fn the_ten_slowest_tests_are_named_and_no_more() {
        let took = |second| Took {
            program: "p".into(),
            test: format!("t{second}"),
            time: Duration::from_secs(second),
        };
        let mut report = Report::default();
        for (tier, seconds) in [("unit", 0..6), ("network", 6..12)] {
            let slow = seconds.map(took).collect();
            let outcome = Outcome {
                slow,
                ..Outcome::default()
            };
            report.add(tier, outcome);
        }
        let lines = report.slowest();
        assert_eq!(lines.len(), 10);
        assert_eq!(lines[0], "SLOW    11.0 s  network: p: t11");
        assert_eq!(lines[9], "SLOW     2.0 s  unit: p: t2");
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
