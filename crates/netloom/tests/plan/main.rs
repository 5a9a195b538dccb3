//! `netloom plan`: what it tells beforehand covers what ADD then does, and it does nothing itself.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod example;
mod wrong;

use std::fs;
use std::path::Path;

use example::Example;
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::Happened;
use netloom_observe::{Event, Kind, Place, Recorder};
use netloom_testkit::{Call, Host, Pod, Snapshot, link_plugins};
use serde_json::{Value, json};

const NETLOOM: &str = env!("CARGO_BIN_EXE_netloom");
const CONF_DIR: &str = "/etc/cni/net.d";
const PLUGINS: &str = "/run/plugins";

fn netloom(arguments: &[&str]) -> Call {
    let call = Call::new(NETLOOM).env("CNI_PATH", PLUGINS);
    arguments.iter().fold(call, |call, it| call.arg(it))
}

fn host() -> Option<Host> {
    let host = Host::new()?;
    fs::create_dir_all(CONF_DIR).unwrap();
    link_plugins(NETLOOM, PLUGINS);
    Some(host)
}

fn configure(conf: &Value) {
    let name = if conf["plugins"].is_array() {
        "10-net.conflist"
    } else {
        "10-net.conf"
    };
    fs::write(Path::new(CONF_DIR).join(name), conf.to_string()).unwrap();
}

/// Whether a step of a plan speaks of what happened.
fn covers(step: &Value, event: &Event) -> bool {
    let kind = match event.object.kind {
        Kind::Table | Kind::Chain | Kind::ChainRule | Kind::Set | Kind::Element => "nft",
        other => other.word(),
    };
    let is_effect = step["effect"] == "will make" || step["effect"] == "will change";
    is_effect
        && step["where"] == event.object.place.as_str()
        && step["kind"] == kind
        && matches(step["name"].as_str().unwrap(), &event.object.name)
}

/// Whether a name is that of a plan, in which `*` stands for anything, or begins with it.
fn matches(pattern: &str, name: &str) -> bool {
    let mut rest = name;
    for (number, part) in pattern.split('*').enumerate() {
        let found = match number {
            0 => rest.starts_with(part).then_some(0),
            _ => rest.find(part),
        };
        let Some(at) = found else { return false };
        rest = &rest[at + part.len()..];
    }
    pattern.ends_with('*') || rest.is_empty() || rest.starts_with([' ', ':'])
}

/// What happened to objects that the plan should know of.
fn happened(events: Vec<Event>) -> Vec<Event> {
    // A link tells of itself again whenever its flags change: what was made is not changed by that.
    let made: Vec<_> = events
        .iter()
        .filter(|it| it.happened == Happened::Added)
        .map(|it| it.object.clone())
        .collect();
    let is_news = |it: &Event| it.happened != Happened::Set || !made.contains(&it.object);
    events.into_iter().filter(is_news).collect()
}

fn add_and_record(name: &str, pod: &Pod, example: &Example) -> Vec<Event> {
    let inside = Netns::open(pod.path()).unwrap();
    let places = [Place::here("host"), Place::of("pod", inside)];
    let recorder = Recorder::start(&places).unwrap();
    let call = netloom(&["add", name, pod.path().to_str().unwrap()]);
    let added = call
        .env("CNI_ARGS", &example.args)
        .env("CAP_ARGS", &example.runtime)
        .run();
    assert!(added.is_success(), "{}: {added}", example.place);
    let recording = recorder.stop().unwrap();
    assert!(!recording.is_incomplete);
    happened(recording.events)
}

