//! `docker-run`: a container that podman runs, on CNI networks, as the script docker-run.sh of the
//! reference made one.

use std::ffi::OsStr;

use anyhow::Result;
use netloom_run::{EngineCall, Error, NetworkMode, PodSpec, Root, client};

use super::{ask, end_with, place, run, store};
use crate::cli::pod::EngineRun;
use crate::options::Options;

/// The engine that joins a namespace which is there before the container.
const PODMAN: &str = "podman";

/// Options of `docker run` without a value, short ones by their letters.
const SWITCHES: [&str; 13] = [
    "--detach",
    "--init",
    "--interactive",
    "--no-healthcheck",
    "--oom-kill-disable",
    "--privileged",
    "--publish-all",
    "--quiet",
    "--read-only",
    "--replace",
    "--rm",
    "--sig-proxy",
    "--tty",
];
const SHORT_SWITCHES: &str = "ditqP";

/// What of the words is ours, and what is the engine's.
#[derive(Debug, Default, PartialEq, Eq)]
struct Words {
    nets: Vec<String>,
    ports: Vec<String>,
    detach: bool,
    rest: Vec<String>,
}

pub(super) fn run(options: &Options, it: &EngineRun) -> Result<()> {
    if netloom_run::private_host::is_inside() {
        return Err(Error::new("docker-run needs root: sudo netloom docker-run …").into());
    }
    let words = sort(&it.arguments)?;
    let store = store()?;
    require_podman()?;
    let nets = match words.nets.is_empty() {
        true => vec!["all".to_owned()],
        false => words.nets,
    };
    let (network, attachments) = run::attached(options, &nets, &words.ports, &it.ifname, &store)?;
    if network != NetworkMode::Own || attachments.is_empty() {
        return Err(Error::new(format!(
            "--net {}: docker-run is for CNI networks; the engine itself has the others",
            nets.join(" --net ")
        ))
        .into());
    }
    let id = client::new_id()?;
    let call = EngineCall {
        program: PODMAN.to_owned(),
        arguments: words.rest,
    };
    let shown = [PODMAN, "run"].map(str::to_owned).into_iter();
    let spec = PodSpec {
        name: String::new(),
        command: shown.chain(call.arguments.iter().cloned()).collect(),
        env: Vec::new(),
        cwd: "/".to_owned(),
        user: String::new(),
        hostname: id[..8].to_owned(),
        id,
        root: Root::Host,
        volumes: Vec::new(),
        network,
        attachments,
        dns: Default::default(),
        hosts: Vec::new(),
        ports: ask::ports(&words.ports)?,
        capabilities: 0,
        tty: false,
        interactive: true,
        detach: words.detach,
        remove: !words.detach,
        init: false,
        cni: place(options)?,
        engine: Some(call),
        runtime: None,
    };
    let outcome = client::run(&spec)?;
    for line in &outcome.left {
        note!("netloom: pod {}: {line}", &spec.id[..8]);
    }
    if words.detach {
        say!("{}", spec.id);
    }
    end_with(outcome.status)
}

fn require_podman() -> Result<(), Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|dir| dir.join(PODMAN).is_file()) {
        return Ok(());
    }
    Err(Error::new(
        "docker-run needs podman: docker cannot have a container join a network namespace that is \
         there before it (Debian: apt install podman)",
    ))
}

/// Takes networks, ports and `-d` out of the options; what follows the image is the command's.
fn sort(arguments: &[String]) -> Result<Words, Error> {
    let mut words = Words::default();
    let mut left = arguments.iter();
    while let Some(word) = left.next() {
        let Some((name, attached)) = option(word) else {
            words.rest.push(word.clone());
            words.rest.extend(left.cloned());
            return Ok(words);
        };
        let is_switch = match name.strip_prefix("--") {
            Some(_) => SWITCHES.contains(&name),
            None => name[1..]
                .chars()
                .all(|letter| SHORT_SWITCHES.contains(letter)),
        };
        if is_switch {
            switch(&mut words, word, name);
            continue;
        }
        let value = match attached {
            Some(value) => value.to_owned(),
            None => left
                .next()
                .cloned()
                .ok_or_else(|| Error::new(format!("docker-run: the value of {word} is missing")))?,
        };
        match name {
            "--net" | "--network" => words.nets.push(value),
            "-p" | "--publish" => words.ports.push(value),
            "--cidfile" => {
                return Err(Error::new(
                    "docker-run: --cidfile is netloom's: `netloom inspect` shows the pod",
                ));
            }
            _ if attached.is_some() => words.rest.push(word.clone()),
            _ => words.rest.extend([word.clone(), value]),
        }
    }
    Err(Error::new("docker-run: there is no image"))
}

/// The option's name, and the value that is in the same word.
fn option(word: &str) -> Option<(&str, Option<&str>)> {
    if let Some(long) = word.strip_prefix("--") {
        return match long.split_once('=') {
            Some((name, value)) => Some((&word[..name.len() + 2], Some(value))),
            None if long.is_empty() => None,
            None => Some((word, None)),
        };
    }
    let short = word.strip_prefix('-').filter(|it| !it.is_empty())?;
    let is_valued = |letter: char| !SHORT_SWITCHES.contains(letter);
    match short.chars().next().is_some_and(is_valued)
        && short.len() > 1
        && short.is_char_boundary(1)
    {
        true => Some((&word[..2], Some(&word[2..]))),
        false => Some((word, None)),
    }
}

/// A switch; the detaching is ours, as the client has to last as long as the container.
fn switch(words: &mut Words, word: &str, name: &str) {
    if name == "--detach" {
        words.detach = !word.ends_with("=false");
        return;
    }
    if name.starts_with("--") || !name.contains('d') {
        return words.rest.push(word.to_owned());
    }
    words.detach = true;
    let others: String = name[1..].chars().filter(|letter| *letter != 'd').collect();
    if !OsStr::new(&others).is_empty() {
        words.rest.push(format!("-{others}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(line: &str) -> Words {
        let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        sort(&words).unwrap()
    }

    #[test]
    fn networks_and_ports_are_ours_and_the_rest_the_engines() {
        let words = sorted(
            "--rm --net a -e X=1 --network=b -p8080:80 -p 53:53/udp -dit box sh -p 1 --net c",
        );
        assert_eq!(words.nets, ["a", "b"]);
        assert_eq!(words.ports, ["8080:80", "53:53/udp"]);
        assert!(words.detach);
        assert_eq!(words.rest.join(" "), "--rm -e X=1 -it box sh -p 1 --net c");
        assert_eq!(
            sorted("--rm busybox ifconfig").rest.join(" "),
            "--rm busybox ifconfig"
        );
    }

    #[test]
    fn what_is_incomplete_is_refused() {
        for bad in ["--rm", "--net", "--cidfile x box"] {
            let words: Vec<_> = bad.split(' ').map(str::to_owned).collect();
            assert!(sort(&words).is_err(), "{bad}");
        }
    }
}
