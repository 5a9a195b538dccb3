//! `completion`: scripts for shells, which ask this program for the names of networks, containers and
//! namespaces.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;

use anyhow::Result;
use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;
use netloom_runtime::load;

use crate::cli::Cli;
use crate::configured::cni;
use crate::options::Options;

/// Where `ip netns` binds namespaces.
const NAMED: &str = "/run/netns";

const BASH: &str = r#"
_netloom_words() {
    local words
    words=$(netloom complete-words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    if [[ -n $words ]]; then
        COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
    else
        _netloom "$@"
    fi
}
complete -F _netloom_words -o nosort -o bashdefault -o default netloom
"#;

const ZSH: &str = r#"
_netloom_words() {
    local -a found
    found=(${(f)"$(netloom complete-words -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    if (( $#found )); then
        compadd -a found
    else
        _netloom "$@"
    fi
}
compdef _netloom_words netloom
"#;

const FISH: &str = r#"
complete -c netloom -a '(netloom complete-words -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
"#;

/// Prints the script for a shell: options and verbs are in it, names are asked for.
pub(super) fn script(shell: Shell) -> Result<()> {
    // Not to stdout at once: a disk that is full would be a panic.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "netloom", &mut script);
    let names = match shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
        _ => "",
    };
    print!("{}{names}", String::from_utf8_lossy(&script));
    Ok(())
}

/// Prints what the last word may become, one name a line; nothing where it is no name.
pub(super) fn words(options: &Options, words: &[OsString]) -> Result<()> {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let Some((last, before)) = words.split_last() else {
        return Ok(());
    };
    let command = Cli::command();
    let Some(id) = wanted(&command, before.iter().map(AsRef::as_ref), last) else {
        return Ok(());
    };
    for name in names(options, &id)
        .iter()
        .filter(|name| name.starts_with(&**last))
    {
        println!("{name}");
    }
    Ok(())
}

/// The id of the argument that the last word is of, by the definitions of the command line.
fn wanted<'w>(
    command: &Command,
    before: impl Iterator<Item = &'w str>,
    last: &str,
) -> Option<String> {
    let (mut command, mut taken, mut open) = (command, 0, None);
    for word in before {
        if open.take().is_some() {
            continue;
        }
        if word == "--" {
            return None;
        }
        if word.starts_with('-') {
            open = option(command, word).filter(|_| !word.contains('='));
            continue;
        }
        match command.find_subcommand(word) {
            Some(inner) => (command, taken) = (inner, 0),
            None => taken += 1,
        }
    }
    let positional = || command.get_positionals().nth(taken);
    let argument = match open {
        Some(argument) => Some(argument),
        None if last.starts_with('-') => None,
        None => positional().filter(|it| !it.is_hide_set()),
    };
    argument.map(|it| it.get_id().to_string())
}

/// The option of this name that takes a value.
fn option<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    let mut all = command.get_opts();
    all.find(|it| {
        let long = it.get_long().map(|long| format!("--{long}"));
        let short = it.get_short().map(|short| format!("-{short}"));
        (long.as_deref() == Some(word) || short.as_deref() == Some(word))
            && it.get_action().takes_values()
    })
}

/// The names that an argument may have. Shells take some characters for orders: what has others than
/// names usually have is left out.
fn names(options: &Options, id: &str) -> BTreeSet<String> {
    let attachments = || cni(options).cached_attachments(None).unwrap_or_default();
    let found: Vec<String> = match id {
        "network" | "subject" => {
            let directory = load::directory(&options.conf_dir).map(|it| it.networks);
            let configured = directory.unwrap_or_default().into_iter();
            let attached = attachments().into_iter().map(|it| it.network);
            configured.map(|it| it.list.name).chain(attached).collect()
        }
        "container_id" | "id" => attachments()
            .into_iter()
            .map(|it| it.container_id)
            .collect(),
        "keep" => {
            let all = attachments().into_iter();
            all.map(|it| format!("{}/{}", it.container_id, it.if_name))
                .collect()
        }
        "netns" => {
            let entries = fs::read_dir(NAMED).into_iter().flatten().flatten();
            let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            names.collect()
        }
        _ => Vec::new(),
    };
    let is_plain = |name: &String| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/@+".contains(&byte);
        !name.starts_with('-') && name.bytes().all(plain)
    };
    found.into_iter().filter(is_plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn asks_for(words: &[&str], id: Option<&str>) {
        let (last, before) = words.split_last().unwrap();
        let found = wanted(&Cli::command(), before.iter().copied(), last);
        assert_eq!(found.as_deref(), id, "{words:?}");
    }

    #[test]
    fn the_argument_follows_from_the_command_line() {
        asks_for(&["add", ""], Some("network"));
        asks_for(&["add", "mynet", ""], Some("netns"));
        asks_for(&["--json", "add", "my"], Some("network"));
        asks_for(&["--conf-dir", "/x", "add", "my"], Some("network"));
        asks_for(
            &["add", "mynet", "--container-id", ""],
            Some("container_id"),
        );
        asks_for(&["plan", "mynet", "a"], Some("netns"));
        asks_for(&["graph", "--netns", ""], Some("netns"));
        asks_for(&["trace", "show", "--id", ""], Some("id"));
        // Verbs and options are in the script.
        asks_for(&[""], None);
        asks_for(&["add", "--"], None);
        asks_for(&["add", "mynet", "testing", ""], None);
        asks_for(&["try", "--", "pi"], None);
    }
}
