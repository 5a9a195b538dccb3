//! Failures that are known.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// Why a plugin fails a case, by plugin and case.
#[derive(Default)]
pub(super) struct Expected(BTreeMap<(String, String), String>);

impl Expected {
    /// Lines of `PLUGIN ID WORDS`; `#` begins a comment.
    pub(super) fn read(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let mut known = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let mut words = line.splitn(3, char::is_whitespace);
            let (Some(plugin), Some(id)) = (words.next(), words.next()) else {
                bail!("line {number}, {line:?}: expected PLUGIN ID WORDS");
            };
            let is_case = netloom_conform::all().any(|case| case.id == id);
            ensure!(is_case, "line {number}: there is no case {id:?}");
            let why = words.next().unwrap_or("known").trim().to_owned();
            known.insert((plugin.to_owned(), id.to_owned()), why);
        }
        Ok(Self(known))
    }

    pub(super) fn why(&self, plugin: &str, id: &str) -> Option<&str> {
        let key = (plugin.to_owned(), id.to_owned());
        self.0.get(&key).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_name_a_plugin_and_a_case() {
        let known = Expected::parse("# all\n\nbridge CF-001 it says why\nptp CF-302\n").unwrap();
        assert_eq!(known.why("bridge", "CF-001"), Some("it says why"));
        assert_eq!(known.why("ptp", "CF-302"), Some("known"));
        assert_eq!(known.why("ptp", "CF-001"), None);
        for bad in ["bridge", "bridge CF-999 x", "CF-001 bridge"] {
            assert!(Expected::parse(bad).is_err(), "{bad}");
        }
    }
}
