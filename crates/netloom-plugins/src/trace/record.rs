//! One call, written down as one line.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::relay::Said;

/// Keys whose values are secrets, as parts of words.
const SECRET: [&str; 6] = [
    "password",
    "passwd",
    "token",
    "secret",
    "credential",
    "apikey",
];

/// The variables that a call is made of.
const VARIABLES: [&str; 10] = [
    "CNI_COMMAND",
    "CNI_CONTAINERID",
    "CNI_NETNS",
    "CNI_IFNAME",
    "CNI_ARGS",
    "CNI_PATH",
    "CNI_NETNS_OVERRIDE",
    "TRACEPARENT",
    "TRACESTATE",
    "BAGGAGE",
];

/// One call as it is written down.
pub(super) struct Record(Value);

impl Record {
    pub(super) fn new(
        plugin: &Path,
        time: SystemTime,
        duration: Duration,
        said: &Said,
        raw: bool,
    ) -> Self {
        let name = plugin.file_name().unwrap_or_default().to_string_lossy();
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let text = |bytes: &[u8]| match raw {
            true => String::from_utf8_lossy(bytes).into_owned(),
            false => without_secrets(bytes),
        };
        let mut env = Map::new();
        for name in VARIABLES {
            if let Some(value) = std::env::var_os(name) {
                env.insert(name.to_owned(), value.to_string_lossy().into());
            }
        }
        let parent = rustix::process::getppid().map(|it| it.as_raw_nonzero().get());
        Self(json!({
            "time": micros(since),
            "micros": micros(duration),
            "plugin": name,
            "path": plugin.to_string_lossy(),
            "process": said.process,
            // Where a plugin called it, that one's `process`.
            "caller": parent,
            "env": env,
            "stdin": text(&said.stdin),
            "stdout": text(&said.stdout),
            "stderr": String::from_utf8_lossy(&said.stderr),
            "exit": said.signal().is_none().then(|| said.code()),
            "signal": said.signal(),
        }))
    }

    /// Appends it to the log by one write, so that calls at the same time do not mix.
    pub(super) fn append(&self, log: &Path, limit: u64) -> io::Result<()> {
        let mut line = serde_json::to_vec(&self.0)?;
        line.push(b'\n');
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(0o600);
        let mut file = options.open(log)?;
        let there = file.metadata()?;
        if there.is_file() && there.len() >= limit {
            turn_over(log, there.ino());
            file = options.open(log)?;
        }
        let written = file.write(&line)?;
        match written == line.len() {
            true => Ok(()),
            false => Err(io::ErrorKind::StorageFull.into()),
        }
    }
}

/// Puts a full log aside, unless another call has done so.
fn turn_over(log: &Path, inode: u64) {
    let is_full = std::fs::metadata(log).is_ok_and(|it| it.ino() == inode);
    if is_full {
        let mut aside = log.as_os_str().to_owned();
        aside.push(".1");
        let _ = std::fs::rename(log, PathBuf::from(aside));
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The text as it came where no key speaks of a secret.
fn without_secrets(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lower = text.to_lowercase();
    if !SECRET.iter().any(|word| lower.contains(word)) {
        return text.into_owned();
    }
    match serde_json::from_slice::<Value>(bytes) {
        Ok(mut document) => {
            redact(&mut document);
            document.to_string()
        }
        Err(_) => "(not JSON, and speaks of a secret: left out)".to_owned(),
    }
}

fn redact(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let key = key.to_lowercase();
                match SECRET.iter().any(|word| key.contains(word)) {
                    true => *value = "(redacted)".into(),
                    false => redact(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(redact),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out_at_any_depth_and_all_else_stays_to_the_byte() {
        let plain = br#"{ "a" : 1.0 }"#;
        assert_eq!(without_secrets(plain).as_bytes(), plain);
        let secret = br#"{"x":[{"apiToken":"hush","b":2}],"Password":{"c":3}}"#;
        let text = without_secrets(secret);
        assert!(!text.contains("hush") && !text.contains('3'), "{text}");
        assert!(text.contains(r#""b":2"#), "{text}");
        assert!(!without_secrets(b"my password is hush").contains("hush"));
    }
}
