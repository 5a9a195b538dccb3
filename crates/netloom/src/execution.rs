//! How plugins are executed: each in bounds of time, and with the signals that were meant for it.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use netloom_invoke::{Error, Exec, ProcessExec, Stderr, Watch};
use netloom_kernel::signals;
use netloom_plugin::{Plugin, of_conf};
use netloom_plugins::registry::PLUGINS;
use netloom_spec::PluginConf;

/// More than any plugin of netloom's waits for anything but a DHCP server.
const USUAL: Duration = Duration::from_secs(120);

/// Plugins as processes, that are killed when they take too long.
pub(crate) struct Bounded {
    /// What the user gave, of which zero is none.
    limit: Option<Duration>,
    /// Where the plugins' stderr goes.
    stderr: Stderr,
}

impl Bounded {
    /// With the limit that the user gave, of which zero is none.
    pub(crate) fn by(limit: Option<Duration>) -> Self {
        Self {
            limit,
            stderr: Stderr::default(),
        }
    }

    /// How long a call may take. An ADD may have to wait for others.
    fn limit_of(&self, is_add: bool, stdin: &[u8]) -> Duration {
        let of_plugins = || {
            let conf = PluginConf::parse(stdin).ok().filter(|_| is_add)?;
            of_conf(PLUGINS, &conf).filter_map(Plugin::add_limit).max()
        };
        self.limit
            .unwrap_or_else(|| of_plugins().map_or(USUAL, |limit| limit.max(USUAL)))
    }
}

impl Bounded {
    /// The same, with the plugins' stderr elsewhere.
    pub(crate) fn with_stderr(mut self, stderr: &Stderr) -> Self {
        self.stderr = stderr.clone();
        self
    }
}

impl Exec for Bounded {
    fn exec_plugin(
        &self,
        plugin: &Path,
        stdin: &[u8],
        env: &[(OsString, OsString)],
    ) -> Result<Vec<u8>, Error> {
        let is_add = env
            .iter()
            .any(|(name, value)| name == "CNI_COMMAND" && value == "ADD");
        let limit = self.limit_of(is_add, stdin);
        let exec = ProcessExec {
            time_limit: Some(limit).filter(|limit| !limit.is_zero()),
            watch: Some(Arc::new(Signals)),
            stderr: self.stderr.clone(),
        };
        exec.exec_plugin(plugin, stdin, env)
    }
}

/// Passes what would end the command on to the plugin that runs.
#[derive(Debug)]
struct Signals;

impl Watch for Signals {
    fn starting(&self) {
        signals::expect_child();
    }

    fn started(&self, group: u32) {
        signals::child_started(group);
    }

    /// What comes between two plugins is for the next one, or ends the command when there is none.
    fn ended(&self) {
        signals::expect_child();
    }
}

/// Reads `90`, `90s`, `2m`, `500ms` or `1h`.
pub(crate) fn parse_limit(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let milliseconds = match &text[digits.len()..] {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    let number = digits.parse().ok().filter(|_| milliseconds > 0);
    number
        .and_then(|number: u64| number.checked_mul(milliseconds))
        .map(Duration::from_millis)
        .ok_or_else(|| {
            "expected a number and a unit of ms, s, m or h, such as 90s; 0 is no limit".to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_with_their_units() {
        let millis = |text| parse_limit(text).map(|limit| limit.as_millis());
        for (text, expected) in [
            ("90", 90_000),
            ("90s", 90_000),
            ("2m", 120_000),
            ("5ms", 5),
            ("0", 0),
        ] {
            assert_eq!(millis(text), Ok(expected), "{text}");
        }
        for bad in ["", "s", "-1", "1d", "1.5s", "s1", "99999999999999999h"] {
            assert!(millis(bad).is_err(), "{bad}");
        }
    }
}
