//! What doctor finds, how grave it is, and how it is told.

use std::io::{self, Write as _};

use anyhow::Result;
use netloom_spec::terminal;
use serde_json::{Value, json};

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
    /// The command, or in words what to do.
    pub(super) mend: String,
}

impl Finding {
    /// Follows from the kind.
    pub(super) fn severity(&self) -> Severity {
        match self.kind {
            // It is kept for the next pod; only pods with a limit want the other.
            "bridge" | "kernel" => Severity::Note,
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
            "what": self.what, "mend": self.mend,
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
            terminal::one_line(&it.mend)
        )?;
    }
    Ok(())
}

/// The gravest of them.
pub(super) fn gravest(findings: &[Finding]) -> Severity {
    let severities = findings.iter().map(Finding::severity);
    severities.max().unwrap_or(Severity::Note)
}
