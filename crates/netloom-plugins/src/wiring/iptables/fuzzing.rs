//! The output of an `iptables-save`.

use super::{Saved, value_of, words, write_rule};

/// A rule that was read is read again as it is written for `iptables-restore`.
pub(crate) fn saved(content: &[u8]) {
    let Ok(text) = std::str::from_utf8(content) else {
        return;
    };
    let saved = Saved::parse(text, "nat");
    for rule in &saved.rules {
        assert!(saved.has(rule));
        let _ = value_of(rule, "-s");
        let mut line = String::new();
        write_rule(&mut line, "-A", rule);
        assert_eq!(words(line.trim_end_matches('\n')), *rule);
    }
    for chain in saved.chains() {
        assert!(saved.of_chain(chain).count() <= saved.rules.len());
    }
}
