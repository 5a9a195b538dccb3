//! Plugins that work on what those before them made.

use netloom_kernel::rtnl::Socket;
use serde_json::json;

use crate::bench::Bench;
use crate::case::cases;
use crate::stop::{Check, wrong};

cases! {
    "501" Must C "ADD" "the interfaces of prevResult come out" comes_out "interfaces";
    "502" Must C "ADD" "the addresses of prevResult come out" comes_out "ips";
    "503" Must C "ADD" "the routes of prevResult come out" comes_out "routes";
    "504" Should C "ADD" "the DNS of prevResult comes out" comes_out "dns";
    "505" Must C "DEL" "DEL leaves the interface of the plugins before" interface_stays "";
    "506" Should C "ADD" "a prevResult without addresses is accepted, or refused with nothing left" empty_result "";
    "507" Should C "ADD" "without a prevResult ADD succeeds or is refused with nothing left" no_result "";
    "508" Must C "DEL" "DEL succeeds when the plugins before have removed the interface" interface_gone "";
}

fn comes_out(bench: &mut Bench<'_>, key: &'static str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let made = bench.add(pod)?;
    let Some(before) = bench.pods[pod].before.clone() else {
        return Ok(());
    };
    let result = &made.result;
    let mac = |it: &netloom_spec::Interface| (it.name.clone(), it.sandbox.clone());
    let is_there = match key {
        "interfaces" => {
            let out: Vec<_> = result.interfaces.iter().map(mac).collect();
            before
                .interfaces
                .iter()
                .map(mac)
                .all(|it| out.contains(&it))
        }
        "ips" => before.ips.iter().all(|ip| {
            result
                .ips
                .iter()
                .any(|it| it.address == ip.address && it.gateway == ip.gateway)
        }),
        "routes" => before.routes.iter().all(|it| result.routes.contains(it)),
        _ => result.dns == before.dns,
    };
    match is_there {
        true => Ok(()),
        false => wrong(format!(
            "expected the {key} of prevResult in the result, got {}",
            made.document
        )),
    }
}

fn interface_stays(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let made = bench.add(pod)?;
    bench.del(&made)?;
    let inside = Socket::open_in(&bench.pods[pod].netns)?;
    let Some(link) = inside.find_link("eth0")? else {
        return wrong("DEL removed eth0, which the plugins before made");
    };
    match inside
        .list_addresses(link.index)?
        .iter()
        .any(|it| it.address.addr().is_ipv4())
    {
        true => Ok(()),
        false => wrong("DEL removed the address of eth0, which the plugins before gave"),
    }
}

fn with_result(bench: &mut Bench<'_>, result: Option<serde_json::Value>) -> Check {
    bench.needs_add()?;
    bench.prime()?;
    let pod = bench.pod("one")?;
    let before = bench.look()?;
    let request = Bench::edit(bench.request("ADD", pod), |conf| {
        let Some(conf) = conf.as_object_mut() else {
            return;
        };
        match result {
            Some(result) => drop(conf.insert("prevResult".to_owned(), result)),
            None => drop(conf.remove("prevResult")),
        }
    });
    let said = bench.call(&request)?;
    match said.is_success() {
        true => bench.result(&said).map(drop),
        false => {
            crate::bench::refusal(&said)?;
            bench.unchanged(&before, "after an ADD that failed")
        }
    }
}

fn empty_result(bench: &mut Bench<'_>, _: &str) -> Check {
    let version = bench.version.as_str();
    with_result(
        bench,
        Some(json!({"cniVersion": version, "interfaces": [], "ips": []})),
    )
}

fn no_result(bench: &mut Bench<'_>, _: &str) -> Check {
    with_result(bench, None)
}

fn interface_gone(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let made = bench.add(pod)?;
    let inside = Socket::open_in(&bench.pods[pod].netns)?;
    inside.remove_link("eth0")?;
    bench.step("ip -n one link del eth0");
    bench.del(&made).map(drop)
}
