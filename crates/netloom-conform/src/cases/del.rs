//! DEL: it always succeeds, and leaves nothing.

use std::time::{Duration, Instant};

use netloom_kernel::netns;
use netloom_kernel::rtnl::Socket;
use netloom_kernel::unshare;
use netloom_observe::Snapshot;

use crate::bench::{Attached, Bench};
use crate::case::cases;
use crate::stop::{Check, Stop, wrong};

cases! {
    "301" Must ALL "DEL" "DEL removes all that ADD made" leaves_nothing "";
    "302" Must ALL "DEL" "DEL succeeds twice" twice "";
    "303" Must ALL "DEL" "DEL succeeds without a prevResult, and leaves nothing" without_result "";
    "304" Must ALL "DEL" "DEL of what was never added succeeds" never_added "";
    "305" Must ALL "DEL" "DEL succeeds when the namespace is gone" namespace "gone";
    "306" Must ALL "DEL" "DEL succeeds without CNI_NETNS" namespace "none";
    "307" Should ALL "DEL" "DEL succeeds when CNI_NETNS is a plain file" namespace "file";
    "308" Must ALL "DEL" "DEL when the namespace is gone leaves nothing on the host" gone_leaves_nothing "";
    "309" Must IM "DEL" "DEL succeeds when the interface is gone, and leaves nothing" interface_gone "";
    "310" Should ALL "DEL" "DEL after a reboot succeeds and leaves no state" reboot "";
    "311" Must ALL "DEL" "DEL leaves what other containers have" neighbour "";
    "312" Must IM "DEL" "DEL of one interface leaves the container's others" other_interface "";
    "313" Extra ALL "DEL" "DEL of an unknown container leaves the others" unknown_container "";
    "314" Extra IM "DEL" "DEL with the namespace of another container leaves that as it is" foreign_namespace "";
    "315" Extra ALL "DEL" "two DELs at the same time succeed" two_at_once "";
}

fn leaves_nothing(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    bench.prime()?;
    let pod = bench.pod("one")?;
    let before = bench.look()?;
    let made = bench.add(pod)?;
    bench.del(&made)?;
    bench.unchanged(&before, "after ADD and DEL")
}

fn twice(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let made = bench.add(pod)?;
    bench.del(&made)?;
    bench.del(&made).map(drop)
}

fn without_result(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    bench.prime()?;
    let pod = bench.pod("one")?;
    let before = bench.look()?;
    bench.add(pod)?;
    let request = bench.request("DEL", pod);
    let request = Bench::edit(request, |conf| {
        if let Some(conf) = conf.as_object_mut() {
            conf.remove("prevResult");
        }
    });
    bench.succeeds(&request)?;
    bench.unchanged(&before, "after ADD and a DEL without prevResult")
}

fn never_added(bench: &mut Bench<'_>, _: &str) -> Check {
    let pod = bench.pod("one")?;
    let request = bench.request("DEL", pod);
    bench.succeeds(&request).map(drop)
}

/// Takes the pod's namespace away, as a runtime does that stops the pod first.
fn remove_namespace(bench: &mut Bench<'_>, pod: usize) -> Check {
    let path = bench.pods[pod].path.clone();
    netns::remove_at(&path)?;
    // Nobody else may keep it alive.
    bench.pods[pod].netns = netns::Netns::current()?;
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    bench.step(format!("ip netns del {name}"));
    Ok(())
}

fn namespace(bench: &mut Bench<'_>, how: &'static str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let made = bench.add(pod)?;
    let mut request = bench.after("DEL", &made);
    match how {
        "none" => request = request.without("CNI_NETNS"),
        "file" => {
            remove_namespace(bench, pod)?;
            let path = bench.pods[pod].path.clone();
            std::fs::write(&path, "")?;
            bench.step(format!(": >{}", path.display()));
        }
        _ => remove_namespace(bench, pod)?,
    }
    bench.succeeds(&request)?;
    // And again, as kubelet does.
    bench.succeeds(&request).map(drop)
}

/// The links of a namespace go a moment after it: waits for what the kernel does by itself.
pub(super) fn settles(bench: &Bench<'_>, before: &Snapshot, when: &str) -> Check {
    settles_within(Duration::from_secs(3), bench, before, when)
}

