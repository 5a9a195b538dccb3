//! The kit: the cases, run against one plugin.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Instant;

use netloom_spec::Version;
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::case::Case;
use crate::class::Class;
use crate::isolated::{self, Pending};
use crate::report::{Exchange, Failed, Outcome, Report, Verdict};
use crate::stop::Stop;
use crate::subject::Subject;
use crate::{cases, guess, shell};

/// The cases for one plugin. What the plugin needs is told first; then [`Kit::run`].
#[derive(Clone, Debug)]
pub struct Kit {
    pub(crate) plugin: PathBuf,
    pub(crate) conf: Option<Value>,
    pub(crate) class: Option<Class>,
    pub(crate) path: Vec<PathBuf>,
    files: Vec<(String, String)>,
    setup: Option<String>,
    is_single: bool,
    lacks: Option<String>,
    only: Vec<String>,
}

impl Kit {
    /// A kit for the executable at this path.
    #[must_use]
    pub fn new(plugin: impl AsRef<Path>) -> Self {
        Self {
            plugin: plugin.as_ref().to_owned(),
            conf: None,
            class: None,
            path: Vec::new(),
            files: Vec::new(),
            setup: None,
            is_single: false,
            lacks: None,
            only: Vec::new(),
        }
    }

    /// The plugin's object in a configuration. Without it there is an object with nothing but the `type`,
    /// and an `ipam` where the plugin asks for one. An IPAM plugin that is not found in [`Kit::path`] is
    /// replaced by one of the kit.
    #[must_use]
    pub fn conf(mut self, conf: Value) -> Self {
        self.conf = Some(conf);
        self
    }

    /// What the plugin does. Without it, that is guessed from what it answers.
    #[must_use]
    pub fn class(mut self, class: Class) -> Self {
        self.class = Some(class);
        self
    }

    /// A further directory of delegates, for `CNI_PATH`. The plugin's own directory is not in it.
    #[must_use]
    pub fn path(mut self, directory: impl Into<PathBuf>) -> Self {
        self.path.push(directory.into());
        self
    }

