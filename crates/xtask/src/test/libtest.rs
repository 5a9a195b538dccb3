//! Reading what Rust's own test runner prints.

/// What one or more runs of test binaries have said so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    /// Tests marked `#[ignore]`, with the reason given there.
    pub(crate) ignored: Vec<(String, String)>,
    pub(crate) failures: Vec<String>,
    /// The tests that passed.
    pub(crate) names: Vec<String>,
    /// How many runs began (`running N tests`) and have not ended with a result.
    pub(crate) unfinished: usize,
}

impl Tally {
    /// Takes one line of output.
    pub(crate) fn see(&mut self, line: &str) {
        if line.starts_with("running ") && (line.ends_with(" tests") || line.ends_with(" test")) {
            self.unfinished += 1;
        } else if let Some(counts) = line.strip_prefix("test result: ") {
            self.passed += count(counts, "passed");
            self.failed += count(counts, "failed");
            self.unfinished = self.unfinished.saturating_sub(1);
        } else if let Some((name, verdict)) = verdict(line) {
            match verdict {
                "ok" => self.names.push(name.to_owned()),
                "FAILED" => self.failures.push(name.to_owned()),
                _ => self.see_ignored(name, verdict),
            }
        }
    }

    fn see_ignored(&mut self, name: &str, verdict: &str) {
        if let Some(rest) = verdict.strip_prefix("ignored") {
            let reason = rest
                .strip_prefix(", ")
                .unwrap_or("marked #[ignore] without a reason");
            self.ignored.push((name.to_owned(), reason.to_owned()));
        }
    }
}

/// `test NAME ... VERDICT`
pub(super) fn verdict(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("test ")?.split_once(" ... ")
}

/// The number before a word: `3` for `passed` in `ok. 3 passed; 0 failed`.
fn count(counts: &str, word: &str) -> usize {
    let words: Vec<&str> = counts.split_whitespace().collect();
    let pair = words
        .windows(2)
        .find(|pair| pair[1].trim_end_matches(';') == word);
    pair.and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lines: &str) -> Tally {
        let mut tally = Tally::default();
        lines.lines().for_each(|line| tally.see(line));
        tally
    }

    #[test]
    fn a_run_is_counted_by_its_result_line() {
        let tally = tally(
            "running 4 tests\n\
             test a ... ok\n\
             test b::c ... FAILED\n\
             test d ... ignored, needs a modem\n\
             test e - should panic ... ok\n\
             \n\
             failures:\n    b::c\n\
             test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
        );
        assert_eq!(
            tally,
            Tally {
                passed: 2,
                failed: 1,
                ignored: vec![("d".into(), "needs a modem".into())],
                failures: vec!["b::c".into()],
                names: vec!["a".into(), "e - should panic".into()],
                unfinished: 0,
            }
        );
    }

    #[test]
    fn several_runs_add_up() {
        let one = "running 1 test\ntest src/lib.rs - f (line 3) ... ok\n\
                   test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(tally(&one.repeat(3)).passed, 3);
    }

    #[test]
    fn a_run_that_died_stays_unfinished() {
        assert_eq!(tally("running 2 tests\ntest a ... ok\n").unfinished, 1);
    }

    #[test]
    fn what_a_test_prints_is_not_counted() {
        assert_eq!(
            tally("test results are fine\nrunning late\n5 passed\n"),
            Tally::default()
        );
    }

    #[test]
    fn an_ignored_test_without_a_reason_is_told_so() {
        assert_eq!(
            tally("test a ... ignored\n").ignored,
            [(
                "a".to_owned(),
                "marked #[ignore] without a reason".to_owned()
            )]
        );
    }
}