/// The same with another limit.
pub(super) fn settles_within(
    limit: Duration,
    bench: &Bench<'_>,
    before: &Snapshot,
    when: &str,
) -> Check {
    let deadline = Instant::now() + limit;
    loop {
        let done = bench.unchanged(before, when);
        if done.is_ok() || Instant::now() > deadline {
            return done;
        }
        // The kernel tells of links, but not of files: look again.
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn gone_leaves_nothing(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    bench.prime()?;
    let before = bench.look()?;
    let pod = bench.pod("one")?;
    let made = bench.add(pod)?;
    remove_namespace(bench, pod)?;
    bench.pods[pod].before = None;
    bench.del(&made)?;
    settles(bench, &before, "after DEL without the namespace")
}

fn interface_gone(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    bench.prime()?;
    let pod = bench.pod("one")?;
    let before = bench.look()?;
    let made = bench.add(pod)?;
    let inside = Socket::open_in(&bench.pods[pod].netns)?;
    if bench.subject.is_single && inside.remove_link("eth0").is_err() {
        return crate::stop::skip("the interface cannot be removed");
    }
    inside.remove_link("eth0")?;
    bench.step("ip -n one link del eth0");
    bench.del(&made)?;
    let found = bench.differences(&before)?;
    // A device of the host that was lent is gone now.
    let left = found
        .iter()
        .find(|it| !matches!(it.change, netloom_observe::Change::Removed(_)));
    match left {
        None => Ok(()),
        Some(left) => wrong(format!("expected nothing to be left, got: {left}")),
    }
}

fn reboot(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    bench.prime()?;
    let pod = bench.pod("one")?;
    let files = bench.look()?;
    let made = bench.add(pod)?;
    remove_namespace(bench, pod)?;
    unshare::network()?;
    bench.step("unshare -n sh -c \"$DEL\"");
    bench.del(&made)?;
    let mut found = bench.differences(&files)?;
    found.retain(|it| {
        let is_file = it.object.kind == netloom_observe::Kind::File;
        is_file && matches!(it.change, netloom_observe::Change::Added(_))
    });
    match found.first() {
        None => Ok(()),
        Some(left) => wrong(format!(
            "expected no file to be left after a reboot and DEL, got: {left}"
        )),
    }
}

/// Two pods, with a look between their ADDs.
fn neighbours(bench: &mut Bench<'_>) -> Check<(netloom_observe::Snapshot, Attached)> {
    bench.needs_several()?;
    bench.prime()?;
    let (one, two) = (bench.pod("one")?, bench.pod("two")?);
    bench.add(one)?;
    let before = bench.look()?;
    Ok((before, bench.add(two)?))
}

fn neighbour(bench: &mut Bench<'_>, _: &str) -> Check {
    let (before, second) = neighbours(bench)?;
    bench.del(&second)?;
    bench.unchanged(&before, "after DEL of the second of two containers")
}

fn other_interface(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_several()?;
    bench.prime()?;
    let pod = bench.pod("one")?;
    bench.add(pod)?;
    let before = bench.look()?;
    let request = bench.request("ADD", pod).set("CNI_IFNAME", "net1");
    let second = bench.add_by(pod, &request)?;
    bench.del(&second)?;
    bench.unchanged(&before, "after DEL of the second of two interfaces")
}

fn unknown_container(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    bench.add(pod)?;
    let before = bench.look()?;
    let request = bench
        .request("DEL", pod)
        .set("CNI_CONTAINERID", "conform-unknown");
    let request = request.set("CNI_NETNS", "/run/netns/unknown");
    let request = Bench::edit(request, |conf| {
        if let Some(conf) = conf.as_object_mut() {
            conf.remove("prevResult");
        }
    });
    bench.succeeds(&request)?;
    bench.unchanged(&before, "after DEL of an unknown container")
}

fn foreign_namespace(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_several()?;
    let (one, two) = (bench.pod("one")?, bench.pod("two")?);
    let path = bench.pods[two].path.to_string_lossy().into_owned();
    let made = bench.add(one)?;
    remove_namespace(bench, one)?;
    bench.add(two)?;
    let look = |bench: &Bench<'_>| -> Check<Vec<String>> {
        let inside = Socket::open_in(&bench.pods[two].netns)?;
        let links = inside.list_links().map_err(Stop::from)?;
        Ok(links.iter().map(|it| it.name.clone()).collect())
    };
    let before = look(bench)?;
    let request = bench.after("DEL", &made).set("CNI_NETNS", &path);
    bench.succeeds(&request)?;
    let after = look(bench)?;
    match before == after {
        true => Ok(()),
        false => wrong(format!(
            "expected the other container to keep {}, got {}",
            before.join(", "),
            after.join(", ")
        )),
    }
}

fn two_at_once(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let made = bench.add(pod)?;
    let request = bench.after("DEL", &made);
    let plugin = bench.host.plugin.clone();
    let said = std::thread::scope(|scope| {
        let other = scope.spawn(|| crate::call::run(&plugin, &request));
        let own = bench.succeeds(&request);
        own.map(|_| other.join())
    })?;
    match said {
        Ok(Ok(said)) if said.is_success() => Ok(()),
        Ok(Ok(said)) => wrong(format!(
            "expected both DELs to succeed, got {}: {}",
            said.ending(),
            said.stdout
        )),
        _ => Err(Stop::Broken(
            "the second DEL could not be started".to_owned(),
        )),
    }
}
