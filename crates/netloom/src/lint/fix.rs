//! Writes what mends findings into a text.

use super::finding::{Finding, Fix};

/// The text with all fixes that do not touch each other, and how many there are.
pub(crate) fn fixed(text: &str, findings: &[Finding]) -> (String, usize) {
    let mut fixes: Vec<&Fix> = findings.iter().filter_map(|it| it.fix.as_ref()).collect();
    fixes.sort_by_key(|fix| (fix.span.start, fix.span.end));
    let (mut out, mut at, mut done) = (String::new(), 0, 0);
    for fix in fixes {
        if fix.span.start < at || (done > 0 && fix.span.start == at && fix.span.is_empty()) {
            continue;
        }
        out.push_str(&text[at..fix.span.start]);
        out.push_str(&fix.text);
        at = fix.span.end;
        done += 1;
    }
    out.push_str(&text[at..]);
    (out, done)
}
