//! An ADD that fails leaves nothing.

use serde_json::json;

use crate::bench::{Bench, brief};
use crate::call::Request;
use crate::case::cases;
use crate::host;
use crate::stop::{Check, skip, wrong};
use crate::stub::{self, Stub};

cases! {
    "240" Must IM "Delegated plugins" "an ADD whose IPAM plugin fails leaves nothing" ipam_leaves_nothing "fails";
    "241" Must IM "Delegated plugins" "an ADD whose IPAM plugin is missing leaves nothing" ipam_leaves_nothing "missing";
    "242" Must IM "Delegated plugins" "an ADD whose IPAM plugin prints no JSON leaves nothing" ipam_leaves_nothing "rubbish";
    "243" Must IM "Delegated plugins" "an ADD whose IPAM plugin is killed leaves nothing" ipam_leaves_nothing "killed";
    "244" Should IM "Delegated plugins" "the error of the IPAM plugin comes out" ipam_error "";
    "245" Must IM "Delegated plugins" "an ADD that fails after the IPAM plugin leaves nothing" late_leaves_nothing "";
    "246" Must IM "Delegated plugins" "an ADD that fails after the IPAM plugin gives the address back" late_frees "";
    "247" Must IM "Delegated plugins" "the IPAM plugin gets the variables of the call" ipam_variables "";
    "248" Must IM "Delegated plugins" "the IPAM plugin is found in any directory of CNI_PATH" ipam_in_second "";
    "249" Must IM "Delegated plugins" "the IPAM plugin is found nowhere but in CNI_PATH" ipam_not_in_path "";
    "250" Should ALL "ADD" "an ADD that fails on a full disk leaves nothing" disk "full";
    "251" Should ALL "ADD" "an ADD that fails on a read-only disk leaves nothing" disk "read-only";
}

/// A request with another IPAM plugin.
pub(super) fn with_ipam(
    bench: &mut Bench<'_>,
    command: &str,
    pod: usize,
    name: &str,
) -> Check<Request> {
    if !bench.subject.has_ipam() {
        return skip("the configuration has no ipam");
    }
    if name == stub::IPAM.0 {
        bench.put(stub::IPAM)?;
    }
    let subject = bench.subject;
    Ok(Bench::edit(bench.request(command, pod), |conf| {
        if let Some(ipam) = subject.ipam_of(conf) {
            *ipam = json!({ "type": name });
        }
    }))
}

/// Puts the stub there of which the case speaks.
fn put(bench: &mut Bench<'_>, how: &str) -> Check<&'static str> {
    let stub: Stub = match how {
        "fails" => stub::FAILS,
        "rubbish" => stub::RUBBISH,
        "killed" => stub::KILLED,
        _ => return Ok("conform-missing"),
    };
    bench.put(stub)?;
    Ok(stub.0)
}

fn fails_cleanly(bench: &mut Bench<'_>, name: &str) -> Check<serde_json::Value> {
    bench.needs_add()?;
    bench.prime()?;
    let pod = bench.pod("one")?;
    let before = bench.look()?;
    let request = with_ipam(bench, "ADD", pod, name)?;
    let error = bench.refused(&request)?;
    bench.unchanged(&before, "after an ADD that failed")?;
    Ok(error)
}

fn ipam_leaves_nothing(bench: &mut Bench<'_>, how: &'static str) -> Check {
    let name = put(bench, how)?;
    fails_cleanly(bench, name).map(drop)
}

fn ipam_error(bench: &mut Bench<'_>, _: &str) -> Check {
    let name = put(bench, "fails")?;
    let error = fails_cleanly(bench, name)?;
    match error.to_string().contains("the kit says no") {
        true => Ok(()),
        false => wrong(format!(
            "expected the IPAM plugin's words \"the kit says no\", got {error}"
        )),
    }
}

/// An ADD that gets an address, with a route that cannot be.
fn late(bench: &mut Bench<'_>) -> Check {
    bench.put(stub::ABSURD)?;
    bench.needs_add()?;
    bench.prime()?;
    let pod = bench.pod("one")?;
    let before = bench.look()?;
    stub::forget();
    let request = with_ipam(bench, "ADD", pod, stub::ABSURD.0)?;
    let said = bench.call(&request)?;
    if said.is_success() {
        return skip("ADD succeeds with a route whose gateway cannot be reached");
    }
    bench.unchanged(&before, "after an ADD that failed")
}

fn late_leaves_nothing(bench: &mut Bench<'_>, _: &str) -> Check {
    late(bench)
}

fn late_frees(bench: &mut Bench<'_>, _: &str) -> Check {
    late(bench)?;
    called(&["ADD conform-one eth0", "DEL conform-one eth0"])
}

/// Whether stubs had these calls, in this order.
pub(super) fn called(expected: &[&str]) -> Check {
    let calls = stub::calls();
    let mut left = expected.iter().peekable();
    for call in &calls {
        left.next_if(|it| *it == call);
    }
    match left.next() {
        None => Ok(()),
        Some(missing) => wrong(format!(
            "expected the delegate to be called with {missing:?}, got the calls {}",
            brief(&calls.join(", "))
        )),
    }
}

fn ipam_variables(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    stub::forget();
    let request = with_ipam(bench, "ADD", pod, stub::IPAM.0)?;
    let made = bench.add_by(pod, &request)?;
    called(&["ADD conform-one eth0"])?;
    let request = with_ipam(bench, "DEL", made.pod, stub::IPAM.0)?;
    bench.succeeds(&request)?;
    called(&["ADD conform-one eth0", "DEL conform-one eth0"])
}

fn ipam_in_second(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    let dir = format!("{}/second", host::OWN);
    bench.put_into(("conform-second", stub::IPAM.1), &dir)?;
    let pod = bench.pod("one")?;
    let request = with_ipam(bench, "ADD", pod, "conform-second")?;
    let path = format!("{}:{dir}", request.variable("CNI_PATH"));
    bench.add_by(pod, &request.set("CNI_PATH", &path)).map(drop)
}

fn ipam_not_in_path(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    let dir = format!("{}/elsewhere", host::OWN);
    bench.put_into(("conform-elsewhere", stub::IPAM.1), &dir)?;
    let pod = bench.pod("one")?;
    let request = with_ipam(bench, "ADD", pod, "conform-elsewhere")?;
    let path = format!("{}:{dir}", request.variable("PATH"));
    bench.refused(&request.set("PATH", &path)).map(drop)
}

/// Where plugins keep what they know.
const STATE: [&str; 2] = ["/var/lib/cni", "/run/cni"];

fn disk(bench: &mut Bench<'_>, how: &'static str) -> Check {
    bench.needs_add()?;
    bench.prime()?;
    for directory in STATE {
        host::break_directory(directory, how)?;
        bench.step(match how {
            "full" => format!("mkdir -p {directory}; mount -t tmpfs -o size=4k t {directory}; head -c 4096 /dev/zero >{directory}/ballast"),
            _ => format!("mkdir -p {directory}; mount -t tmpfs -o ro t {directory}"),
        });
    }
    let pod = bench.pod("one")?;
    let before = bench.look()?;
    let request = bench.request("ADD", pod);
    let said = bench.call(&request)?;
    if said.is_success() {
        return Ok(());
    }
    crate::bench::refusal(&said)?;
    let mut found = bench.differences(&before)?;
    // An empty file takes no room, and the next call uses it.
    found.retain(|it| it.object.kind != netloom_observe::Kind::File);
    match found.first() {
        None => Ok(()),
        Some(left) => wrong(format!(
            "expected nothing to differ after an ADD that failed, got: {left}"
        )),
    }
}
