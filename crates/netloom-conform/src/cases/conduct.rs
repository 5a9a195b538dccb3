//! How the plugin behaves as a program among others.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::bench::Bench;
use crate::call::{self, Request, Said};
use crate::case::cases;
use crate::stop::{Check, Stop, wrong};

cases! {
    "601" Should ALL "Conduct" "twenty ADDs at the same time succeed" twenty "ADD";
    "602" Should ALL "Conduct" "twenty DELs at the same time succeed, and leave nothing" twenty "DEL";
    "603" Should ALL "Conduct" "ADD and DEL take less than five seconds each" quick "";
    "604" Must ALL "Conduct" "ADD leaves no process behind" no_process "ADD";
    "605" Must ALL "Conduct" "DEL leaves no process behind" no_process "DEL";
    "606" Must ALL "Conduct" "stdout is closed when the plugin has ended" stdout_closed "";
    "607" Should ALL "Conduct" "no file can be written by everybody" file_modes "";
    "608" Extra ALL "Conduct" "files are written below /run and /var/lib/cni alone" file_places "";
    "609" Extra ALL "Conduct" "a link that was planted at the network's state is not followed out of it" planted_link "";
}

/// That many calls at the same time, each for a pod of its own.
pub(super) fn at_once(bench: &mut Bench<'_>, count: usize, command: &str) -> Check<Vec<Said>> {
    let mut pods = Vec::new();
    for number in 0..count {
        pods.push(bench.pod(&format!("n{number}"))?);
    }
    let requests: Vec<Request> = pods
        .iter()
        .map(|pod| bench.request(command, *pod))
        .collect();
    let all = together(bench, &requests);
    // One of them stands for all in a report.
    bench.steps.push(
        requests
            .first()
            .map(|it| it.line(&bench.host.plugin))
            .unwrap_or_default(),
    );
    all
}

fn together(bench: &Bench<'_>, requests: &[Request]) -> Check<Vec<Said>> {
    let plugin = &bench.host.plugin;
    std::thread::scope(|scope| {
        let calls: Vec<_> = requests
            .iter()
            .map(|it| scope.spawn(move || call::run(plugin, it)))
            .collect();
        let lost = |_| Stop::Broken("a thread of the kit is lost".to_owned());
        calls
            .into_iter()
            .map(|it| Ok(it.join().map_err(lost)??))
            .collect()
    })
}

fn all_succeed(all: &[Said], command: &str) -> Check {
    match all.iter().find(|it| !it.is_success()) {
        None => Ok(()),
        Some(said) => wrong(format!(
            "expected {} {command}s to succeed, got {}: {}",
            all.len(),
            said.ending(),
            crate::bench::brief(&said.stdout)
        )),
    }
}

const MANY: usize = 20;

fn twenty(bench: &mut Bench<'_>, command: &'static str) -> Check {
    bench.needs_several()?;
    bench.prime()?;
    let count = match bench.subject.class {
        // A small pool is no fault.
        crate::Class::Ipam => 4,
        _ => MANY,
    };
    let mut pods = Vec::new();
    for number in 0..count {
        pods.push(bench.pod(&format!("n{number}"))?);
    }
    let before = bench.look()?;
    let requests = |command: &str, bench: &Bench<'_>| -> Vec<Request> {
        pods.iter()
            .map(|pod| bench.request(command, *pod))
            .collect()
    };
    let line = requests("ADD", bench)
        .first()
        .map(|it| it.line(&bench.host.plugin));
    bench.steps.extend(line);
    let added = together(bench, &requests("ADD", bench))?;
    all_succeed(&added, "ADD")?;
    if command == "ADD" {
        return Ok(());
    }
    let deleted = together(bench, &requests("DEL", bench))?;
    all_succeed(&deleted, "DEL")?;
    bench.unchanged(&before, "after twenty ADDs and DELs")
}

const LONG: Duration = Duration::from_secs(5);

fn quick(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let made = bench.add(pod)?;
    bench.del(&made)?;
    match bench.calls.iter().find(|it| it.time > LONG) {
        None => Ok(()),
        Some(call) => wrong(format!(
            "expected less than {} s, got {:.1} s",
            LONG.as_secs(),
            call.time.as_secs_f64()
        )),
    }
}

fn no_process(bench: &mut Bench<'_>, command: &'static str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let made = bench.add(pod)?;
    let mut left = bench.left_processes();
    if command == "DEL" {
        bench.del(&made)?;
        left = bench.left_processes();
    }
    match left.first() {
        None => Ok(()),
        Some(process) => wrong(format!(
            "process {} goes on after {command}: {}",
            process.id, process.command
        )),
    }
}

fn stdout_closed(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let request = bench.request("ADD", pod);
    let said = bench.call(&request)?;
    match said.is_held {
        false => Ok(()),
        true => wrong(
            "stdout is still open two seconds after the plugin's end: its caller waits for that",
        ),
    }
}

/// Every file below that the plugin made.
fn written(bench: &mut Bench<'_>) -> Check<Vec<String>> {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let before = bench.look()?;
    bench.add(pod)?;
    let found = bench.differences(&before)?;
    let files = found.into_iter().filter(|it| {
        it.object.kind == netloom_observe::Kind::File
            && matches!(it.change, netloom_observe::Change::Added(_))
    });
    Ok(files.map(|it| it.object.name).collect())
}

fn file_modes(bench: &mut Bench<'_>, _: &str) -> Check {
    for file in written(bench)? {
        let Ok(metadata) = std::fs::symlink_metadata(&file) else {
            continue;
        };
        let mode = metadata.permissions().mode() & 0o7777;
        if !metadata.is_symlink() && mode & 0o002 != 0 && mode & 0o1000 == 0 {
            return wrong(format!(
                "everybody may write {file}: its mode is {mode:04o}"
            ));
        }
    }
    Ok(())
}

fn file_places(bench: &mut Bench<'_>, _: &str) -> Check {
    let is_state = |file: &&String| {
        ["/run/", "/var/lib/cni"]
            .iter()
            .any(|it| file.starts_with(it))
    };
    match written(bench)?.iter().find(|it| !is_state(it)) {
        None => Ok(()),
        Some(file) => wrong(format!(
            "expected files below /run and /var/lib/cni, got {file}"
        )),
    }
}

fn planted_link(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    let victim = Path::new("/run/conform/victim");
    std::fs::write(victim, "untouched")?;
    bench.step("printf untouched >/run/conform/victim");
    let pod = bench.pod("one")?;
    let before = bench.look()?;
    let made = bench.add(pod)?;
    let files = bench.differences(&before)?;
    bench.del(&made)?;
    // Whoever can write there puts links in the places of the files.
    for file in files
        .iter()
        .filter(|it| it.object.kind == netloom_observe::Kind::File)
    {
        let path = Path::new(&file.object.name);
        if !path.exists() && path.parent().is_some_and(Path::is_dir) {
            std::os::unix::fs::symlink(victim, path)?;
            bench.step(format!("ln -s /run/conform/victim {}", path.display()));
        }
    }
    let request = bench.request("ADD", pod);
    let said = bench.call(&request)?;
    if said.is_success() {
        let request = bench.request("DEL", pod);
        bench.call(&request)?;
    }
    match std::fs::read(victim) {
        Ok(text) if text == b"untouched" => Ok(()),
        Ok(text) => wrong(format!(
            "a planted link was followed: the file that it leads to has {} bytes now",
            text.len()
        )),
        Err(_) => wrong("a planted link was followed: the file that it leads to is gone"),
    }
}
