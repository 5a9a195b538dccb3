//! Plugins that give addresses.

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::bench::{Attached, Bench};
use crate::case::cases;
use crate::stop::{Check, skip, wrong};

cases! {
    "520" Must P "Delegated plugins" "the result has addresses" has_addresses "";
    "521" Must P "Delegated plugins" "the result has no interfaces" has_no_interfaces "";
    "522" Must P "Delegated plugins" "the host's and the container's network are left alone" touches_nothing "";
    "523" Must P "Delegated plugins" "twenty ADDs at the same time give distinct addresses" distinct "";
    "524" Must P "Error" "a pool that is used up is an error" used_up "";
    "525" Must P "Delegated plugins" "an address that DEL freed is given again" given_again "";
    "526" Should P "Delegated plugins" "the gateway is in the subnet of its address" gateway "";
    "527" Must P "Delegated plugins" "addresses are in the subnet of the configuration" in_subnet "";
    "528" Extra P "Delegated plugins" "a second ADD for the same interface leaves one address to free" added_twice "";
}

fn made(bench: &mut Bench<'_>) -> Check<Attached> {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    bench.add(pod)
}

fn has_addresses(bench: &mut Bench<'_>, _: &str) -> Check {
    let made = made(bench)?;
    match made.result.ips.is_empty() {
        true => wrong(format!("expected ips in the result, got {}", made.document)),
        false => Ok(()),
    }
}

fn has_no_interfaces(bench: &mut Bench<'_>, _: &str) -> Check {
    let made = made(bench)?;
    let numbered = made.result.ips.iter().any(|it| it.interface.is_some());
    match made.result.interfaces.is_empty() && !numbered {
        true => Ok(()),
        false => wrong(format!(
            "expected no interfaces in an IPAM plugin's result, got {}",
            made.document
        )),
    }
}

fn touches_nothing(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let before = bench.look()?;
    bench.add(pod)?;
    let mut found = bench.differences(&before)?;
    found.retain(|it| it.object.kind != netloom_observe::Kind::File);
    match found.first() {
        None => Ok(()),
        Some(it) => wrong(format!(
            "expected an IPAM plugin to leave the network alone, got: {it}"
        )),
    }
}

fn distinct(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_several()?;
    let capacity = super::conduct::at_once(bench, 20, "ADD")?;
    let mut seen = BTreeSet::new();
    let mut given = 0;
    for said in capacity.iter().filter(|it| it.is_success()) {
        let (_, result) = bench.result(said)?;
        given += 1;
        for ip in result.ips {
            if !seen.insert(ip.address) {
                return wrong(format!("the address {} was given twice", ip.address));
            }
        }
    }
    match given {
        0 => wrong("expected some of twenty ADDs to succeed, got none"),
        _ => Ok(()),
    }
}

/// How many ADDs a pool is expected to take at most.
const SMALL: usize = 16;

/// Adds until the pool is used up.
fn exhaust(bench: &mut Bench<'_>) -> Check<Vec<Attached>> {
    bench.needs_several()?;
    let mut all = Vec::new();
    for number in 0..SMALL {
        let pod = bench.pod(&format!("p{number}"))?;
        let request = bench.request("ADD", pod);
        let said = bench.call(&request)?;
        if !said.is_success() {
            crate::bench::refusal(&said)?;
            return Ok(all);
        }
        let (document, result) = bench.result(&said)?;
        let ifname = "eth0".to_owned();
        all.push(Attached {
            pod,
            ifname,
            document,
            result,
        });
    }
    skip(format!(
        "the pool has more than {SMALL} addresses: give a configuration with a smaller one"
    ))
}

fn used_up(bench: &mut Bench<'_>, _: &str) -> Check {
    exhaust(bench).map(drop)
}

fn given_again(bench: &mut Bench<'_>, _: &str) -> Check {
    let all = exhaust(bench)?;
    let Some(first) = all.first() else {
        return skip("the pool has no address at all");
    };
    bench.del(first)?;
    let pod = bench.pod("last")?;
    bench.add(pod).map(drop)
}

fn gateway(bench: &mut Bench<'_>, _: &str) -> Check {
    let made = made(bench)?;
    let outside = made
        .result
        .ips
        .iter()
        .find(|ip| ip.gateway.is_some_and(|it| !ip.address.contains(&it)));
    match outside {
        None => Ok(()),
        Some(ip) => wrong(format!(
            "the gateway of {} is not in its subnet, got {}",
            ip.address, made.document
        )),
    }
}

fn in_subnet(bench: &mut Bench<'_>, _: &str) -> Check {
    let subnet = bench.subject.conf["ipam"]["subnet"]
        .as_str()
        .map(str::to_owned);
    let Some(subnet) = subnet.and_then(|it| it.parse::<IpNet>().ok()) else {
        return skip("the configuration has no ipam.subnet");
    };
    let made = made(bench)?;
    match made
        .result
        .ips
        .iter()
        .find(|it| !subnet.contains(&it.address.addr()))
    {
        None => Ok(()),
        Some(ip) => wrong(format!(
            "expected an address of {subnet}, got {}",
            ip.address
        )),
    }
}

fn added_twice(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_several()?;
    bench.prime()?;
    let pod = bench.pod("one")?;
    let before = bench.look()?;
    let made = bench.add(pod)?;
    let request = bench.request("ADD", pod);
    // It may be refused, or give the same again.
    bench.call(&request)?;
    bench.del(&made)?;
    bench.unchanged(&before, "after two ADDs and a DEL of one interface")
}
