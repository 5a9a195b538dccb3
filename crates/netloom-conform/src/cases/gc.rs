//! GC and STATUS.

use netloom_kernel::netns;
use netloom_spec::Version;
use serde_json::{Value, json};

use super::failure::called;
use crate::bench::{Attached, Bench};
use crate::call::Request;
use crate::case::cases;
use crate::stop::{Check, skip, wrong};
use crate::stub;

cases! {
    "420" Must ALL "GC" "GC that is told all attachments changes nothing" keeps_all "";
    "421" Must ALL "GC" "GC of a network that was never used succeeds" unused "";
    "422" Must ALL "GC" "GC keeps the attachments that it is told" keeps_valid "";
    "423" Must P "GC" "GC frees the addresses of attachments that it is not told" frees "";
    "424" Should IM "GC" "GC calls GC of the IPAM plugin" forwards "GC";
    "425" Must ALL "GC" "GC needs no variables of a container" needs_no_container "GC";
    "426" Should ALL "GC" "GC succeeds twice" gc_twice "";
    "427" Extra ALL "GC" "GC removes from the host what belongs to no attachment" removes_stale "";
    "440" Must ALL "STATUS" "STATUS succeeds where ADD does" status "";
    "441" Must ALL "STATUS" "STATUS needs no variables of a container" needs_no_container "STATUS";
    "442" Should IM "STATUS" "STATUS fails where the IPAM plugin's does" status_of_ipam "";
    "443" Should IM "STATUS" "STATUS calls STATUS of the IPAM plugin" forwards "STATUS";
    "444" Must ALL "STATUS" "STATUS changes nothing" status_changes_nothing "";
}

fn needs(bench: &Bench<'_>) -> Check {
    bench.needs_version(Version::V1_1_0)?;
    bench.needs_add()
}

/// A GC that is told these attachments.
fn collect(bench: &Bench<'_>, valid: &[&Attached]) -> Request {
    let valid: Vec<Value> = valid
        .iter()
        .map(|it| json!({"containerID": bench.pods[it.pod].id, "ifname": it.ifname}))
        .collect();
    Bench::edit(bench.network_request("GC"), |conf| {
        conf["cni.dev/valid-attachments"] = json!(valid);
    })
}

fn keeps_all(bench: &mut Bench<'_>, _: &str) -> Check {
    needs(bench)?;
    let pod = bench.pod("one")?;
    let made = bench.add(pod)?;
    let before = bench.look()?;
    let request = collect(bench, &[&made]);
    bench.succeeds(&request)?;
    bench.unchanged(&before, "after GC that was told all attachments")
}

fn unused(bench: &mut Bench<'_>, _: &str) -> Check {
    needs(bench)?;
    let request = collect(bench, &[]);
    bench.succeeds(&request).map(drop)
}

/// Two attachments, of which the second one's namespace is gone.
fn stale(bench: &mut Bench<'_>) -> Check<(netloom_observe::Snapshot, Attached)> {
    needs(bench)?;
    bench.needs_several()?;
    bench.prime()?;
    let one = bench.pod("one")?;
    let first = bench.add(one)?;
    let before = bench.look()?;
    let two = bench.pod("two")?;
    bench.add(two)?;
    netns::remove_at(&bench.pods[two].path)?;
    bench.pods[two].netns = netns::Netns::current()?;
    bench.step("ip netns del two");
    Ok((before, first))
}

fn keeps_valid(bench: &mut Bench<'_>, _: &str) -> Check {
    needs(bench)?;
    bench.needs_several()?;
    let (one, two) = (bench.pod("one")?, bench.pod("two")?);
    let first = bench.add(one)?;
    bench.add(two)?;
    let request = collect(bench, &[&first]);
    bench.succeeds(&request)?;
    let request = bench.after("CHECK", &first);
    bench.succeeds(&request)?;
    let made = first
        .result
        .ips
        .iter()
        .map(|it| it.address)
        .collect::<Vec<_>>();
    // Nobody else may get the address that is kept.
    let third = bench.pod("three")?;
    let third = bench.add(third)?;
    match third
        .result
        .ips
        .iter()
        .find(|it| made.contains(&it.address))
    {
        Some(ip) => wrong(format!(
            "GC freed the address {} of an attachment that it was told",
            ip.address
        )),
        None => Ok(()),
    }
}

fn frees(bench: &mut Bench<'_>, _: &str) -> Check {
    needs(bench)?;
    bench.prime()?;
    let pod = bench.pod("one")?;
    let before = bench.look()?;
    bench.add(pod)?;
    let request = collect(bench, &[]);
    bench.succeeds(&request)?;
    bench.unchanged(&before, "after ADD and GC that was told no attachment")
}

fn removes_stale(bench: &mut Bench<'_>, _: &str) -> Check {
    let (before, first) = stale(bench)?;
    let request = collect(bench, &[&first]);
    bench.succeeds(&request)?;
    super::del::settles(
        bench,
        &before,
        "after GC of an attachment whose namespace is gone",
    )
}

fn gc_twice(bench: &mut Bench<'_>, _: &str) -> Check {
    needs(bench)?;
    let pod = bench.pod("one")?;
    bench.add(pod)?;
    let request = collect(bench, &[]);
    bench.succeeds(&request)?;
    bench.succeeds(&request).map(drop)
}

fn of_ipam(bench: &mut Bench<'_>, command: &str) -> Check<Request> {
    bench.put(stub::IPAM)?;
    let subject = bench.subject;
    if !subject.has_ipam() {
        return skip("the configuration has no ipam");
    }
    let request = match command {
        "GC" => collect(bench, &[]),
        _ => bench.network_request(command),
    };
    Ok(Bench::edit(request, |conf| {
        if let Some(ipam) = subject.ipam_of(conf) {
            *ipam = json!({ "type": stub::IPAM.0 });
        }
    }))
}

fn forwards(bench: &mut Bench<'_>, command: &'static str) -> Check {
    needs(bench)?;
    let request = of_ipam(bench, command)?;
    stub::forget();
    bench.succeeds(&request)?;
    called(&[if command == "GC" { "GC  " } else { "STATUS  " }])
}

fn needs_no_container(bench: &mut Bench<'_>, command: &'static str) -> Check {
    needs(bench)?;
    let request = match command {
        "GC" => collect(bench, &[]),
        _ => bench.network_request(command),
    };
    bench.succeeds(&request).map(drop)
}

fn status(bench: &mut Bench<'_>, _: &str) -> Check {
    needs(bench)?;
    let pod = bench.pod("one")?;
    bench.add(pod)?;
    let request = bench.network_request("STATUS");
    bench.succeeds(&request).map(drop)
}

fn status_of_ipam(bench: &mut Bench<'_>, _: &str) -> Check {
    needs(bench)?;
    let request = of_ipam(bench, "STATUS")?;
    std::fs::write("/run/conform/not-ready", "")?;
    bench.step(": >/run/conform/not-ready");
    bench.refused(&request).map(drop)
}

fn status_changes_nothing(bench: &mut Bench<'_>, _: &str) -> Check {
    needs(bench)?;
    let pod = bench.pod("one")?;
    bench.add(pod)?;
    let before = bench.look()?;
    let request = bench.network_request("STATUS");
    bench.call(&request)?;
    bench.unchanged(&before, "after STATUS")
}
