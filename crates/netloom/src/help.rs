//! `netloom --help`: the verbs in groups.

use std::fmt::Write;

use clap::Command;

/// Which verbs belong together. One that is in no group comes at the end.
const GROUPS: &[(&str, &[&str])] = &[
    ("Attach containers", &["add", "check", "del", "gc"]),
    (
        "Run pods",
        &[
            "run",
            "ps",
            "exec",
            "logs",
            "inspect",
            "wait",
            "stop",
            "rm",
            "net",
            "image",
            "docker-run",
        ],
    ),
    ("Join containers", &["link", "topo"]),
    ("Join hosts", &["node"]),
    ("Look", &["list", "networks", "status", "doctor", "version"]),
    (
        "Write configurations",
        &["lint", "validate", "explain", "schema"],
    ),
    ("Write plugins", &["new"]),
    ("Install", &["install", "uninstall", "completion"]),
    ("See it", &["demo", "try", "trace"]),
];

const REST: &str = "More";

/// The command, whose help has its verbs in groups.
pub(crate) fn grouped(command: Command) -> Command {
    let verbs = verbs(&command);
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{verbs}Options:\n{{options}}{{after-help}}"
    );
    command.help_template(template)
}

fn verbs(command: &Command) -> String {
    let known = |name: &str| GROUPS.iter().any(|(_, verbs)| verbs.contains(&name));
    let all: Vec<&Command> = command
        .get_subcommands()
        .filter(|it| !it.is_hide_set())
        .collect();
    let width = all
        .iter()
        .map(|it| it.get_name().len())
        .max()
        .unwrap_or_default();
    let mut text = String::new();
    let mut group = |title: &str, verbs: &[&&Command]| {
        if verbs.is_empty() {
            return;
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{title}:");
        for verb in verbs {
            let about = verb
                .get_about()
                .map(ToString::to_string)
                .unwrap_or_default();
            let _ = writeln!(
                text,
                "  {:width$}  {}",
                verb.get_name(),
                first_sentence(&about)
            );
        }
        text.push('\n');
    };
    for (title, names) in GROUPS {
        let of_name = |name: &&str| all.iter().find(|it| it.get_name() == *name);
        group(title, &names.iter().filter_map(of_name).collect::<Vec<_>>());
    }
    group(
        REST,
        &all.iter()
            .filter(|it| !known(it.get_name()))
            .collect::<Vec<_>>(),
    );
    text
}

/// In one line. Braces mean something in a template.
fn first_sentence(about: &str) -> String {
    let line = about.split_whitespace().collect::<Vec<_>>().join(" ");
    let first = line.split(". ").next().unwrap_or_default();
    first.trim_end_matches('.').replace(['{', '}'], "")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_verb_is_shown_once() {
        let mut command = grouped(Cli::command());
        let help = command.render_help().to_string();
        for verb in Cli::command().get_subcommands() {
            let start = format!("  {} ", verb.get_name());
            let lines = help.lines().filter(|line| line.starts_with(&start));
            assert_eq!(lines.count(), 1, "{}:\n{help}", verb.get_name());
        }
    }
}
