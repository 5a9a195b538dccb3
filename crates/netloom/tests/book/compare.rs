//! Whether a program printed what a page shows.

use std::sync::LazyLock;

use regex_lite::Regex;

/// What differs from run to run, and what stands for it.
const MASKS: [(&str, &str); 12] = [
    (r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b", "<mac>"),
    (r"\bveth[0-9a-f]{8}\b", "<veth>"),
    (r"@if[0-9]+", "@if<n>"),
    // The kernel tells of a link's state a moment later.
    (r"^(\S+ +)(UP|UNKNOWN|DOWN|LOWERLAYERDOWN) ", "$1<state> "),
    (r"^[0-9]+: ", "<n>: "),
    (r"\b[0-9a-f]{12,}\b", "<id>"),
    (r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}\b", "<date>"),
    (r"\b[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?\b", "<time>"),
    (
        r"\b[0-9]+([.][0-9]+)?(e[-+]?[0-9]+)? ?(ms|µs|us|s)\b",
        "<time>",
    ),
    // Of a namespace and of a link, in what a picture knows of them.
    (r"inode&quot;: [0-9]+", "inode&quot;: <n>"),
    (r"index&quot;: [0-9]+", "index&quot;: <n>"),
    (r"[ \t]+", " "),
];

static MASKED: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let regex = |(pattern, name): &(&str, &'static str)| (Regex::new(pattern).unwrap(), *name);
    MASKS.iter().map(regex).collect()
});

/// Stands for any text in a line, and alone for any lines.
const ANYTHING: &str = "…";

/// The first line of `shown` that `printed` has not, if any.
pub(crate) fn difference(shown: &str, printed: &str) -> Option<String> {
    let shown: Vec<String> = lines(shown);
    let printed: Vec<String> = lines(printed);
    match fits(&shown, &printed) {
        true => None,
        false => Some(told(&shown, &printed)),
    }
}

fn lines(text: &str) -> Vec<String> {
    let text = text.trim_matches('\n');
    text.lines().map(|line| masked(line.trim_end())).collect()
}

fn masked(line: &str) -> String {
    let replace =
        |line: String, (regex, name): &(Regex, &str)| regex.replace_all(&line, *name).into_owned();
    MASKED.iter().fold(line.to_owned(), replace)
}

fn fits(shown: &[String], printed: &[String]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first.trim() == ANYTHING => {
            (0..=printed.len()).any(|skipped| fits(rest, &printed[skipped..]))
        }
        Some((first, rest)) => printed
            .split_first()
            .is_some_and(|(line, others)| line_fits(first, line) && fits(rest, others)),
    }
}

fn line_fits(shown: &str, printed: &str) -> bool {
    let mut parts = shown.split(ANYTHING);
    let Some(mut rest) = printed.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn told(shown: &[String], printed: &[String]) -> String {
    let differs = shown
        .iter()
        .zip(printed)
        .find(|(shown, printed)| shown.trim() == ANYTHING || !line_fits(shown, printed));
    match differs {
        Some((shown, printed)) => format!("shown:   {shown}\nprinted: {printed}"),
        None => format!("{} lines shown, {} printed", shown.len(), printed.len()),
    }
}

#[test]
fn times_addresses_and_ids_do_not_count_and_all_else_does() {
    let shown = "2: eth0@if7: link/ether 0a:58:0a:10:00:02\n1 packets, time 0ms\n…\nend … of it";
    let printed =
        "9: eth0@if8: link/ether 0a:58:0a:10:00:99\n1 packets, time 12ms\na\nb\nend x of it\n";
    assert_eq!(difference(shown, printed), None);
    let other = printed.replace("1 packets", "0 packets");
    assert!(difference(shown, &other).unwrap().contains("0 packets"));
    assert!(difference("a\nb", "a").is_some());
    assert!(difference("a", "a\nb").is_some());
    assert!(difference("a … c", "a b d").is_some());
}
