//! The steps of a run: each is this very program, called by another verb.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Context, Result};
use netloom_kernel::signal_fd::SignalFd;
use serde_json::Value;

use super::project::{Home, Project};
use super::task::{self, Output};

/// What a step came to.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) is_good: bool,
    pub(super) words: String,
    /// Lines below it.
    pub(super) details: Vec<String>,
}

/// What is compared with the next run's.
#[derive(Default)]
pub(super) struct Trial {
    /// Each call with its time in milliseconds, and whether it failed.
    pub(super) calls: Vec<(String, f64, bool)>,
    pub(super) left: Vec<String>,
}

fn own(verb: &str) -> Result<Command> {
    let program = std::env::current_exe().context("find this program")?;
    let mut command = Command::new(program);
    command.arg(verb).env("NO_COLOR", "1");
    Ok(command)
}

fn lines(text: &str) -> Vec<String> {
    text.trim_end().lines().map(str::to_owned).collect()
}

/// `None`: there is nothing to build.
pub(super) fn build(project: &Project, home: &Home, signals: &SignalFd) -> Result<Option<Step>> {
    let Some(command) = project.build() else {
        return Ok(None);
    };
    let output = task::run(command, &home.path, signals)?;
    Ok(Some(match output.is_success() {
        true => Step {
            name: "build",
            is_good: true,
            words: String::new(),
            details: Vec::new(),
        },
        false => Step {
            name: "build",
            is_good: false,
            words: "failed; what was built before stays".to_owned(),
            details: [lines(&output.stdout), lines(&output.stderr)].concat(),
        },
    }))
}

pub(super) fn lint(project: &Project, home: &Home, signals: &SignalFd) -> Result<Step> {
    let mut command = own("lint")?;
    command.arg(project.dir.join("conf"));
    let output = task::run(command, &home.path, signals)?;
    let summary = output.stderr.lines().last().unwrap_or_default().to_owned();
    Ok(Step {
        name: "lint",
        is_good: output.is_success(),
        words: summary,
        details: lines(&output.stdout),
    })
}

/// The trial, as `netloom try` tells it to programs.
pub(super) fn trial(
    home: &Home,
    options: &[OsString],
    signals: &SignalFd,
) -> Result<(Step, Trial)> {
    let mut command = own("try")?;
    command.arg(&home.path).arg("--json").args(options);
    let output = task::run(command, &home.path, signals)?;
    let document: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
    let Some(steps) = document["steps"].as_array() else {
        return Ok((refused(&output), Trial::default()));
    };
    let mut trial = Trial::default();
    let mut details = Vec::new();
    for step in steps {
        let text = |key: &str| step[key].as_str().unwrap_or_default();
        let title = text("step")
            .split_once(". ")
            .map_or(text("step"), |(_, it)| it)
            .to_owned();
        let failed = step["error"].as_str();
        details.extend(failed.map(|error| format!("{title}: {error}")));
        let texts = |key: &str| {
            step[key]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
        };
        details.extend(texts("warnings").map(|it| format!("{title}: ! {it}")));
        for call in step["calls"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|_| failed.is_some())
        {
            let plugin = call["plugin"].as_str().unwrap_or_default();
            let said = call["stderr"].as_str().unwrap_or_default();
            details.extend(said.lines().map(|line| format!("{plugin} │ {line}")));
        }
        let time = step["milliseconds"].as_f64().unwrap_or_default();
        trial.calls.push((title, time, failed.is_some()));
    }
    for left in document["left"].as_array().into_iter().flatten() {
        let text = |key: &str| left[key].as_str().unwrap_or_default();
        details.push(format!("left: {}, since {}", text("what"), text("step")));
        trial.left.push(text("what").to_owned());
    }
    let times = trial
        .calls
        .iter()
        .map(|(title, time, _)| format!("{title} {time:.0} ms"));
    let step = Step {
        name: "try",
        is_good: document["ok"].as_bool() == Some(true) && output.is_success(),
        words: times.collect::<Vec<_>>().join(", "),
        details,
    };
    Ok((step, trial))
}

fn refused(output: &Output) -> Step {
    Step {
        name: "try",
        is_good: false,
        words: "could not be done".to_owned(),
        details: lines(&output.stderr),
    }
}

/// The cases of this plugin, or only those; with the ids of what failed.
pub(super) fn conform(
    home: &Home,
    plugin: &str,
    only: &[String],
    signals: &SignalFd,
) -> Result<(Step, Vec<String>)> {
    let mut command = own("conform")?;
    command
        .arg(home.path.join(plugin))
        .args(["--json", "--level", "extra"]);
    for id in only {
        command.args(["--only", id]);
    }
    let output = task::run(command, &home.path, signals)?;
    let document: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
    let found = &document["plugins"][0];
    let Some(cases) = found["cases"].as_array() else {
        let step = Step {
            name: "conform",
            ..refused(&output)
        };
        return Ok((step, only.to_vec()));
    };
    let mut details = Vec::new();
    let mut failed = Vec::new();
    for case in cases.iter().filter(|it| it["verdict"] == "failed") {
        let text = |key: &str| case[key].as_str().unwrap_or_default();
        details.push(format!(
            "{} ({}) {}",
            text("id"),
            text("level"),
            text("title")
        ));
        details.push(format!("  {}", text("words")));
        failed.push(text("id").to_owned());
    }
    let step = Step {
        name: "conform",
        is_good: failed.is_empty(),
        words: format!(
            "{}: {} passed, {} failed, {} skipped",
            plugin, found["passed"], found["failed"], found["skipped"]
        ),
        details,
    };
    Ok((step, failed))
}

/// The trial as people read it.
pub(super) fn whole_trial(home: &Home, options: &[OsString], signals: &SignalFd) -> Result<String> {
    let mut command = own("try")?;
    command.arg(&home.path).args(options);
    let output = task::run(command, &home.path, signals)?;
    Ok(output.stdout + &output.stderr)
}
