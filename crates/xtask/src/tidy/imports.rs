//! Which modules of its crate a file names, in `use` declarations and in paths.

use std::path::Path;

use super::source::is_word;

/// The module path of a file below `src`: `src/ipam/host_local/store.rs` is `["ipam", "host_local", "store"]`.
pub(crate) fn module_of(inside: &Path) -> Vec<String> {
    let mut parts: Vec<String> = inside
        .with_extension("")
        .iter()
        .skip(1)
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if matches!(
        parts.last().map(String::as_str),
        Some("mod" | "lib" | "main")
    ) {
        parts.pop();
    }
    parts
}

/// Every path of this crate that the code names, from the crate's root, with the line where it begins.
pub(crate) fn crate_paths(code: &str, module: &[String]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for start in ["crate", "super", "self"] {
        for (at, _) in code.match_indices(start) {
            // A later `super` of `super::super` belongs to the path that began before it.
            let before = code[..at].trim_end();
            let goes_on = code[at + start.len()..].trim_start().starts_with("::");
            let begins = !code[..at].ends_with(is_word) && !before.ends_with("::") && goes_on;
            if !begins {
                continue;
            }
            let line = 1 + code[..at].matches('\n').count();
            let mut paths = Vec::new();
            expand(&mut Words::new(&code[at..]), &[], &mut paths);
            found.extend(paths.into_iter().map(|path| (line, resolve(&path, module))));
        }
    }
    found
}

fn resolve(path: &[String], module: &[String]) -> Vec<String> {
    let mut base: Vec<String> = module.to_vec();
    let mut rest = path;
    while let [first, tail @ ..] = rest {
        match first.as_str() {
            "crate" => base.clear(),
            "self" => {}
            "super" => {
                base.pop();
            }
            _ => break,
        }
        rest = tail;
    }
    base.extend_from_slice(rest);
    base
}

/// The tokens of a path or a tree of paths.
struct Words<'c> {
    rest: &'c str,
}

impl<'c> Words<'c> {
    fn new(rest: &'c str) -> Self {
        Self { rest }
    }

    fn word(&mut self) -> Option<&'c str> {
        self.rest = self.rest.trim_start();
        let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }

    fn take(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

/// `a::{b, c::d}` becomes `a::b` and `a::c::d`.
fn expand(words: &mut Words<'_>, prefix: &[String], paths: &mut Vec<Vec<String>>) {
    let mut path = prefix.to_vec();
    loop {
        if words.take("{") {
            while !words.take("}") && !words.rest.trim_start().is_empty() {
                let before = words.rest.len();
                expand(words, &path, paths);
                words.take(",");
                if words.rest.len() == before {
                    return; // not a tree of paths
                }
            }
            return;
        }
        match words.word() {
            Some("self") if !path.is_empty() => {}
            Some(word) => path.push(word.to_owned()),
            None if words.take("*") => {}
            None => break,
        }
        if !words.take("::") {
            break;
        }
    }
    if words.take("as ") {
        words.word();
    }
    paths.push(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(code: &str, module: &str) -> Vec<String> {
        let module: Vec<String> = module.split("::").map(str::to_owned).collect();
        crate_paths(code, &module)
            .into_iter()
            .map(|(_, path)| path.join("::"))
            .collect()
    }

    #[test]
    fn a_tree_of_uses_is_taken_apart() {
        assert_eq!(
            paths(
                "use crate::{ipam::host_local::Store, wiring::{self, veth as v}};",
                "interface::ptp"
            ),
            ["ipam::host_local::Store", "wiring", "wiring::veth"],
        );
    }

    #[test]
    fn super_is_followed_upwards() {
        assert_eq!(
            paths("use super::super::ptp::Plan;", "interface::bridge::plan"),
            ["interface::ptp::Plan"]
        );
    }

    #[test]
    fn a_path_in_the_middle_of_code_counts() {
        assert_eq!(
            paths("let x = crate::ipam::dhcp::lease(1);", "interface::ptp"),
            ["ipam::dhcp::lease"]
        );
    }

    #[test]
    fn a_method_on_self_names_no_module() {
        assert_eq!(paths("self.veth()", "interface::ptp"), [""; 0]);
    }

    #[test]
    fn the_module_of_a_file_is_its_path() {
        assert_eq!(
            module_of(Path::new("src/ipam/host_local/mod.rs")),
            ["ipam", "host_local"]
        );
        assert_eq!(
            module_of(Path::new("src/interface/ptp.rs")),
            ["interface", "ptp"]
        );
        assert!(module_of(Path::new("src/lib.rs")).is_empty());
    }
}
