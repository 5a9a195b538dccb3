//! Whoever is killed at any of its system calls: after the next `netloom ps` everything is as before.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use netloom_testkit::{Faults, Host, Sample, Snapshot, product, skip};
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use crate::killed::nothing_is_left;
use crate::{
    NETLOOM, PLUGINS, call, detached, host, init_of, kill, netloom, parent_of, picture, succeeds,
};

/// A system call: its name, and its number among those of that name, as strace counts them.
type Point = (String, usize);

/// What the foreground sends a shim.
fn specification() -> Value {
    let list = |file: &str| -> Value {
        let text = std::fs::read_to_string(format!("{}/{file}", crate::CONF_DIR)).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let (mynet, two) = (list("10-mynet.conflist"), list("20-two.conf"));
    let two = json!({"cniVersion": "1.0.0", "name": "two", "plugins": [two]});
    let attachment = |list: &Value, if_name: &str| {
        json!({
            "network": list["name"], "if_name": if_name, "config": list.to_string(),
            "plugins": list["plugins"], "args": [], "capability_args": {},
        })
    };
    json!({
        "id": "0123456789abcdef0123456789abcdef", "name": "", "command": ["true"],
        "env": [["PATH", "/bin:/usr/bin"]], "cwd": "/", "user": "", "hostname": "x", "root": "host",
        "volumes": [], "network": "own",
        "attachments": [attachment(&mynet, "eth0"), attachment(&two, "eth1")],
        "dns": {"servers": [], "search": [], "options": []}, "hosts": [], "ports": [],
        "capabilities": 0, "tty": false, "interactive": false, "detach": false, "remove": true,
        "init": false,
        "cni": {"plugin_dirs": [PLUGINS], "cache_dir": "/var/lib/cni", "timeout": null},
    })
}

/// Where strace writes what it sees.
const LOG: &str = "/run/strace.log";

/// A program under strace, killed at a system call if one is given.
fn traced(killed_at: Option<&Point>) -> Command {
    let mut command = Command::new("strace");
    command.args(["-qq", "-s", "64", "-o", LOG]);
    if let Some(point) = killed_at {
        command.args(["-e", &killing_at(point)]);
    }
    command
}

fn killing_at((name, number): &Point) -> String {
    format!("inject={name}:signal=KILL:when={number}")
}

/// What strace saw.
fn points() -> Vec<Point> {
    let points = points_of(&fs::read_to_string(LOG).unwrap());
    fs::remove_file(LOG).unwrap();
    assert!(points.len() > 30, "{points:?}");
    points
}

fn points_of(text: &str) -> Vec<Point> {
    let names = text
        .lines()
        .filter_map(|line| Some(line.split_once('(')?.0));
    let mut points: Vec<Point> = Vec::new();
    for name in names.filter(|it| !it.contains(|char: char| char.is_whitespace())) {
        let before = points.iter().filter(|(other, _)| other == name);
        points.push((name.to_owned(), before.count() + 1));
    }
    points
}

/// A shim, and the foreground's end of the channel to it.
fn shim(strace: &mut Command, specification: &Value) -> (Child, UnixStream) {
    let (mut own, theirs) = UnixStream::pair().unwrap();
    rustix::io::fcntl_setfd(theirs.as_fd(), rustix::io::FdFlags::empty()).unwrap();
    let child = strace
        .arg(product(NETLOOM))
        .args(["pod-shim", &theirs.as_raw_fd().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    // A shim that is dead hears nothing.
    let _ = own.write_all(format!("{specification}\n").as_bytes());
    (child.unwrap(), own)
}

/// Plays the foreground to the end; what the shim said until its own.
fn attend(mut own: UnixStream) -> String {
    let mut news = String::new();
    for line in BufReader::new(own.try_clone().unwrap()).lines() {
        let Ok(line) = line else { break };
        if line.contains("ended") {
            let _ = own.write_all(b"\"goOn\"\n");
        }
        news.push_str(&line);
    }
    news
}

/// Strikes at each system call in turn, and looks each time. `strike` tells whether that killed anybody.
fn everywhere(points: &[Point], strike: impl Fn(&Point) -> bool, look: impl Fn()) {
    let sample = Sample::of_this_run();
    let chosen = points.iter().enumerate();
    let chosen: Vec<_> = chosen.filter(|(number, _)| sample.has(*number)).collect();
    let mut struck = 0;
    for (_, point) in &chosen {
        struck += usize::from(strike(point));
        fs::remove_file(LOG).unwrap();
        look();
    }
    println!(
        "sampled {sample}: {struck} of {} system calls struck",
        chosen.len()
    );
    // What waits for others does not always make the same calls.
    assert!(struck * 2 > chosen.len(), "only {struck} were struck");
}

fn has_strace() -> bool {
    let has = netloom_testkit::probe::has_program("strace");
    if !has {
        skip("no strace");
    }
    has
}

#[test]
fn a_shim_killed_at_any_system_call_leaves_nothing() {
    if !has_strace() {
        return;
    }
    let Some(host) = host() else { return };
    let specification = specification();
    let killed = |point: Option<&Point>| {
        let (mut child, own) = shim(&mut traced(point), &specification);
        let news = attend(own);
        child.wait().unwrap();
        !news.contains("done")
    };
    assert!(!killed(None), "it runs");
    let (points, before) = (points(), picture(&host));
    let strike = |point: &Point| killed(Some(point));
    everywhere(&points, strike, || nothing_is_left(&host, &before));
}

/// The foreground is dead from the first moment, and the shim is killed at what it does then.
#[test]
fn a_shim_killed_anywhere_after_its_foreground_leaves_nothing() {
    if !has_strace() {
        return;
    }
    let Some(host) = host() else { return };
    let mut specification = specification();
    specification["command"] = json!(["sleep", "1000"]);
    specification["init"] = json!(true);
    let killed = |point: Option<&Point>| {
        let began = Instant::now();
        let (mut child, own) = shim(&mut traced(point), &specification);
        drop(own);
        // strace ends as its program does.
        let is_killed = !child.wait().unwrap().success();
        // Ten seconds after it has asked, the shim kills.
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "the first process did not hear SIGTERM"
        );
        is_killed
    };
    assert!(!killed(None), "it runs");
    let (points, before) = (points(), picture(&host));
    let strike = |point: &Point| killed(Some(point));
    everywhere(&points, strike, || nothing_is_left(&host, &before));
}

/// Runs `netloom` with these arguments, kills it at a system call, and returns when its shim has ended, or has
/// a pod without a foreground: then it has left stderr. Whether the foreground was killed.
fn foreground(killed_at: Option<&Point>, arguments: &[&str]) -> bool {
    let output = traced(killed_at)
        .arg(product(NETLOOM))
        .args(arguments)
        .env("CNI_PATH", PLUGINS)
        .stdin(Stdio::null())
        .output();
    let output = output.unwrap();
    !output.status.success()
}

#[test]
fn a_foreground_killed_at_any_system_call_leaves_nothing() {
    if !has_strace() {
        return;
    }
    let Some(host) = host() else { return };
    let run = [
        "run", "--rm", "--net", "mynet", "--net", "two", "--", "true",
    ];
    assert!(!foreground(None, &run), "it runs");
    let (points, before) = (points(), picture(&host));
    everywhere(
        &points,
        |point| foreground(Some(point), &run),
        || nothing_is_left(&host, &before),
    );
}

/// Its pod lives on, if it came to life, and is whole.
#[test]
fn a_pod_whose_detaching_foreground_is_killed_anywhere_runs_or_is_gone() {
    if !has_strace() {
        return;
    }
    let Some(host) = host() else { return };
    let before = picture(&host);
    let run = ["run", "-d", "--rm", "--net", "mynet", "--", "sleep", "1000"];
    assert!(!foreground(None, &run), "it runs");
    let points = points();
    end_all(&host, &before);
    everywhere(
        &points,
        |point| foreground(Some(point), &run),
        || end_all(&host, &before),
    );
}

/// Every pod that runs is whole; nothing is left when they are gone.
fn end_all(host: &Host, before: &Snapshot) {
    for id in succeeds(&call(&["ps", "-q"])).lines() {
        let shown = succeeds(&call(&["exec", id, "ip", "-o", "-4", "addr"]));
        assert!(shown.contains("eth0    inet 10.16.0."), "{shown}");
        succeeds(&call(&["rm", "-f", id]));
    }
    nothing_is_left(host, before);
}

/// The system call before the one by which the shim tells the first process what to do: its name, and its number
/// among those of that name.
fn before_the_order(specification: &Value) -> Point {
    let (mut child, own) = shim(&mut traced(None), specification);
    let news = attend(own);
    assert!(news.contains("done"), "{news}");
    child.wait().unwrap();
    let text = fs::read_to_string(LOG).unwrap();
    fs::remove_file(LOG).unwrap();
    let order = r#""{\"dir\":\"/run/netloom/pods"#;
    let before: Vec<_> = text
        .lines()
        .take_while(|line| !line.contains(order))
        .collect();
    assert!(
        before.len() < text.lines().count(),
        "no order was sent:\n{text}"
    );
    points_of(&before.join("\n")).pop().unwrap()
}

/// Stops the shim before it tells the first process what to do, puts that one under strace, to be killed at a
/// system call from there on, and lets the shim go on. Whether it was killed.
fn first_process(killed_at: Option<&Point>, at: &Point, specification: &Value) -> bool {
    let fifo = Path::new("/run/stopped");
    rustix::fs::mkfifoat(rustix::fs::CWD, fifo, rustix::fs::Mode::RWXU).unwrap();
    let mut strace = Command::new("strace");
    // What it writes to a program it writes at once.
    let through = format!("|cat > {}", fifo.display());
    strace.args(["-o", &through, "-e", &format!("trace={}", at.0), "-e"]);
    strace.arg(format!("inject={}:signal=STOP:when={}", at.0, at.1));
    let (mut child, own) = shim(&mut strace, specification);
    let mut told = BufReader::new(File::open(fifo).unwrap());
    fs::remove_file(fifo).unwrap();
    line_with(&mut told, "stopped by SIGSTOP");
    let id = specification["id"].as_str().unwrap();
    let state = fs::read(format!("/run/netloom/pods/{id}/pod.json")).unwrap();
    let state: Value = serde_json::from_slice(&state).unwrap();
    let init = state["init"]["pid"].as_i64().unwrap();
    let mut second = Command::new("strace");
    second.args(["-o", LOG, "-p", &init.to_string()]);
    if let Some(point) = killed_at {
        second.args(["-e", &killing_at(point)]);
    }
    let mut second = second.stderr(Stdio::piped()).spawn().unwrap();
    let mut words = BufReader::new(second.stderr.take().unwrap());
    line_with(&mut words, "attached");
    let shim = parent_of(init.try_into().unwrap()).try_into().unwrap();
    let shim = Pid::from_raw(shim).unwrap();
    rustix::process::kill_process(shim, Signal::CONT).unwrap();
    let news = attend(own);
    words.read_to_string(&mut String::new()).unwrap();
    second.wait().unwrap();
    child.wait().unwrap();
    assert!(news.contains("done") || news.contains("failed"), "{news}");
    !news.contains("\"status\":0")
}

/// Reads until there is a line with these words.
fn line_with(from: &mut impl BufRead, words: &str) {
    let mut all = String::new();
    while !all.contains(words) {
        let read = from.read_line(&mut all).unwrap();
        assert!(read > 0, "{words:?} is not in {all:?}");
    }
}

#[test]
fn a_first_process_killed_at_any_system_call_leaves_nothing() {
    if !has_strace() {
        return;
    }
    let Some(host) = host() else { return };
    let specification = specification();
    let at = before_the_order(&specification);
    assert!(!first_process(None, &at, &specification), "it runs");
    let (points, before) = (points(), picture(&host));
    let strike = |point: &Point| first_process(Some(point), &at, &specification);
    everywhere(&points, strike, || nothing_is_left(&host, &before));
}

/// Whoever ends what is dead may be killed as well.
#[test]
fn a_pod_whose_end_by_others_is_killed_anywhere_is_ended_by_the_next() {
    let Some(host) = host() else { return };
    let dead = || {
        let networks = ["--net", "mynet", "--net", "two", "-p", "8080:80"];
        let id = detached(&[&["--rm"], &networks[..], &["--", "sleep", "1000"]].concat());
        kill(parent_of(init_of(&id)));
    };
    let before = picture(&host);
    dead();
    let Some(faults) = Faults::points(&netloom(&["ps"])) else {
        return;
    };
    picture(&host).assert_same_as(&before);
    let sample = Sample::of_this_run();
    let points: Vec<usize> = faults.mortal().collect();
    assert!(points.len() > 20, "{points:?}");
    for k in points.into_iter().filter(|k| sample.has(*k)) {
        dead();
        let _ = faults.kill_at(k);
        nothing_is_left(&host, &before);
    }
}
