//! ADD: which calls it accepts, and which it refuses.

use serde_json::json;

use crate::bench::Bench;
use crate::case::cases;
use crate::stop::{Check, wrong};

cases! {
    "201" Must ALL "ADD" "ADD succeeds" succeeds "";
    "202" Must ALL "ADD" "a container can be added again after DEL" again "";
    "203" Must IM "ADD" "an interface of another name is made under that name" other_name "net1";
    "204" Should IM "ADD" "ADD refuses an interface name that is taken" taken "";
    "205" Must IM "ADD" "a refused ADD leaves the interface that has the name as it was" taken_is_untouched "";
    "206" Must IM "ADD" "one container gets two interfaces of one network" two_names "";
    "207" Must ALL "ADD" "two containers are added at the same time" two_pods "";
    "208" Should IM "ADD" "the host's own namespace is refused" own_namespace "";
    "209" Must IM "ADD" "a CNI_NETNS that does not exist is refused, and nothing is left" bad_namespace "missing";
    "210" Should IM "ADD" "a CNI_NETNS that is a plain file is refused, and nothing is left" bad_namespace "file";
    "211" Should ALL "Parameters" "CNI_ARGS with IgnoreUnknown are accepted" cni_args "IgnoreUnknown=1;K8S_POD_NAME=one;FOO=bar";
    "212" Should ALL "Configuration" "args that the plugin does not know are ignored" extra_key "args";
    "213" Should ALL "Configuration" "runtimeConfig that the plugin does not know is ignored" extra_key "runtimeConfig";
    "214" Should ALL "Configuration" "cniVersions, disableCheck and capabilities are accepted" list_keys "";
}

/// What it prints, other cases ask.
fn succeeds(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.may_add()?;
    let pod = bench.pod("one")?;
    let request = bench.request("ADD", pod);
    bench.succeeds(&request).map(drop)
}

fn again(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    for _ in 0..2 {
        let made = bench.add(pod)?;
        bench.del(&made)?;
    }
    Ok(())
}

fn other_name(bench: &mut Bench<'_>, name: &'static str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let request = bench.request("ADD", pod).set("CNI_IFNAME", name);
    let made = bench.add_by(pod, &request)?;
    let has = made
        .result
        .interfaces
        .iter()
        .any(|it| it.name == name && !it.sandbox.is_empty());
    match has {
        true => Ok(()),
        false => wrong(format!(
            "expected an interface {name} in the container, got {}",
            made.document
        )),
    }
}

/// Makes an interface of the wanted name first.
fn occupy(bench: &mut Bench<'_>) -> Check<usize> {
    use netloom_kernel::rtnl::{LinkSpec, PeerSpec, Socket};
    let pod = bench.pod("one")?;
    let inside = Socket::open_in(&bench.pods[pod].netns)?;
    inside.create_link(&LinkSpec::veth("eth0", PeerSpec::new("taken")).up())?;
    bench.step("ip -n one link add eth0 up type veth peer taken");
    Ok(pod)
}

fn taken(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    let pod = occupy(bench)?;
    let request = bench.request("ADD", pod);
    bench.refused(&request).map(drop)
}

fn taken_is_untouched(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    bench.prime()?;
    let pod = occupy(bench)?;
    let before = bench.look()?;
    let request = bench.request("ADD", pod);
    let said = bench.call(&request)?;
    match said.is_success() {
        // Another case asks for the refusal.
        true => Ok(()),
        false => bench.unchanged(&before, "after an ADD that failed"),
    }
}

fn two_names(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_several()?;
    let pod = bench.pod("one")?;
    let first = bench.add(pod)?;
    let request = bench.request("ADD", pod).set("CNI_IFNAME", "net1");
    let second = bench.add_by(pod, &request)?;
    bench.del(&second)?;
    bench.del(&first).map(drop)
}

fn two_pods(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_several()?;
    let (one, two) = (bench.pod("one")?, bench.pod("two")?);
    let first = bench.add(one)?;
    let second = bench.add(two)?;
    let of = |it: &crate::bench::Attached| {
        it.result
            .ips
            .iter()
            .map(|ip| ip.address)
            .collect::<Vec<_>>()
    };
    match of(&first).iter().find(|it| of(&second).contains(it)) {
        Some(twice) => wrong(format!("two containers got the address {twice}")),
        None => Ok(()),
    }
}

fn own_namespace(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    bench.prime()?;
    let pod = bench.pod("one")?;
    let before = bench.look()?;
    let path = format!("/proc/{}/ns/net", std::process::id());
    let request = bench.request("ADD", pod).set("CNI_NETNS", &path);
    bench.refused(&request)?;
    bench.unchanged(&before, "after an ADD that failed")
}

fn bad_namespace(bench: &mut Bench<'_>, how: &'static str) -> Check {
    bench.needs_add()?;
    bench.prime()?;
    let pod = bench.pod("one")?;
    let path = "/run/conform/no-namespace";
    if how == "file" {
        std::fs::write(path, "")?;
        bench.step(format!(": >{path}"));
    }
    let before = bench.look()?;
    let request = bench.request("ADD", pod).set("CNI_NETNS", path);
    bench.refused(&request)?;
    bench.unchanged(&before, "after an ADD that failed")
}

fn cni_args(bench: &mut Bench<'_>, arguments: &'static str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let request = bench.request("ADD", pod).set("CNI_ARGS", arguments);
    bench.add_by(pod, &request).map(drop)
}

fn extra_key(bench: &mut Bench<'_>, key: &'static str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let request = Bench::edit(bench.request("ADD", pod), |conf| {
        if conf[key].is_null() {
            conf[key] = json!({});
        }
        conf[key]["x.conform"] = json!({"unknown": 1});
    });
    bench.add_by(pod, &request).map(drop)
}

fn list_keys(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let request = Bench::edit(bench.request("ADD", pod), |conf| {
        conf["cniVersions"] = json!(["0.4.0", "1.0.0", "1.1.0"]);
        conf["disableCheck"] = json!(false);
        if conf["capabilities"].is_null() {
            conf["capabilities"] = json!({"x.conform": true});
        }
    });
    bench.add_by(pod, &request).map(drop)
}
