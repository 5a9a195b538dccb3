//! Inside `netloom-plugins`: plugins never import each other; `wiring` imports no plugin.

use super::Finding;
use super::imports::{crate_paths, module_of};
use super::tree::Tree;

/// The modules whose children are plugins.
const KINDS: [&str; 3] = ["interface", "ipam", "chained"];

pub(crate) fn apart(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree
        .sources
        .iter()
        .filter(|source| source.krate() == "netloom-plugins")
    {
        if !source.inside().starts_with("src") {
            continue;
        }
        let module = module_of(&source.inside());
        let own = plugin_of(&module);
        let is_wiring = module.first().is_some_and(|first| first == "wiring");
        if own.is_none() && !is_wiring {
            continue;
        }
        for (line, path) in crate_paths(source.code_without_tests(), &module) {
            let Some(other) = plugin_of(&path).filter(|other| own != Some(*other)) else {
                continue;
            };
            let whose = if is_wiring {
                "wiring imports the plugin"
            } else {
                "imports another plugin,"
            };
            findings.push(Finding {
                path: source.path.clone(),
                line: Some(line),
                message: format!(
                    "{whose} {}; what both need belongs in wiring",
                    other.join("::")
                ),
            });
        }
    }
    findings
}

/// The first two names of a path that leads into a plugin.
pub(super) fn plugin_of(path: &[String]) -> Option<&[String]> {
    path.get(..2)
        .filter(|start| KINDS.contains(&start[0].as_str()))
}
