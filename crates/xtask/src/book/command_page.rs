//! The page of the command: the help of every verb.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process;
use crate::workspace::Workspace;

/// The page, made of what the command of this tree says.
pub(super) fn of(workspace: &Workspace) -> Result<String> {
    process::run(&mut workspace.cargo(&["build", "--quiet", "--package", "netloom"]))?;
    let program = workspace.target.join("debug/netloom");
    let mut page =
        "# The command\n\nWhat `netloom --help` and the help of each verb say.\n".to_owned();
    add(&program, &[], &mut page)?;
    Ok(page)
}

fn add(program: &Path, verbs: &[&str], page: &mut String) -> Result<()> {
    let help = help(program, verbs)?;
    let title = [&["netloom"], verbs].concat().join(" ");
    write!(page, "\n## {title}\n\n```text\n{}\n```\n", help.trim_end())?;
    for verb in verbs_in(&help) {
        // Its help is another program's, which is not built for the book.
        if verbs.is_empty() && verb == "node" {
            page.push_str("\n## netloom node\n\nIt is a program of its own: [pods on many hosts](../cluster.md).\n");
            continue;
        }
        add(program, &[verbs, &[verb]].concat(), page)?;
    }
    Ok(())
}

/// The same whatever this process's environment says.
fn help(program: &Path, verbs: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(verbs)
        .arg("--help")
        .env_clear()
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    ensure!(
        output.status.success(),
        "netloom {} --help: {}",
        verbs.join(" "),
        output.status
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// The verbs that a help names: in lines with two blanks before them, above the options.
fn verbs_in(help: &str) -> Vec<&str> {
    let is_group = |line: &&str| line.ends_with(':') && !line.starts_with(' ');
    let lines = help.lines().skip_while(|line| !is_group(line));
    let lines =
        lines.take_while(|line| !line.starts_with("Options:") && !line.starts_with("Arguments:"));
    let indented = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let first = indented.filter_map(|line| line.split_whitespace().next());
    first.filter(|verb| *verb != "help").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_told_from_options_and_from_lines_that_go_on() {
        let help = "It does\n\nUsage: x <COMMAND>\n\nAttach:\n  add   Add\n        and more\n  del   Del\n\n\
                    Look:\n  list  List\n  help  Help\n\nOptions:\n  -h, --help  Print\n";
        assert_eq!(verbs_in(help), ["add", "del", "list"]);
        assert_eq!(
            verbs_in("It\n\nUsage: x [A]\n\nArguments:\n  [A]  a\n\nOptions:\n  -h\n"),
            [""; 0]
        );
    }
}
