//! The calls as a waterfall: what ran when, for how long, within what, and what it said.

use std::path::Path;

use anyhow::{Context, Result};
use netloom_spec::terminal;
use rustix::fs::inotify;
use serde_json::{Value, json};

use super::log::{self, Call};
use crate::cli::TraceShow;

/// How wide the bar of a whole operation is, in characters.
const BAR: usize = 24;

pub(super) fn run(show: &TraceShow, is_json: bool) -> Result<()> {
    let (calls, bad) = log::read(&show.log)?;
    if bad > 0 {
        note!(
            "netloom: {bad} lines of {} are no calls",
            show.log.display()
        );
    }
    let numbered: Vec<(usize, &Call)> = (1..).zip(&calls).collect();
    let is_wanted = |call: &Call| {
        let wanted = show.id.as_deref();
        wanted.is_none_or(|id| call.variable("CNI_CONTAINERID").starts_with(id))
    };
    let mut operations = operations(&numbered, is_wanted);
    if show.last {
        operations.drain(..operations.len().saturating_sub(1));
    }
    if is_json {
        let list: Vec<Value> = operations
            .iter()
            .map(|it| document(it, &numbered))
            .collect();
        print_json!(Value::Array(list));
    } else {
        operations.iter().for_each(|it| waterfall(it, &numbered));
    }
    match show.follow {
        true => follow(show, is_wanted),
        false => Ok(()),
    }
}

/// All of a log.
pub(super) fn all(path: &Path) -> Result<()> {
    if !path.exists() {
        println!("no plugin was called");
        return Ok(());
    }
    let (calls, _) = log::read(path)?;
    let numbered: Vec<(usize, &Call)> = (1..).zip(&calls).collect();
    let operations = operations(&numbered, |_| true);
    operations.iter().for_each(|it| waterfall(it, &numbered));
    Ok(())
}

/// What one runtime did for one attachment: calls of one command, one after the other.
struct Operation<'c> {
    calls: Vec<(usize, &'c Call)>,
}

fn operations<'c>(
    calls: &[(usize, &'c Call)],
    is_wanted: impl Fn(&Call) -> bool,
) -> Vec<Operation<'c>> {
    let is_inner = |it: &Call| calls.iter().any(|(_, other)| it.is_within(other));
    let mut outer: Vec<(usize, &Call)> = calls.to_vec();
    outer.retain(|(_, it)| is_wanted(it) && !is_inner(it));
    outer.sort_by_key(|(_, it)| it.time);
    let mut operations: Vec<Operation<'_>> = Vec::new();
    for (number, call) in outer {
        let belongs = operations.iter_mut().rev().find(|operation| {
            let (_, last) = operation.calls[operation.calls.len() - 1];
            let same = |name| last.variable(name) == call.variable(name);
            let is_next = !operation
                .calls
                .iter()
                .any(|(_, it)| it.plugin == call.plugin);
            last.caller == call.caller
                && is_next
                && ["CNI_COMMAND", "CNI_CONTAINERID", "CNI_IFNAME"]
                    .into_iter()
                    .all(same)
        });
        match belongs {
            Some(operation) => operation.calls.push((number, call)),
            None => operations.push(Operation {
                calls: vec![(number, call)],
            }),
        }
    }
    operations
}

fn waterfall(operation: &Operation<'_>, all: &[(usize, &Call)]) {
    let (_, first) = operation.calls[0];
    let end = operation.calls.iter().map(|(_, it)| it.end()).max();
    let span = end.unwrap_or_default().saturating_sub(first.time).max(1);
    println!(
        "{} {} {} {}   {}",
        clock(first.time),
        or_dash(first.variable("CNI_COMMAND")),
        or_dash(first.variable("CNI_CONTAINERID")),
        or_dash(first.variable("CNI_IFNAME")),
        milliseconds(span),
    );
    for (number, call) in &operation.calls {
        row(*number, call, 0, (first.time, span), all);
    }
    println!();
}

fn row(number: usize, call: &Call, depth: usize, of: (u64, u64), all: &[(usize, &Call)]) {
    let name = format!("{}{}", "  ".repeat(depth), call.plugin);
    println!(
        "  #{number:<4} {:<20} │{}│ {:>10}  {}",
        terminal::one_line(&name),
        bar(call, of),
        milliseconds(call.micros),
        call.ending(),
    );
    told(call, depth);
    let mut inner: Vec<_> = all.iter().filter(|(_, it)| it.is_within(call)).collect();
    inner.sort_by_key(|(_, it)| it.time);
    for (number, it) in inner {
        row(*number, it, depth + 1, of, all);
    }
}