/// Plans and adds an example, twice: on a host that never saw the network, and on one that has.
fn try_out(example: &Example) -> Vec<String> {
    let Some(host) = host() else {
        return Vec::new();
    };
    if let Some(need) = example.lack() {
        netloom_testkit::skip(&format!("{} needs {need}", example.place));
        return Vec::new();
    }
    host.sh(&format!("PATH=$PATH:{PLUGINS}\n{}", example.setup));
    configure(&example.conf);
    let name = example.conf["name"].as_str().unwrap();
    let (mut pods, mut untold) = (Vec::new(), Vec::new());
    for pod in ["one", "two"] {
        if pod == "two" && example.is_exclusive() {
            break;
        }
        let pod = host.pod(pod);
        // Later the kernel is still at work on what the ADD before has made.
        let before = pods.is_empty().then(|| Snapshot::take(&host, &[&pod]));
        let call = netloom(&["--json", "plan", name, pod.path().to_str().unwrap()]);
        let plan = call
            .env("CNI_ARGS", &example.args)
            .env("CAP_ARGS", &example.runtime)
            .run();
        if let Some(before) = before {
            Snapshot::take(&host, &[&pod]).assert_same_as(&before);
        }
        assert!(plan.is_success(), "{}: {plan}", example.place);
        let plan = plan.json();
        let steps = plan["steps"].as_array().unwrap();
        for event in add_and_record(name, &pod, example) {
            if !steps.iter().any(|step| covers(step, &event)) {
                untold.push(format!(
                    "{}, pod {}: {event}",
                    example.place,
                    pods.len() + 1
                ));
            }
        }
        // It lives on beside the next one.
        pods.push(pod);
    }
    host.sh(&format!("{}\ntrue", example.teardown));
    untold
}

/// Each test takes every fourth example, so that they run at the same time.
#[track_caller]
fn covers_examples(part: usize) {
    let examples = example::all();
    assert!(examples.len() > 40, "only {} examples", examples.len());
    let of_part = examples.iter().skip(part).step_by(4);
    covers_all(of_part.filter(|example| !example.needs_a_kernel()));
}

#[track_caller]
fn covers_all<'e>(examples: impl Iterator<Item = &'e Example>) {
    let untold: Vec<String> = examples.flat_map(try_out).collect();
    assert!(untold.is_empty(), "not in the plan:\n{}", untold.join("\n"));
}

/// What most kernels have: these run in the guest as well.
#[test]
fn a_plan_covers_what_add_does_for_examples_that_need_more_of_the_kernel() {
    let examples = example::all();
    covers_all(examples.iter().filter(|example| example.needs_a_kernel()));
}

#[test]
fn a_plan_covers_what_add_does_for_the_first_examples_of_the_documentation() {
    covers_examples(0);
}

#[test]
fn a_plan_covers_what_add_does_for_the_second_examples_of_the_documentation() {
    covers_examples(1);
}

#[test]
fn a_plan_covers_what_add_does_for_the_third_examples_of_the_documentation() {
    covers_examples(2);
}

#[test]
fn a_plan_covers_what_add_does_for_the_fourth_examples_of_the_documentation() {
    covers_examples(3);
}

#[test]
fn a_plan_names_the_next_address_and_what_is_there() {
    let Some(host) = host() else { return };
    configure(&json!({
        "cniVersion": "1.1.0", "name": "mynet", "type": "bridge", "bridge": "cni0", "isGateway": true,
        "ipMasq": true, "ipMasqBackend": "nftables",
        "ipam": {"type": "host-local", "subnet": "10.16.0.0/16", "routes": [{"dst": "0.0.0.0/0"}]}
    }));
    let (one, two) = (host.pod("one"), host.pod("two"));
    let plan = |pod: &Pod| {
        netloom(&["plan", "mynet", pod.path().to_str().unwrap()])
            .run()
            .stdout
    };
    let has = |text: &str, words: &[&str]| {
        let is_it = |line: &str| words.iter().all(|word| line.contains(word));
        assert!(text.lines().any(is_it), "no {words:?} in:\n{text}");
    };
    let first = plan(&one);
    has(&first, &["host", "link", "cni0", "bridge"]);
    has(&first, &["pod", "address", "10.16.0.2/16 on eth0"]);
    has(&first, &["pod", "route", "default via 10.16.0.1 dev eth0"]);
    has(
        &first,
        &[
            "file",
            "/var/lib/cni/networks/mynet/10.16.0.2",
            "host-local",
        ],
    );
    let before_there = first.split("is there already").next().unwrap();
    assert!(before_there.contains("cni0"), "{first}");
    netloom(&["add", "mynet", one.path().to_str().unwrap()])
        .run()
        .succeeds();
    let second = plan(&two);
    has(&second, &["10.16.0.3/16 on eth0"]);
    let there = second.split("is there already").nth(1).unwrap();
    has(there, &["link", "cni0"]);
    has(there, &["10.16.0.1/16 on cni0"]);
    has(there, &["sysctl", "net.ipv4.ip_forward"]);
}

