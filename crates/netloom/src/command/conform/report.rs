//! How the outcomes are told: as they come for people and for TAP, or as one JSON document.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write as _};
use std::time::Instant;

use netloom_conform::{Class, Level, Outcome, Report as Found, Verdict, tap};
use netloom_spec::terminal;
use serde_json::{Value, json};

use super::expected::Expected;

pub(super) struct Report {
    is_json: bool,
    is_tap: bool,
    colour: bool,
    level: Level,
    expected: Expected,
    started: Instant,
    plugin: String,
    number: usize,
    done: Vec<(String, Found)>,
}

impl Report {
    pub(super) fn new(is_json: bool, is_tap: bool, level: Level, expected: Expected) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if is_tap {
            println!("TAP version 14");
        }
        Self {
            is_json,
            is_tap,
            colour: std::io::stdout().is_terminal() && !no_color,
            level,
            expected,
            started: Instant::now(),
            plugin: String::new(),
            number: 0,
            done: Vec::new(),
        }
    }

    pub(super) fn begin(&mut self, plugin: &str) {
        self.started = Instant::now();
        self.plugin = plugin.to_owned();
    }

    pub(super) fn case(&mut self, outcome: &Outcome) {
        self.number += 1;
        let known = self.expected.why(&self.plugin, outcome.id);
        if self.is_tap {
            let line = tap::line(self.number, &self.plugin, outcome, known);
            print!("{}", terminal::lines(&line));
        } else if !self.is_json && outcome.is_failed() {
            let words = match known {
                Some(why) => format!("~ {outcome}  known: {why}\n"),
                None => format!("✘ {outcome}"),
            };
            let words = terminal::lines(&words);
            println!(
                "{}",
                self.paint(if known.is_some() { "33" } else { "31" }, &words)
            );
        }
        // The reader follows along.
        let _ = std::io::stdout().flush();
    }

    pub(super) fn end(&mut self, found: Found) {
        if !self.is_json && !self.is_tap {
            self.summary(&found);
        }
        self.done.push((self.plugin.clone(), found));
    }

    fn summary(&self, found: &Found) {
        let counts = Counts::of(found);
        let seconds = self.started.elapsed().as_secs_f64();
        let plugin = terminal::one_line(&self.plugin);
        let class = found.class.word();
        let (mark, code) = match self.counting(&self.plugin, found) {
            0 => ("✔", "32"),
            _ => ("✘", "31"),
        };
        println!(
            "{} {plugin} ({class}): {} passed, {} failed, {} skipped, in {seconds:.1} s",
            self.paint(code, mark),
            counts.passed,
            counts.failed,
            counts.skipped
        );
        for (why, count) in &counts.reasons {
            let why = terminal::one_line(why);
            println!(
                "    {} {}",
                self.paint("2", &format!("skipped {count}:")),
                self.paint("2", &why)
            );
        }
        for outcome in found.outcomes.iter().filter(|it| !it.is_failed()) {
            if self.expected.why(&self.plugin, outcome.id).is_some()
                && outcome.verdict == Verdict::Passed
            {
                println!(
                    "    {} passes, which was not expected: take it from the file",
                    outcome.id
                );
            }
        }
    }

    /// How many failures count for the exit status.
    fn counting(&self, plugin: &str, found: &Found) -> usize {
        let is_new = |it: &&Outcome| self.expected.why(plugin, it.id).is_none();
        found.failed(self.level).filter(is_new).count()
    }

    pub(super) fn done(&self) -> &[(String, Found)] {
        &self.done
    }

    /// Ends the document. `Some`: what failed, in one line.
    pub(super) fn finish(self) -> Option<String> {
        if self.is_tap {
            println!("1..{}", self.number);
        }
        let failed: usize = self
            .done
            .iter()
            .map(|(name, it)| self.counting(name, it))
            .sum();
        if self.is_json {
            let plugins: Vec<Value> = self
                .done
                .iter()
                .map(|(name, it)| self.document(name, it))
                .collect();
            print_json!(
                json!({ "plugins": plugins, "level": self.level.word(), "ok": failed == 0 })
            );
        } else if !self.is_tap && self.done.len() > 1 {
            self.table();
        }
        let level = match self.level {
            Level::Must => "must",
            Level::Should => "must or should",
            Level::Extra => "must, should or extra",
        };
        match failed {
            0 => None,
            1 => Some(format!("1 case failed whose level is {level}")),
            count => Some(format!("{count} cases failed whose level is {level}")),
        }
    }

    fn document(&self, name: &str, found: &Found) -> Value {
        let counts = Counts::of(found);
        let cases = found.outcomes.iter().map(|outcome| {
            let mut object = outcome.to_json();
            if let Some(why) = self.expected.why(name, outcome.id) {
                object["expected"] = json!(why);
            }
            object
        });
        json!({
            "plugin": name,
            "file": found.plugin.display().to_string(),
            "class": found.class.word(),
            "passed": counts.passed,
            "failed": counts.failed,
            "skipped": counts.skipped,
            "cases": cases.collect::<Vec<_>>(),
        })
    }

    fn table(&self) {
        println!();
        println!(
            "{:14} {:10} {:>6} {:>6} {:>7}   failed cases",
            "plugin", "class", "passed", "failed", "skipped"
        );
        for (name, found) in &self.done {
            let counts = Counts::of(found);
            let failed: Vec<&str> = found.failed(Level::Extra).map(|it| it.id).collect();
            let name = terminal::one_line(name);
            println!(
                "{name:14} {:10} {:>6} {:>6} {:>7}   {}",
                class(found.class),
                counts.passed,
                counts.failed,
                counts.skipped,
                failed.join(" ")
            );
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        match self.colour {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

fn class(class: Class) -> &'static str {
    class.word()
}

/// How many outcomes there are of each kind, and why cases were skipped.
struct Counts<'f> {
    passed: usize,
    failed: usize,
    skipped: usize,
    reasons: BTreeMap<&'f str, usize>,
}

impl<'f> Counts<'f> {
    fn of(found: &'f Found) -> Self {
        let mut counts = Self {
            passed: 0,
            failed: 0,
            skipped: 0,
            reasons: BTreeMap::new(),
        };
        for outcome in &found.outcomes {
            match &outcome.verdict {
                Verdict::Passed => counts.passed += 1,
                Verdict::Failed(_) => counts.failed += 1,
                Verdict::Skipped(why) => {
                    counts.skipped += 1;
                    *counts.reasons.entry(why).or_default() += 1;
                }
            }
        }
        counts
    }
}
