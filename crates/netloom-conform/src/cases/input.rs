//! The configuration on stdin.

use serde_json::json;

use crate::bench::Bench;
use crate::call::CallMode;
use crate::case::cases;
use crate::stop::{Check, wrong};

cases! {
    "030" Must ALL "Configuration" "ADD with nothing on stdin is refused" refused_stdin "";
    "031" Must ALL "Configuration" "ADD with a configuration that is no JSON is refused" refused_stdin "{\"cniVersion\": \"1.0.0\", \"name\"";
    "032" Should ALL "Error, code 6" "a configuration that is no JSON is refused with code 6" garbage_is_code_6 "this is not JSON";
    "033" Must ALL "Configuration" "a configuration that is no object is refused" refused_stdin "[]";
    "034" Extra ALL "Configuration" "two documents on stdin are refused" two_documents "";
    "035" Should ALL "Configuration" "unknown keys of 1 MiB are accepted" large "";
    "036" Must ALL "Parameters" "stdin that comes slowly is waited for" slow "";
    "037" Should ALL "Configuration" "a configuration without a name is refused" name "";
    "038" Should ALL "Configuration" "a name that leads out of a directory is refused" name "../x";
    "039" Must ALL "Configuration" "unknown keys are ignored" unknown_keys "";
    "040" Should ALL "Configuration" "a DEL with a configuration that is no JSON is refused" garbage_at_del "{";
}

fn refused_stdin(bench: &mut Bench<'_>, stdin: &'static str) -> Check {
    let pod = bench.pod("one")?;
    let before = bench.look()?;
    let request = bench.request("ADD", pod).stdin(stdin);
    bench.refused(&request)?;
    bench.unchanged(&before, "after a refused call")
}

fn garbage_is_code_6(bench: &mut Bench<'_>, stdin: &'static str) -> Check {
    let pod = bench.pod("one")?;
    let request = bench.request("ADD", pod).stdin(stdin);
    let error = bench.refused(&request)?;
    match error["code"].as_u64() {
        Some(6) => Ok(()),
        _ => wrong(format!("expected code 6, got {error}")),
    }
}

fn garbage_at_del(bench: &mut Bench<'_>, stdin: &'static str) -> Check {
    let pod = bench.pod("one")?;
    let request = bench.request("DEL", pod).stdin(stdin);
    bench.refused(&request).map(drop)
}

fn two_documents(bench: &mut Bench<'_>, _: &str) -> Check {
    let pod = bench.pod("one")?;
    let before = bench.look()?;
    let request = bench.request("ADD", pod);
    let twice = format!("{0}\n{0}", request.stdin);
    bench.refused(&request.stdin(twice))?;
    bench.unchanged(&before, "after a refused call")
}

fn large(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let request = Bench::edit(bench.request("ADD", pod), |conf| {
        conf["x.conform/ballast"] = json!("x".repeat(1024 * 1024));
    });
    let made = bench.add_by(pod, &request)?;
    // A megabyte says nothing in a report.
    for call in &mut bench.calls {
        call.stdin.truncate(200);
        call.line.truncate(200);
    }
    bench.del(&made).map(drop)
}

fn slow(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let request = bench.request("ADD", pod).mode(CallMode::Slowly);
    bench.add_by(pod, &request).map(drop)
}

fn name(bench: &mut Bench<'_>, name: &'static str) -> Check {
    let pod = bench.pod("one")?;
    let before = bench.look()?;
    let request = Bench::edit(bench.request("ADD", pod), |conf| {
        conf["name"] = json!(name);
    });
    bench.refused(&request)?;
    bench.unchanged(&before, "after a refused call")
}

fn unknown_keys(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let request = Bench::edit(bench.request("ADD", pod), |conf| {
        conf["x.conform/unknown"] = json!({"of": ["another", 1, null, true]});
    });
    bench.add_by(pod, &request).map(drop)
}