#[test]
fn a_plan_names_the_next_address_of_what_the_node_holds_of_the_cluster() {
    let Some(host) = host() else { return };
    configure(&json!({
        "cniVersion": "1.1.0", "name": "mynet", "type": "bridge", "bridge": "cni0",
        "ipam": {"type": "cluster", "subnet": "10.16.0.0/16"}
    }));
    let (one, two) = (host.pod("one"), host.pod("two"));
    let plan = |pod: &Pod| netloom(&["plan", "mynet", pod.path().to_str().unwrap()]).run();
    let refused = plan(&one).to_string();
    assert!(
        refused.contains("netloom-node does not answer"),
        "{refused}"
    );
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let space = Path::new("/var/lib/cni/netloom-cluster/default");
    fs::create_dir_all(space).unwrap();
    let grants = json!({
        "v": 1, "verifiedIn": boot.trim(),
        "grants": [{"first": "10.16.3.32", "len": 2, "epoch": 7}]
    });
    fs::write(space.join("grants"), grants.to_string()).unwrap();
    for (pod, address) in [(&one, "10.16.3.32"), (&two, "10.16.3.33")] {
        let told = plan(pod).stdout;
        let file = space.join(address);
        assert!(told.contains(&format!("{address}/16 on eth0")), "{told}");
        assert!(told.contains(file.to_str().unwrap()), "{told}");
        assert!(!file.exists(), "a plan reserves nothing");
        netloom(&["add", "mynet", pod.path().to_str().unwrap()])
            .run()
            .succeeds();
        assert!(file.exists(), "ADD took another address than {address}");
    }
    let refused = plan(&host.pod("three")).to_string();
    assert!(
        refused.contains("netloom-node does not answer"),
        "{refused}"
    );
}

#[test]
fn what_is_not_asked_for_is_told_as_left_alone() {
    let Some(host) = host() else { return };
    configure(&json!({
        "cniVersion": "1.1.0", "name": "mynet", "plugins": [
            {"type": "bridge", "bridge": "cni0"},
            {"type": "portmap", "capabilities": {"portMappings": true}}
        ]
    }));
    let pod = host.pod("one");
    let plan = netloom(&["plan", "mynet", pod.path().to_str().unwrap()])
        .run()
        .stdout;
    let alone = plan.split("will not be touched").nth(1);
    assert!(
        alone.is_some_and(|it| it.contains("ports") && it.contains("portmap")),
        "{plan}"
    );
}

#[test]
fn a_plugin_of_others_is_named_as_one_of_which_nothing_is_known() {
    let Some(host) = host() else { return };
    configure(&json!({
        "cniVersion": "1.1.0", "name": "mixed", "plugins": [{"type": "dummy-of-others"}]
    }));
    let pod = host.pod("one");
    let plan = netloom(&["--json", "plan", "mixed", pod.path().to_str().unwrap()])
        .run()
        .succeeds();
    assert_eq!(plan["unknown"], json!(["dummy-of-others"]));
    assert_eq!(plan["steps"], json!([]));
}
