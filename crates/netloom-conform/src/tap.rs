//! TAP 14, which test harnesses of every language read.

use std::fmt::Write;

use crate::report::{Outcome, Verdict};

/// A case's lines. `known`: why it is expected to fail, which makes it a TODO.
#[must_use]
pub fn line(number: usize, plugin: &str, outcome: &Outcome, known: Option<&str>) -> String {
    let ok = match outcome.is_failed() {
        true => "not ok",
        false => "ok",
    };
    let title = escape(&format!("{plugin} {} {}", outcome.id, outcome.title));
    let directive = match (&outcome.verdict, known) {
        (Verdict::Skipped(why), _) => format!(" # SKIP {}", escape(&one_line(why))),
        (Verdict::Failed(_), Some(why)) => format!(" # TODO {}", escape(&one_line(why))),
        _ => String::new(),
    };
    let mut text = format!("{ok} {number} - {title}{directive}\n");
    if let Verdict::Failed(words) = &outcome.verdict {
        let mut row = |name: &str, value: &str| {
            // A string of JSON is one of YAML. Writing to a String cannot fail.
            let _ = writeln!(text, "  {name}: {}", serde_json::Value::from(value));
        };
        row("message", words);
        row("severity", outcome.level.word());
        row("section", outcome.section);
        row("reproducer", &outcome.reproducer);
        let start = text.find('\n').map_or(0, |end| end + 1);
        text.insert_str(start, "  ---\n");
        text.push_str("  ...\n");
    }
    text
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `#` begins a directive.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('#', "\\#")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Level;

    fn outcome(verdict: Verdict) -> Outcome {
        Outcome {
            id: "CF-001",
            level: Level::Must,
            section: "VERSION",
            title: "a # in a title",
            verdict,
            exchanges: Vec::new(),
            reproducer: "sh -c 'a \"b\"'".to_owned(),
            time: Duration::ZERO,
        }
    }

    #[test]
    fn each_verdict_has_its_line() {
        let passed = line(1, "p", &outcome(Verdict::Passed), None);
        assert_eq!(passed, "ok 1 - p CF-001 a \\# in a title\n");
        let skipped = line(2, "p", &outcome(Verdict::Skipped("no\nneed".into())), None);
        assert_eq!(skipped, "ok 2 - p CF-001 a \\# in a title # SKIP no need\n");
        let failed = line(
            3,
            "p",
            &outcome(Verdict::Failed("bad".into())),
            Some("known"),
        );
        assert_eq!(
            failed,
            "not ok 3 - p CF-001 a \\# in a title # TODO known\n  ---\n  message: \"bad\"\n  severity: \"must\"\n  \
             section: \"VERSION\"\n  reproducer: \"sh -c 'a \\\"b\\\"'\"\n  ...\n"
        );
    }
}
