//! How long each test took, told from when the lines of its program came.

use std::time::{Duration, Instant};

use super::libtest;

/// When the tests of one program ended.
pub(super) struct Times {
    begin: Instant,
    ends: Vec<(String, Duration)>,
}

/// A test and how long it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Took {
    pub(crate) program: String,
    pub(crate) test: String,
    pub(crate) time: Duration,
}

impl Times {
    pub(super) fn from_now() -> Self {
        Self {
            begin: Instant::now(),
            ends: Vec::new(),
        }
    }

    /// Takes one line of output.
    pub(super) fn see(&mut self, line: &str) {
        if let Some((name, "ok" | "FAILED")) = libtest::verdict(line) {
            self.ends.push((name.to_owned(), self.begin.elapsed()));
        }
    }

    /// The time of each test of a program that ran so many of them at once.
    pub(super) fn of_tests(&self, program: &str, threads: usize) -> Vec<Took> {
        let took = |(test, time)| Took {
            program: program.to_owned(),
            test,
            time,
        };
        durations(&self.ends, threads)
            .into_iter()
            .map(took)
            .collect()
    }
}

/// libtest starts its tests in the order of their names, each as soon as one ends. (It tells the
/// times itself only on an unstable compiler.)
fn durations(ends: &[(String, Duration)], threads: usize) -> Vec<(String, Duration)> {
    let mut order: Vec<&str> = ends.iter().map(|(name, _)| name.as_str()).collect();
    order.sort_unstable();
    let mut begins = vec![Duration::ZERO; threads.max(1)];
    begins.extend(ends.iter().map(|(_, end)| *end));
    let begin = |name: &str| {
        let place = order.binary_search(&name).unwrap_or_default();
        begins[place]
    };
    ends.iter()
        .map(|(name, end)| (name.clone(), end.saturating_sub(begin(name))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_begins_when_one_before_it_ends() {
        let ends = [("b", 2), ("a", 5), ("c", 9), ("d", 10)]
            .map(|(name, second)| (name.to_owned(), Duration::from_secs(second)));
        let told: Vec<_> = durations(&ends, 2)
            .into_iter()
            .map(|(name, time)| (name, time.as_secs()))
            .collect();
        let expected = [("b", 2), ("a", 5), ("c", 7), ("d", 5)];
        assert_eq!(told, expected.map(|(name, time)| (name.to_owned(), time)));
    }
}
