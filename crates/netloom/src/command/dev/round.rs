//! Runs, each told in a line per step, with what is different from the one before.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::time::Instant;

use anyhow::Result;
use netloom_kernel::signal_fd::SignalFd;

use super::project::{Home, Project};
use super::step::{self, Step, Trial};
use super::task::Interrupted;

pub(super) struct Rounds<'d> {
    project: &'d Project,
    home: &'d Home,
    options: &'d [OsString],
    signals: &'d SignalFd,
    number: usize,
    /// The plugins that are installed.
    plugins: Vec<String>,
    /// The cases that failed last, by plugin.
    failed: BTreeMap<String, Vec<String>>,
    before: Option<Trial>,
    colour: bool,
}

impl<'d> Rounds<'d> {
    pub(super) fn new(
        project: &'d Project,
        home: &'d Home,
        options: &'d [OsString],
        signals: &'d SignalFd,
    ) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            project,
            home,
            options,
            signals,
            number: 0,
            plugins: Vec::new(),
            failed: BTreeMap::new(),
            before: None,
            colour: std::io::stdout().is_terminal() && !no_color,
        }
    }

    pub(super) fn run(&mut self, why: &str) -> Result<()> {
        self.number += 1;
        say!("\nrun {}: {why}", self.number);
        let started = Instant::now();
        let mut steps = Vec::new();
        let mut changes = Vec::new();
        // What is wrong is told; only a signal ends the loop.
        if let Err(error) = self.steps(&mut steps, &mut changes) {
            if error.is::<Interrupted>() {
                return Err(error);
            }
            steps.push(Step {
                name: "run",
                is_good: false,
                words: format!("{error:#}"),
                details: Vec::new(),
            });
        }
        self.tell(steps);
        for change in changes {
            say!("  since the last run: {change}");
        }
        say!("  {:.0} ms in all", started.elapsed().as_secs_f64() * 1e3);
        Ok(())
    }

    fn steps(&mut self, steps: &mut Vec<Step>, changes: &mut Vec<String>) -> Result<()> {
        if let Some(build) = step::build(self.project, self.home, self.signals)? {
            let is_good = build.is_good;
            steps.push(build);
            if !is_good {
                return Ok(());
            }
        }
        self.plugins = self.project.install(self.home)?;
        steps.push(step::lint(self.project, self.home, self.signals)?);
        let (step, trial) = step::trial(self.home, self.options, self.signals)?;
        steps.push(step);
        if let Some(before) = &self.before {
            *changes = differences(before, &trial);
        }
        self.before = Some(trial);
        for plugin in self.plugins.clone() {
            let only = self.failed.get(&plugin).cloned().unwrap_or_default();
            if !only.is_empty() {
                steps.push(self.conform(&plugin, &only)?);
            }
        }
        Ok(())
    }

    fn conform(&mut self, plugin: &str, only: &[String]) -> Result<Step> {
        let (step, failed) = step::conform(self.home, plugin, only, self.signals)?;
        self.failed.insert(plugin.to_owned(), failed);
        Ok(step)
    }

    pub(super) fn conform_all(&mut self) -> Result<()> {
        say!("\nconform, all cases");
        let mut steps = Vec::new();
        for plugin in self.plugins.clone() {
            steps.push(self.conform(&plugin, &[])?);
        }
        self.tell(steps);
        Ok(())
    }

    pub(super) fn whole_trial(&mut self) -> Result<()> {
        say!(
            "\nthe whole trial\n{}",
            step::whole_trial(self.home, self.options, self.signals)?
        );
        Ok(())
    }

    /// What is wrong comes first.
    fn tell(&self, mut steps: Vec<Step>) {
        steps.sort_by_key(|step| step.is_good);
        for step in steps {
            let (mark, code) = match step.is_good {
                true => ("✔", "32"),
                false => ("✘", "31"),
            };
            let mark = match self.colour {
                true => format!("\x1b[{code}m{mark}\x1b[0m"),
                false => mark.to_owned(),
            };
            // The words are others' and are made safe; the mark is ours.
            println!(
                "{mark} {:8} {}",
                step.name,
                netloom_spec::terminal::one_line(&step.words)
            );
            for line in &step.details {
                say!("    {line}");
            }
        }
    }
}

/// Longer or shorter than this is no chance.
const FACTOR: f64 = 1.5;
/// And by at least so many milliseconds.
const AMOUNT: f64 = 5.0;

fn differences(before: &Trial, now: &Trial) -> Vec<String> {
    let mut changes = Vec::new();
    for (title, time, failed) in &now.calls {
        let Some((_, former, had_failed)) = before.calls.iter().find(|it| it.0 == *title) else {
            continue;
        };
        match (had_failed, failed) {
            (false, true) => changes.push(format!("{title} fails now")),
            (true, false) => changes.push(format!("{title} works now")),
            _ => {}
        }
        let is_other = time / former > FACTOR || former / time > FACTOR;
        if is_other && (time - former).abs() > AMOUNT {
            changes.push(format!("{title} {former:.0} → {time:.0} ms"));
        }
    }
    // A name with a random part is another one each time; how many there are tells enough then.
    let is_new = |it: &&String| !before.left.contains(it);
    if now.left.len() != before.left.len() {
        changes.extend(
            now.left
                .iter()
                .filter(is_new)
                .map(|it| format!("new leak: {it}")),
        );
        let is_gone = |it: &&String| !now.left.contains(it);
        changes.extend(
            before
                .left
                .iter()
                .filter(is_gone)
                .map(|it| format!("left no more: {it}")),
        );
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(add: f64, failed: bool, left: &[&str]) -> Trial {
        Trial {
            calls: vec![("ADD pod1".to_owned(), add, failed)],
            left: left.iter().map(|it| (*it).to_owned()).collect(),
        }
    }

    #[test]
    fn what_is_different_is_told_and_chance_is_not() {
        let before = trial(12.0, false, &[]);
        assert_eq!(
            differences(&before, &trial(13.0, false, &[])),
            [] as [&str; 0]
        );
        assert_eq!(
            differences(&before, &trial(19.0, false, &[])),
            ["ADD pod1 12 → 19 ms"]
        );
        assert_eq!(
            differences(&before, &trial(12.0, true, &["x"])),
            ["ADD pod1 fails now", "new leak: x"]
        );
        let wrong = trial(12.0, true, &["x"]);
        assert_eq!(
            differences(&wrong, &before),
            ["ADD pod1 works now", "left no more: x"]
        );
    }
}
