//! The calls that were written down.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// One call of a plugin, as its wrapper wrote it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Call {
    /// When it began, in microseconds since 1970.
    pub(super) time: u64,
    /// How long it took, in microseconds.
    pub(super) micros: u64,
    pub(super) plugin: String,
    pub(super) path: String,
    /// The plugin's process.
    pub(super) process: u32,
    /// The process that called it.
    pub(super) caller: Option<u32>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) stdin: String,
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) exit: Option<u8>,
    pub(super) signal: Option<i32>,
}

impl Call {
    pub(super) fn variable(&self, name: &str) -> &str {
        self.env.get(name).map(String::as_str).unwrap_or_default()
    }

    pub(super) fn end(&self) -> u64 {
        self.time.saturating_add(self.micros)
    }

    pub(super) fn is_success(&self) -> bool {
        self.exit == Some(0)
    }

    /// How it ended.
    pub(super) fn ending(&self) -> String {
        match (self.exit, self.signal) {
            (Some(code), _) => format!("exit {code}"),
            (_, Some(signal)) => format!("signal {signal}"),
            _ => "unknown end".to_owned(),
        }
    }

    /// Whether it was made by a plugin's call, and not by a runtime.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.caller == Some(other.process) && other.time <= self.time && self.end() <= other.end()
    }
}

/// Reads a log. The second value counts the lines that are no calls.
pub(super) fn read(path: &Path) -> Result<(Vec<Call>, usize)> {
    let text = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let (mut calls, mut bad) = (Vec::new(), 0);
    for line in text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        match serde_json::from_slice(line) {
            Ok(call) => calls.push(call),
            Err(_) => bad += 1,
        }
    }
    Ok((calls, bad))
}