    /// A file with this text on each host, such as the plugin's state below `/run`.
    #[must_use]
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }

    /// A line for `/bin/sh` that is run on each host before the case.
    #[must_use]
    pub fn setup(mut self, line: &str) -> Self {
        self.setup = Some(line.to_owned());
        self
    }

    /// There can be one attachment at a time, as where a device of the host is lent: cases with more are
    /// skipped.
    #[must_use]
    pub fn single(mut self) -> Self {
        self.is_single = true;
        self
    }

    /// ADD cannot work on this machine, for this reason: cases that need it are skipped.
    #[must_use]
    pub fn lacks(mut self, why: &str) -> Self {
        self.lacks = Some(why.to_owned());
        self
    }

    /// Only the case of this id; may be said again for more.
    #[must_use]
    pub fn only(mut self, id: &str) -> Self {
        self.only.push(id.to_owned());
        self
    }

    /// Runs the cases.
    ///
    /// # Errors
    /// Where no throw-away host can be made, the plugin cannot be executed, what it does cannot be
    /// guessed, or there is no case of that id.
    pub fn run(&self) -> Result<Report, Failed> {
        self.run_with(&mut |_| {})
    }

    /// The same; `each` hears of every case as it ends.
    ///
    /// # Errors
    /// As [`Kit::run`].
    pub fn run_with(&self, each: &mut dyn FnMut(&Outcome)) -> Result<Report, Failed> {
        let known = |id: &String| cases::all().any(|it| it.id == id);
        if let Some(id) = self.only.iter().find(|id| !known(id)) {
            return Err(Failed(format!(
                "there is no case {id:?}: expected an id such as CF-001"
            )));
        }
        let mut subject = self.subject()?;
        subject.broken = guess::broken(&subject).map_err(Failed)?;
        let is_wanted = |case: &&Case| {
            case.is_for(subject.class)
                && (self.only.is_empty() || self.only.iter().any(|id| id == case.id))
        };
        let mut waiting = cases::all().filter(is_wanted);
        let mut running = VecDeque::new();
        let mut outcomes = Vec::new();
        loop {
            while running.len() < AT_ONCE
                && let Some(case) = waiting.next()
            {
                let work = isolated::start(|| inside(case, &subject)).map_err(Failed)?;
                running.push_back((case, work, Instant::now()));
            }
            let Some((case, work, started)) = running.pop_front() else {
                break;
            };
            let outcome = finish(case, work, started)?;
            each(&outcome);
            outcomes.push(outcome);
        }
        Ok(Report {
            plugin: self.plugin.clone(),
            class: subject.class,
            outcomes,
        })
    }

    /// The plugin with all that is told, or guessed, about it.
    fn subject(&self) -> Result<Subject, Failed> {
        use std::os::unix::fs::PermissionsExt;
        let refused = |words: String| Failed(format!("{}: {words}", self.plugin.display()));
        let plugin = std::path::absolute(&self.plugin).map_err(|it| refused(it.to_string()))?;
        let metadata = std::fs::metadata(&plugin).map_err(|it| refused(it.to_string()))?;
        if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
            return Err(refused("expected an executable file".to_owned()));
        }
        let conf = self.conf.clone().unwrap_or_else(|| {
            let name = plugin.file_name().unwrap_or_default().to_string_lossy();
            json!({ "type": name })
        });
        if !conf.is_object() {
            return Err(refused("the configuration is not an object".to_owned()));
        }
        let subject = Subject {
            plugin,
            conf,
            class: self.class.unwrap_or(Class::Interface),
            path: self.path.clone(),
            files: self.files.clone(),
            setup: self.setup.clone(),
            is_single: self.is_single,
            lacks: self.lacks.clone(),
            broken: None,
            versions: vec![Version::V1_0_0],
        };
        guess::complete(subject, self.class, self.conf.is_some()).map_err(refused)
    }
}

/// How many cases run at the same time: most of their time they wait for the kernel.
const AT_ONCE: usize = 4;

/// Waits for the end of a case.
fn finish(case: &Case, work: Pending, started: Instant) -> Result<Outcome, Failed> {
    let document = work.finish();
    let document = document.unwrap_or_else(|words| json!({"verdict": "broken", "words": words}));
    let words = document["words"].as_str().unwrap_or_default().to_owned();
    let verdict = match document["verdict"].as_str() {
        Some("passed") => Verdict::Passed,
        Some("failed") => Verdict::Failed(words),
        Some("skipped") => Verdict::Skipped(words),
        _ => return Err(Failed(format!("{}: {words}", case.id))),
    };
    let calls = document["calls"].as_array().into_iter().flatten();
    Ok(Outcome {
        id: case.id,
        level: case.level,
        section: case.section,
        title: case.title,
        verdict,
        exchanges: calls.map(Exchange::from_json).collect(),
        reproducer: document["reproducer"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        time: started.elapsed(),
    })
}

fn inside(case: &Case, subject: &Subject) -> Value {
    let mut bench = match Bench::new(subject) {
        Ok(bench) => bench,
        Err(stop) => return document(&stop),
    };
    let done = (case.check)(&mut bench, case.given);
    bench.end();
    let mut document = match &done {
        Ok(()) => json!({"verdict": "passed"}),
        Err(stop) => document(stop),
    };
    if let Err(Stop::Wrong(_)) = done {
        document["calls"] = bench.calls.iter().map(Exchange::to_json).collect();
        document["reproducer"] = json!(shell::in_throw_away_host(&bench.steps));
    }
    document
}

fn document(stop: &Stop) -> Value {
    let (verdict, words) = match stop {
        Stop::Wrong(words) => ("failed", words),
        Stop::Skip(words) => ("skipped", words),
        Stop::Broken(words) => ("broken", words),
    };
    json!({"verdict": verdict, "words": words})
}