/// What the plugin said on stderr, which runtimes swallow, and why it failed.
fn told(call: &Call, depth: usize) {
    let indent = "  ".repeat(depth);
    for line in call.stderr.lines() {
        println!(
            "        {indent}{} │ {}",
            call.plugin,
            terminal::one_line(line)
        );
    }
    if call.is_success() || call.stdout.is_empty() {
        return;
    }
    let error = serde_json::from_str::<Value>(&call.stdout).ok();
    let words = error.as_ref().and_then(|it| it["msg"].as_str());
    let words = terminal::bounded_line(words.unwrap_or(&call.stdout), 500);
    println!("        {indent}failed: {words}");
}

fn bar(call: &Call, (start, span): (u64, u64)) -> String {
    let at = |time: u64| {
        let part = time.saturating_sub(start) as f64 / span as f64;
        ((part * BAR as f64) as usize).min(BAR)
    };
    let from = at(call.time).min(BAR - 1);
    let to = at(call.end()).max(from + 1);
    let blank = |count| " ".repeat(count);
    format!(
        "{}{}{}",
        blank(from),
        "━".repeat(to - from),
        blank(BAR - to)
    )
}

fn document(operation: &Operation<'_>, all: &[(usize, &Call)]) -> Value {
    let (_, first) = operation.calls[0];
    let calls = operation
        .calls
        .iter()
        .map(|(number, call)| call_document(*number, call, all));
    json!({
        "command": first.variable("CNI_COMMAND"),
        "containerID": first.variable("CNI_CONTAINERID"),
        "ifname": first.variable("CNI_IFNAME"),
        "calls": calls.collect::<Vec<_>>(),
    })
}

fn call_document(number: usize, call: &Call, all: &[(usize, &Call)]) -> Value {
    let inner = all.iter().filter(|(_, it)| it.is_within(call));
    let calls = inner.map(|(number, it)| call_document(*number, it, all));
    json!({
        "number": number,
        "time": call.time,
        "micros": call.micros,
        "plugin": call.plugin,
        "path": call.path,
        "exit": call.exit,
        "signal": call.signal,
        "stdin": call.stdin,
        "stdout": call.stdout,
        "stderr": call.stderr,
        "calls": calls.collect::<Vec<_>>(),
    })
}

/// Shows further calls as they end, until it is ended itself.
fn follow(show: &TraceShow, is_wanted: impl Fn(&Call) -> bool) -> Result<()> {
    let failed = || format!("watch {}", show.log.display());
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC).with_context(failed)?;
    let dir = show.log.parent().filter(|it| !it.as_os_str().is_empty());
    let events = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE;
    inotify::add_watch(&watch, dir.unwrap_or(Path::new(".")), events).with_context(failed)?;
    let (mut seen, _) = log::read(&show.log)?;
    let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
    loop {
        let mut reader = inotify::Reader::new(&watch, &mut buffer);
        reader.next().with_context(failed)?;
        let Ok((calls, _)) = log::read(&show.log) else {
            continue;
        };
        // A log that was turned over begins anew.
        let from = match calls.len() >= seen.len() {
            true => seen.len(),
            false => 0,
        };
        for (number, call) in (1..).zip(&calls).skip(from).filter(|(_, it)| is_wanted(it)) {
            let command = call.variable("CNI_COMMAND");
            print!("{} {command:<7} ", clock(call.time));
            row(number, call, 0, (call.time, call.micros.max(1)), &[]);
        }
        seen = calls;
    }
}

fn milliseconds(micros: u64) -> String {
    format!("{:.2} ms", micros as f64 / 1e3)
}

fn or_dash(text: &str) -> String {
    match text {
        "" => "–".to_owned(),
        text => terminal::one_line(text).into_owned(),
    }
}

/// The time of day, UTC.
fn clock(micros: u64) -> String {
    let (seconds, millis) = (micros / 1_000_000, micros / 1000 % 1000);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{hour:02}:{minute:02}:{second:02}.{millis:03}")
}
