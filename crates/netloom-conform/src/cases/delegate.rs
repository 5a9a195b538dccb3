//! Plugins that have another one do the work.

use serde_json::json;

use super::failure::called;
use crate::bench::Bench;
use crate::call::Request;
use crate::case::cases;
use crate::stop::{Check, skip, wrong};
use crate::stub;

cases! {
    "540" Must M "Delegated plugins" "the delegate's result comes out" comes_out "";
    "541" Must M "Delegated plugins" "DEL calls DEL of the delegate" del_is_called "";
    "542" Must M "Delegated plugins" "an ADD whose delegate is missing leaves nothing" missing "";
    "543" Must M "Delegated plugins" "an ADD whose delegate fails leaves nothing" fails "";
    "544" Should M "Delegated plugins" "the error of the delegate comes out" error_comes_out "";
}

fn with_delegate(bench: &Bench<'_>, command: &str, pod: usize, name: &str) -> Check<Request> {
    if !bench.subject.conf["delegate"].is_object() {
        return skip("the configuration has no delegate");
    }
    Ok(Bench::edit(bench.request(command, pod), |conf| {
        conf["delegate"]["type"] = json!(name);
    }))
}

fn comes_out(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    bench.put(stub::DELEGATE)?;
    let pod = bench.pod("one")?;
    let request = with_delegate(bench, "ADD", pod, stub::DELEGATE.0)?;
    let made = bench.add_by(pod, &request)?;
    match made
        .result
        .interfaces
        .iter()
        .any(|it| it.name == "conform0")
    {
        true => Ok(()),
        false => wrong(format!(
            "expected the interface conform0 of the delegate's result, got {}",
            made.document
        )),
    }
}

fn del_is_called(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    bench.put(stub::DELEGATE)?;
    let pod = bench.pod("one")?;
    let request = with_delegate(bench, "ADD", pod, stub::DELEGATE.0)?;
    bench.add_by(pod, &request)?;
    let request = with_delegate(bench, "DEL", pod, stub::DELEGATE.0)?;
    bench.succeeds(&request)?;
    called(&["ADD conform-one eth0", "DEL conform-one eth0"])
}

fn fails_cleanly(bench: &mut Bench<'_>, name: &str) -> Check<serde_json::Value> {
    bench.needs_add()?;
    bench.prime()?;
    let pod = bench.pod("one")?;
    let before = bench.look()?;
    let request = with_delegate(bench, "ADD", pod, name)?;
    let error = bench.refused(&request)?;
    bench.unchanged(&before, "after an ADD that failed")?;
    Ok(error)
}

fn missing(bench: &mut Bench<'_>, _: &str) -> Check {
    fails_cleanly(bench, "conform-missing").map(drop)
}

fn fails(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.put(stub::FAILS)?;
    fails_cleanly(bench, stub::FAILS.0).map(drop)
}

fn error_comes_out(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.put(stub::FAILS)?;
    let error = fails_cleanly(bench, stub::FAILS.0)?;
    match error.to_string().contains("the kit says no") {
        true => Ok(()),
        false => wrong(format!(
            "expected the delegate's words \"the kit says no\", got {error}"
        )),
    }
}
