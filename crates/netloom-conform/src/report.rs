//! What the cases found.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::class::{Class, Level};

/// One call of the plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// The call as a line of a shell.
    pub line: String,
    /// The variables of CNI that were set.
    pub env: Vec<(String, String)>,
    /// What was sent on stdin.
    pub stdin: String,
    /// How it ended: `exit status 1`.
    pub ending: String,
    /// What came on stdout.
    pub stdout: String,
    /// What came on stderr.
    pub stderr: String,
    /// How long it took.
    pub time: Duration,
}

/// What a case came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The plugin does what the case asks for.
    Passed,
    /// It does not: what was expected, and what came.
    Failed(String),
    /// The case could not be asked, for this reason.
    Skipped(String),
}

/// A case, and what came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The case's name: `CF-001`.
    pub id: &'static str,
    /// How binding the case is.
    pub level: Level,
    /// The section of the specification.
    pub section: &'static str,
    /// What the case asks for.
    pub title: &'static str,
    /// What it came to.
    pub verdict: Verdict,
    /// The calls of the plugin, in their order.
    pub exchanges: Vec<Exchange>,
    /// A line for a shell that does the same in a throw-away host.
    pub reproducer: String,
    /// How long it took.
    pub time: Duration,
}

impl Outcome {
    /// Whether the plugin does not do what the case asks for.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        matches!(self.verdict, Verdict::Failed(_))
    }

    /// As an object of JSON: `id`, `level`, `section`, `title`, `verdict`, `words`, and where it failed
    /// `calls` and `reproducer`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (verdict, words) = match &self.verdict {
            Verdict::Passed => ("passed", None),
            Verdict::Failed(words) => ("failed", Some(words)),
            Verdict::Skipped(words) => ("skipped", Some(words)),
        };
        let mut object = json!({
            "id": self.id,
            "level": self.level.word(),
            "section": self.section,
            "title": self.title,
            "verdict": verdict,
            "milliseconds": self.time.as_millis() as u64,
        });
        if let Some(words) = words {
            object["words"] = json!(words);
        }
        if self.is_failed() {
            object["calls"] = self.exchanges.iter().map(Exchange::to_json).collect();
            object["reproducer"] = json!(self.reproducer);
        }
        object
    }
}

impl Exchange {
    pub(crate) fn to_json(&self) -> Value {
        let env: serde_json::Map<String, Value> = self
            .env
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        json!({
            "line": self.line, "env": env, "stdin": self.stdin, "ending": self.ending,
            "stdout": self.stdout, "stderr": self.stderr, "microseconds": self.time.as_micros() as u64,
        })
    }

    pub(crate) fn from_json(object: &Value) -> Self {
        let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
        let env = object["env"].as_object().into_iter().flatten();
        Self {
            line: text("line"),
            env: env
                .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect(),
            stdin: text("stdin"),
            ending: text("ending"),
            stdout: text("stdout"),
            stderr: text("stderr"),
            time: Duration::from_micros(object["microseconds"].as_u64().unwrap_or_default()),
        }
    }
}

/// What all cases found about a plugin.
#[derive(Clone, Debug)]
pub struct Report {
    /// The plugin's file.
    pub plugin: PathBuf,
    /// What it does, as given or guessed.
    pub class: Class,
    /// The outcome of every case, in their order.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    /// The cases that failed, of this level or a more binding one.
    pub fn failed(&self, level: Level) -> impl Iterator<Item = &Outcome> {
        self.outcomes
            .iter()
            .filter(move |it| it.is_failed() && it.level <= level)
    }

    /// Whether nothing of this level or a more binding one failed.
    ///
    /// # Errors
    /// What failed, in words for people, with the calls and a line that does it again.
    pub fn passes(&self, level: Level) -> Result<(), Failed> {
        let failed: Vec<String> = self.failed(level).map(ToString::to_string).collect();
        match failed.is_empty() {
            true => Ok(()),
            false => Err(Failed(failed.join("\n"))),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} ({}) {} [{}]",
            self.id,
            self.level.word(),
            self.title,
            self.section
        )?;
        match &self.verdict {
            Verdict::Passed => return writeln!(f, "  passed"),
            Verdict::Skipped(words) => return writeln!(f, "  skipped: {words}"),
            Verdict::Failed(words) => writeln!(f, "  {words}")?,
        }
        if let Some(last) = self.exchanges.last() {
            writeln!(f, "  last call: {}", last.line)?;
            writeln!(f, "    {}", last.ending)?;
            for (name, text) in [("stdout", &last.stdout), ("stderr", &last.stderr)] {
                for line in text.lines() {
                    writeln!(f, "    {name}: {line}")?;
                }
            }
        }
        writeln!(f, "  again: {}", self.reproducer)
    }
}

/// Why a kit could not run, or what failed.
#[derive(Clone, PartialEq, Eq)]
pub struct Failed(pub(crate) String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A test that returns the error shows it so.
impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{}", self.0)
    }
}

impl std::error::Error for Failed {}
