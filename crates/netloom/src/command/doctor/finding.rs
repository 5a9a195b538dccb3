//! What doctor finds, how grave it is, and how it is told.

use std::fmt;
use std::io::{self, Write as _};

use anyhow::Result;
use netloom_plugin::host;
use netloom_spec::terminal;
use serde_json::{Value, json};

use super::quoted;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// Nothing is wrong; it may be of interest.
    Note,
    /// Something is left behind, or will be in the way.
    Warning,
    /// Something does not work.
    Error,
}

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// The exit status where nothing graver is found.
    pub(super) fn status(self) -> u8 {
        match self {
            Self::Note => 0,
            Self::Warning => 1,
            Self::Error => 2,
        }
    }
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// What kind of object it is about.
    pub(super) kind: &'static str,
    /// The network it belongs to; empty if it is of none, or of several.
    pub(super) network: String,
    pub(super) what: String,
    pub(super) mend: Mend,
}

/// What mends a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mend {
    /// A GC of this network, which keeps everybody who lives.
    Gc(String),
    /// A sysctl, to be set to this value.
    Sysctl { key: String, value: String },
    /// A command, or in words what to do.
    Say(String),
}

impl From<String> for Mend {
    fn from(words: String) -> Self {
        Self::Say(words)
    }
}

impl From<&str> for Mend {
    fn from(words: &str) -> Self {
        Self::Say(words.to_owned())
    }
}

impl From<host::Mend> for Mend {
    fn from(mend: host::Mend) -> Self {
        match mend {
            host::Mend::Sysctl { key, value } => Self::Sysctl { key, value },
            host::Mend::Say(words) => Self::Say(words),
        }
    }
}

impl fmt::Display for Mend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gc(network) => write!(f, "netloom gc {} --yes", quoted(network)),
            Self::Sysctl { key, value } => write!(f, "sysctl -w {key}={value}"),
            Self::Say(words) => f.write_str(words),
        }
    }
}

/// The kind of a bridge that no pod uses, which is kept for the next one.
pub(super) const IDLE_BRIDGE: &str = "bridge";

impl Finding {
    /// Follows from the kind.
    pub(super) fn severity(&self) -> Severity {
        match self.kind {
            // Only some pods want it.
            IDLE_BRIDGE | "kernel" => Severity::Note,
            "missing link" | "plugin" | "status" | "configuration" | "sysctl" | "unreadable" => {
                Severity::Error
            }
            _ => Severity::Warning,
        }
    }

    fn line(&self) -> String {
        let network = match self.network.as_str() {
            "" => String::new(),
            name => format!("{}: ", terminal::one_line(name)),
        };
        let what = terminal::one_line(&self.what);
        format!("{}: {network}{}: {what}", self.severity().word(), self.kind)
    }

    pub(super) fn object(&self) -> Value {
        json!({
            "severity": self.severity().word(), "kind": self.kind, "network": self.network,
            "what": self.what, "mend": self.mend.to_string(),
        })
    }
}

/// For people, the gravest first.
pub(super) fn print(findings: &[Finding]) -> Result<()> {
    let mut sorted: Vec<_> = findings.iter().collect();
    sorted.sort_by_key(|it| std::cmp::Reverse(it.severity()));
    let mut stdout = io::stdout();
    for it in sorted {
        writeln!(
            stdout,
            "{}\n    {}",
            it.line(),
            terminal::one_line(&it.mend.to_string())
        )?;
    }
    Ok(())
}

/// The gravest of them.
pub(super) fn gravest(findings: &[Finding]) -> Severity {
    let severities = findings.iter().map(Finding::severity);
    severities.max().unwrap_or(Severity::Note)
}
