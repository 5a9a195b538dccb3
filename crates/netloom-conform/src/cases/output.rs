//! What goes to stdout and stderr, and what the plugin may rely on.

use netloom_spec::Version;

use crate::bench::{Bench, brief, refusal};
use crate::call::{CallMode, Said};
use crate::case::cases;
use crate::stop::{Check, skip, wrong};

cases! {
    "050" Must ALL "Success" "ADD prints exactly one JSON document" add_prints_one "";
    "051" Must ALL "DEL" "DEL prints nothing" del_is_silent "";
    "052" Must ALL "CHECK" "CHECK prints nothing" check_is_silent "";
    "053" Must ALL "GC" "GC prints nothing" network_is_silent "GC";
    "054" Must ALL "STATUS" "STATUS prints nothing" network_is_silent "STATUS";
    "055" Must ALL "Error" "a failure is one object with code and msg, and an exit status" failure_form "";
    "056" Should ALL "Error" "the object of a failure has the cniVersion" failure_version "";
    "057" Must ALL "Error, code 1" "ADD with a version that nobody speaks is refused with code 1" unknown_version "ADD";
    "058" Should ALL "Error, code 1" "DEL with a version that nobody speaks is refused with code 1" unknown_version "DEL";
    "059" Should ALL "Parameters" "ADD needs no variables but those of CNI" bare_environment "";
    "060" Should ALL "Parameters" "ADD works from a working directory that is gone" no_directory "";
    "061" Extra ALL "Success" "ADD and DEL work while stderr cannot be written" full_stderr "";
    "062" Extra ALL "Success" "an ADD that cannot print its result fails and leaves nothing" full_stdout "";
}

fn silent(said: &Said, command: &str) -> Check {
    match said.stdout.is_empty() {
        true => Ok(()),
        false => wrong(format!(
            "expected nothing on stdout at {command}, got {}",
            brief(&said.stdout)
        )),
    }
}

fn add_prints_one(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.may_add()?;
    let pod = bench.pod("one")?;
    let request = bench.request("ADD", pod);
    let said = bench.call(&request)?;
    if !said.is_success() {
        return skip("ADD fails, which another case tells");
    }
    match serde_json::from_str::<serde_json::Map<_, serde_json::Value>>(&said.stdout) {
        Ok(_) => Ok(()),
        Err(error) => wrong(format!(
            "expected one JSON object on stdout, got {}: {error}",
            brief(&said.stdout)
        )),
    }
}

fn del_is_silent(bench: &mut Bench<'_>, _: &str) -> Check {
    let pod = bench.pod("one")?;
    let request = bench.request("DEL", pod);
    // Whether it succeeds for what was never added, another case asks.
    let said = bench.call(&request)?;
    match said.is_success() {
        true => silent(&said, "DEL"),
        false => Ok(()),
    }
}

fn check_is_silent(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_version(Version::V0_4_0)?;
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let made = bench.add(pod)?;
    let request = bench.after("CHECK", &made);
    let said = bench.call(&request)?;
    match said.is_success() {
        true => silent(&said, "CHECK"),
        false => Ok(()),
    }
}

fn network_is_silent(bench: &mut Bench<'_>, command: &'static str) -> Check {
    bench.needs_version(Version::V1_1_0)?;
    bench.needs_add()?;
    let request = Bench::edit(bench.network_request(command), |conf| {
        conf["cni.dev/valid-attachments"] = serde_json::json!([]);
    });
    let said = bench.call(&request)?;
    match said.is_success() {
        true => silent(&said, command),
        false => Ok(()),
    }
}

fn failure(bench: &mut Bench<'_>) -> Check<Said> {
    let pod = bench.pod("one")?;
    let request = bench.request("ADD", pod).stdin("{");
    bench.call(&request)
}

fn failure_form(bench: &mut Bench<'_>, _: &str) -> Check {
    let said = failure(bench)?;
    refusal(&said).map(drop)
}

fn failure_version(bench: &mut Bench<'_>, _: &str) -> Check {
    let pod = bench.pod("one")?;
    let request = bench.request("FROBNICATE", pod);
    let error = bench.refused(&request)?;
    match error["cniVersion"].is_string() {
        true => Ok(()),
        false => wrong(format!(
            "expected an error object with a cniVersion, got {error}"
        )),
    }
}

fn unknown_version(bench: &mut Bench<'_>, command: &'static str) -> Check {
    let pod = bench.pod("one")?;
    let before = bench.look()?;
    let request = Bench::edit(bench.request(command, pod), |conf| {
        conf["cniVersion"] = serde_json::json!("9.9.9");
    });
    let error = bench.refused(&request)?;
    if error["code"].as_u64() != Some(1) {
        return wrong(format!("expected code 1, got {error}"));
    }
    bench.unchanged(&before, "after a refused call")
}

fn bare_environment(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let request = bench.request("ADD", pod).without("PATH");
    bench.add_by(pod, &request).map(drop)
}

fn no_directory(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let gone = std::path::PathBuf::from("/run/conform/gone");
    std::fs::create_dir(&gone)?;
    bench.step("mkdir /run/conform/gone");
    let request = bench.request("ADD", pod).mode(CallMode::In(gone));
    bench.add_by(pod, &request).map(drop)
}

fn full_stderr(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let request = bench.request("ADD", pod).mode(CallMode::Full("stderr"));
    let made = bench.add_by(pod, &request)?;
    let request = bench.after("DEL", &made).mode(CallMode::Full("stderr"));
    bench.succeeds(&request).map(drop)
}

fn full_stdout(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    bench.prime()?;
    let pod = bench.pod("one")?;
    let before = bench.look()?;
    let request = bench.request("ADD", pod).mode(CallMode::Full("stdout"));
    let said = bench.call(&request)?;
    if said.is_success() {
        return wrong("expected ADD to fail where stdout is full, got exit status 0");
    }
    bench.unchanged(&before, "after an ADD that failed")
}
