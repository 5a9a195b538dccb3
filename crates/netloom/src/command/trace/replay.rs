//! A call that was written down, made again in a throw-away host.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow};
use netloom_kernel::netns::{self, Netns};
use netloom_kernel::rtnl::{LinkChange, Socket};
use netloom_kernel::{signals, unshare};
use netloom_observe::{Place, Recorder};
use netloom_plugins::trace::settings::FILE;
use netloom_spec::terminal;

use super::log::{self, Call};
use crate::cli::TraceReplay;
use crate::command::{Misuse, Told};
use crate::demo::stage;

const POD: &str = "/run/netns/pod1";

pub(super) fn run(replay: &TraceReplay) -> Result<()> {
    let (calls, _) = log::read(&replay.log)?;
    let call = replay.number.checked_sub(1).and_then(|at| calls.get(at));
    let Some(call) = call else {
        let words = format!(
            "{} has the calls 1 to {}, and no {}",
            replay.log.display(),
            calls.len(),
            replay.number
        );
        return Err(anyhow!(Misuse(words)));
    };
    if !Path::new(&call.path).is_file() {
        let words = format!("the plugin {} is no more", call.path);
        return Err(anyhow!(Misuse(words)));
    }
    let places = host()?;
    let recorder = Recorder::start(&places)?;
    let (exit, stdout, stderr) = again(call)?;
    let recording = recorder.stop()?;

    println!(
        "#{} {} {}",
        replay.number,
        call.variable("CNI_COMMAND"),
        call.plugin
    );
    for line in String::from_utf8_lossy(&stderr).lines() {
        println!("    {} │ {}", call.plugin, terminal::one_line(line));
    }
    for event in &recording.events {
        println!("      {}", terminal::one_line(&event.to_string()));
    }
    let text = String::from_utf8_lossy(&stdout);
    print!("{}", terminal::lines(&text));
    let now = exit.map_or("a signal".to_owned(), |code| format!("exit {code}"));
    if exit == call.exit.map(i32::from) {
        println!("ended as recorded: {now}");
        return Ok(());
    }
    let words = format!("ended by {now}, recorded was {}", call.ending());
    Err(Told::with_status(words, 1).into())
}

/// A host with an outside and one pod.
fn host() -> Result<[Place; 2]> {
    stage::enter()?;
    if Path::new("/var/lib/cni").is_dir() {
        unshare::mount_tmpfs("/var/lib/cni")?;
    } else {
        unshare::mount_tmpfs("/var/lib")?;
    }
    stage::outside("203.0.113.2/24".parse()?, "203.0.113.1/24".parse()?)?;
    let pod = netns::create_at(POD)?;
    Socket::open_in(&pod)?.set_link("lo", &LinkChange::new().up())?;
    Ok([Place::here("host"), Place::of("pod1", Netns::open(POD)?)])
}

/// Makes the call with the pod in place of the recorded one.
fn again(call: &Call) -> Result<(Option<i32>, Vec<u8>, Vec<u8>)> {
    let mut command = Command::new(&call.path);
    for (name, value) in &call.env {
        command.env(name, value);
    }
    if !call.variable("CNI_NETNS").is_empty() {
        command.env("CNI_NETNS", POD);
    }
    command.env("CNI_PATH", real_path(call)?);
    signals::expect_none();
    let failed = || format!("run {}", call.path);
    let streams = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = streams
        .stderr(Stdio::piped())
        .spawn()
        .with_context(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A plugin need not read its request.
        let _ = stdin.write_all(call.stdin.as_bytes());
    }
    let output = child.wait_with_output().with_context(failed)?;
    Ok((output.status.code(), output.stdout, output.stderr))
}

/// The recorded directories without those of wrappers, which would write down the delegates.
fn real_path(call: &Call) -> Result<OsString> {
    let own = Path::new(&call.path).parent().map(Path::to_owned);
    let recorded = std::env::split_paths(call.variable("CNI_PATH"));
    let real = recorded.filter(|dir| !dir.join(FILE).exists());
    Ok(std::env::join_paths(own.into_iter().chain(real))?)
}
