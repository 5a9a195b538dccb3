//! The command, and the variables that come with it.

use netloom_spec::Version;
use serde_json::Value;

use crate::bench::{Bench, brief, refusal};
use crate::call::Request;
use crate::case::cases;
use crate::stop::{Check, wrong};

cases! {
    "001" Must ALL "VERSION" "VERSION answers with cniVersion and supportedVersions" version_answers "";
    "002" Should ALL "VERSION" "each supported version is one of the specification" version_is_known "";
    "003" Extra ALL "VERSION" "VERSION needs nothing on stdin" version_without_stdin "";
    "004" Must ALL "Error, code 4" "an unknown CNI_COMMAND is refused with code 4" unknown_command "FROBNICATE";
    "005" Should ALL "Error, code 4" "CNI_COMMAND in lower case is refused with code 4" unknown_command "add";
    "006" Should ALL "Parameters" "without CNI_COMMAND nothing is added" missing_command "";
    "007" Must ALL "ADD" "ADD without CNI_CONTAINERID is refused with code 4" missing "ADD CNI_CONTAINERID";
    "008" Must ALL "ADD" "ADD without CNI_NETNS is refused with code 4" missing "ADD CNI_NETNS";
    "009" Must ALL "ADD" "ADD without CNI_IFNAME is refused with code 4" missing "ADD CNI_IFNAME";
    "010" Must ALL "DEL" "DEL without CNI_CONTAINERID is refused with code 4" missing "DEL CNI_CONTAINERID";
    "011" Must ALL "DEL" "DEL without CNI_IFNAME is refused with code 4" missing "DEL CNI_IFNAME";
    "012" Should ALL "CHECK" "CHECK without CNI_CONTAINERID is refused with code 4" missing "CHECK CNI_CONTAINERID";
    "013" Should ALL "CHECK" "CHECK without CNI_NETNS is refused with code 4" missing "CHECK CNI_NETNS";
    "014" Should ALL "CHECK" "CHECK without CNI_IFNAME is refused with code 4" missing "CHECK CNI_IFNAME";
    "015" Extra ALL "Error, code 4" "the error about a missing variable names it" missing_is_named "ADD CNI_CONTAINERID";
    "016" Must ALL "Parameters" "a CNI_CONTAINERID with a slash is refused" bad_id "a/../b";
    "017" Should ALL "Parameters" "a CNI_CONTAINERID that begins with a dot is refused" bad_id ".a";
    "018" Should ALL "Parameters" "a CNI_CONTAINERID with a blank is refused" bad_id "a b";
    "019" Should ALL "Parameters" "a CNI_IFNAME of 16 bytes is refused" bad_ifname "eth0123456789abc";
    "020" Should ALL "Parameters" "a CNI_IFNAME with a slash is refused" bad_ifname "eth/0";
    "021" Should ALL "Parameters" "a CNI_IFNAME with a colon is refused" bad_ifname "eth:0";
    "022" Should ALL "Parameters" "a CNI_IFNAME of a dot is refused" bad_ifname ".";
    "023" Should ALL "Parameters" "a CNI_IFNAME with a blank is refused" bad_ifname "eth 0";
    "024" Extra ALL "Parameters" "a CNI_CONTAINERID of 200 characters is accepted" long_id "";
}

fn version_request(bench: &Bench<'_>) -> Request {
    let request = bench.network_request("VERSION");
    request
        .stdin(r#"{"cniVersion": "1.0.0"}"#)
        .without("CNI_PATH")
}

fn supported(bench: &mut Bench<'_>, request: &Request) -> Check<Vec<String>> {
    let said = bench.succeeds(request)?;
    let Ok(answer) = serde_json::from_str::<Value>(&said.stdout) else {
        return wrong(format!(
            "expected one JSON document on stdout, got {}",
            brief(&said.stdout)
        ));
    };
    let versions = answer["supportedVersions"].as_array().into_iter().flatten();
    let versions: Vec<String> = versions
        .filter_map(|it| Some(it.as_str()?.to_owned()))
        .collect();
    match answer["cniVersion"].is_string() && !versions.is_empty() {
        true => Ok(versions),
        false => wrong(format!(
            "expected cniVersion and supportedVersions, got {}",
            brief(&said.stdout)
        )),
    }
}

fn version_answers(bench: &mut Bench<'_>, _: &str) -> Check {
    let request = version_request(bench);
    supported(bench, &request).map(drop)
}

fn version_is_known(bench: &mut Bench<'_>, _: &str) -> Check {
    let request = version_request(bench);
    for version in supported(bench, &request)? {
        if version.parse::<Version>().is_err() {
            return wrong(format!("{version:?} is no version of the specification"));
        }
    }
    Ok(())
}

fn version_without_stdin(bench: &mut Bench<'_>, _: &str) -> Check {
    let request = version_request(bench).stdin("");
    supported(bench, &request).map(drop)
}

/// The refusal, of which the host shows nothing.
fn refused_with(bench: &mut Bench<'_>, request: &Request, code: u64) -> Check<Value> {
    let before = bench.look()?;
    let error = bench.refused(request)?;
    if error["code"].as_u64() != Some(code) {
        return wrong(format!("expected code {code}, got {error}"));
    }
    bench.unchanged(&before, "after a refused call")?;
    Ok(error)
}

fn unknown_command(bench: &mut Bench<'_>, command: &'static str) -> Check {
    let pod = bench.pod("one")?;
    let request = bench.request(command, pod);
    refused_with(bench, &request, 4).map(drop)
}

/// The reference tells people about itself then, and succeeds.
fn missing_command(bench: &mut Bench<'_>, _: &str) -> Check {
    let pod = bench.pod("one")?;
    let before = bench.look()?;
    let request = bench.request("ADD", pod).without("CNI_COMMAND");
    let said = bench.call(&request)?;
    if !(said.is_success() && said.stdout.trim().is_empty()) {
        refusal(&said)?;
    }
    bench.unchanged(&before, "after a call without a command")
}

fn missing_of(bench: &mut Bench<'_>, given: &str) -> Check<Request> {
    let (command, variable) = given.split_once(' ').unwrap_or_default();
    if command == "CHECK" {
        bench.needs_version(Version::V0_4_0)?;
    }
    let pod = bench.pod("one")?;
    Ok(bench.request(command, pod).without(variable))
}

fn missing(bench: &mut Bench<'_>, given: &'static str) -> Check {
    let request = missing_of(bench, given)?;
    refused_with(bench, &request, 4).map(drop)
}

fn missing_is_named(bench: &mut Bench<'_>, given: &'static str) -> Check {
    let request = missing_of(bench, given)?;
    let error = bench.refused(&request)?;
    let variable = given.split(' ').next_back().unwrap_or_default();
    match error.to_string().contains(variable) {
        true => Ok(()),
        false => wrong(format!(
            "expected an error that names {variable}, got {error}"
        )),
    }
}

fn bad(bench: &mut Bench<'_>, variable: &str, value: &str) -> Check {
    let pod = bench.pod("one")?;
    let request = bench.request("ADD", pod).set(variable, value);
    let before = bench.look()?;
    bench.refused(&request)?;
    bench.unchanged(&before, "after a refused call")
}

fn bad_id(bench: &mut Bench<'_>, id: &'static str) -> Check {
    bad(bench, "CNI_CONTAINERID", id)
}

fn bad_ifname(bench: &mut Bench<'_>, name: &'static str) -> Check {
    bad(bench, "CNI_IFNAME", name)
}

fn long_id(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    bench.pods[pod].id = "c".repeat(200);
    let made = bench.add(pod)?;
    bench.del(&made).map(drop)
}
