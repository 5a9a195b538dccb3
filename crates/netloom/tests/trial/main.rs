//! `netloom try`: what it tells of good, bad and leaking plugins, as root and as anybody.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod executed;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use netloom_testkit::{Call, DEBIAN_DIR, Host, Outcome, link_plugins, product, skip};
use serde_json::{Value, json};
use tempfile::TempDir;

const NETLOOM: &str = env!("CARGO_BIN_EXE_netloom");

/// The two plugins of the first tutorial: one logs its call and prints `{}`, one prints nothing.
const LOGGER: &str = "#!/bin/sh\necho \"logger: $CNI_COMMAND\" >&2\ncat >&2\n\
                      [ \"$CNI_COMMAND\" = ADD ] && echo '{}'\nexit 0\n";
const DUMMY: &str = "#!/bin/sh\necho \"dummy: $CNI_COMMAND\" >&2\n";

/// A directory that the throw-away host does not cover.
fn project() -> TempDir {
    let builder = tempfile::Builder::new();
    let dir = { builder }
        .prefix("netloom-try-")
        .tempdir_in("/var/tmp")
        .unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(dir.path().join("conf")).unwrap();
    dir
}

fn plugin(project: &TempDir, name: &str, script: &str) -> String {
    let path = project.path().join(name);
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn configuration(project: &TempDir, conf: &Value) -> String {
    let path = project.path().join("conf/10-net.conflist");
    fs::write(&path, conf.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// In namespaces of its own: the command only has to leave them.
fn attempt(arguments: &[&str]) -> Call {
    let program = product(Path::new(NETLOOM));
    let call = Call::new(&program)
        .env("CNI_PATH", "/nonexistent")
        .arg("try");
    arguments.iter().fold(call, |call, it| call.arg(it))
}

fn document(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome}"))
}

fn steps(document: &Value) -> Vec<&Value> {
    document["steps"].as_array().unwrap().iter().collect()
}

fn bridge() -> Value {
    json!({
        "cniVersion": "1.0.0",
        "name": "mynet",
        "plugins": [{
            "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true,
            "ipMasqBackend": "nftables",
            "ipam": { "type": "host-local", "subnet": "10.16.0.0/16",
                      "routes": [{ "dst": "0.0.0.0/0" }] }
        }]
    })
}

#[test]
fn the_logger_of_the_tutorial_is_green_and_its_stderr_has_its_name() {
    let Some(_host) = Host::new() else { return };
    let project = project();
    let outcome = attempt(&[&plugin(&project, "logger", LOGGER)]).run();
    assert!(outcome.is_success(), "{outcome}");
    for words in [
        "    logger │ logger: ADD\n",
        "    logger │ logger: DEL\n",
        "Nothing is left.",
    ] {
        assert!(outcome.stdout.contains(words), "{words}: {outcome}");
    }
}

#[test]
fn a_plugin_that_prints_nothing_at_add_fails_and_is_told_what_belongs_there() {
    let Some(_host) = Host::new() else { return };
    let project = project();
    let outcome = attempt(&[&plugin(&project, "dummy", DUMMY)]).run();
    assert_eq!(outcome.code(), Some(1), "{outcome}");
    for words in [
        "✘ 1. ADD pod1",
        "    dummy │ dummy: ADD\n",
        "dummy prints nothing at ADD",
    ] {
        assert!(outcome.stdout.contains(words), "{words}: {outcome}");
    }
    assert!(outcome.stderr.contains("failed: 1. ADD pod1"), "{outcome}");
}

#[test]
fn what_a_plugin_leaks_is_named_with_the_step_and_ended() {
    let Some(_host) = Host::new() else { return };
    let project = project();
    let script = "#!/bin/sh
        [ \"$CNI_COMMAND\" = ADD ] || exit 0
        ip link add leak0 type veth peer name leak1
        echo 2 > /proc/sys/net/ipv4/conf/all/rp_filter
        nft 'add table inet leak; add chain inet leak c; add rule inet leak c drop'
        echo x > /var/lib/cni/leaked
        sleep 1234 >/dev/null 2>&1 </dev/null &
        echo $! >&2
        echo '{}'";
    let outcome = attempt(&["--json", &plugin(&project, "leaky", script)]).run();
    assert_eq!(outcome.code(), Some(1), "{outcome}");
    let document = document(&outcome);
    let left = document["left"].as_array().unwrap();
    for wanted in [
        "host: link leak0 (",
        "host: nft rule inet leak c: drop",
        "host: sysctl net/ipv4/conf/all/rp_filter (",
        "host: file /var/lib/cni/leaked (2 bytes",
        "host: process ",
    ] {
        let is_it = |it: &&Value| it["what"].as_str().unwrap().starts_with(wanted);
        let found = left.iter().find(is_it);
        let found = found.unwrap_or_else(|| panic!("{wanted}: {outcome}"));
        assert_eq!(found["step"], "1. ADD pod1");
    }
    let said = steps(&document)[0]["calls"][0]["stderr"].as_str().unwrap();
    let process = said.lines().last().unwrap();
    assert!(
        !Path::new(&format!("/proc/{process}")).exists(),
        "{process} goes on: {outcome}"
    );
    assert!(
        !Path::new("/var/lib/cni/leaked").exists(),
        "the real host has it"
    );
}

#[test]
fn a_bridge_with_two_pods_leaves_nothing_and_tells_what_it_made_in_host_and_pods() {
    let Some(host) = Host::new() else { return };
    let before = host.ip("-o link");
    let project = project();
    let conf = configuration(&project, &bridge());
    let outcome = attempt(&["--json", "--pods", "2", &conf]).run();
    assert!(outcome.is_success(), "{outcome}");
    let document = document(&outcome);
    let steps = steps(&document);
    assert_eq!(steps.len(), 8, "{outcome}");
    assert_eq!(steps[1]["result"]["ips"][0]["address"], "10.16.0.3/16");
    let did = steps[0]["did"].to_string();
    for wanted in [
        "+ host: link cni0 (bridge, up",
        "+ pod1: address 10.16.0.2/16 on eth0",
        "+ pod1: route default via 10.16.0.1 dev eth0",
        "+ host: nft element inet cni_plugins_masquerade",
        "+ host: file /var/lib/cni/networks/mynet/10.16.0.2",
        "~ host: sysctl net/ipv4/ip_forward (0 → 1)",
    ] {
        assert!(did.contains(wanted), "{wanted}: {did}");
    }
    assert!(
        steps[4]["did"]
            .to_string()
            .contains("- pod1: address 10.16.0.2/16 on eth0")
    );
    assert_eq!(document["left"], json!([]));
    assert_eq!(
        host.ip("-o link"),
        before,
        "the machine's own links changed"
    );
}

#[test]
fn a_command_runs_in_the_first_pod_while_it_is_attached() {
    let Some(_host) = Host::new() else { return };
    let project = project();
    let conf = configuration(&project, &bridge());
    let outcome = attempt(&[&conf, "--", "ping", "-c1", "-w2", "203.0.113.1"]).run();
    assert!(outcome.is_success(), "{outcome}");
    assert!(outcome.stdout.contains("1 received"), "{outcome}");
    let outcome = attempt(&[&conf, "--", "sh", "-c", "exit 7"]).run();
    assert_eq!(outcome.code(), Some(7), "{outcome}");
}

#[test]
fn a_link_that_the_configuration_names_is_made_up_and_said() {
    let Some(_host) = Host::new() else { return };
    let project = project();
    let conf = json!({"cniVersion": "1.0.0", "name": "mac", "plugins": [{
        "type": "macvlan", "master": "eth7",
        "ipam": {"type": "static", "addresses": [{"address": "203.0.113.50/24"}]}
    }]});
    let outcome = attempt(&[
        &configuration(&project, &conf),
        "--",
        "ping",
        "-c1",
        "-w2",
        "203.0.113.50",
    ])
    .run();
    assert!(outcome.is_success(), "{outcome}");
    assert!(
        outcome.stdout.contains("link eth7 was made up"),
        "{outcome}"
    );
}

#[test]
fn the_reference_leaves_nothing_either() {
    let Some(_host) = Host::new() else { return };
    if !Path::new(DEBIAN_DIR).join("bridge").is_file() {
        return skip("needs Debian's package containernetworking-plugins");
    }
    let project = project();
    let mut conf = bridge();
    conf["plugins"][0]["ipMasqBackend"] = Value::Null;
    let conf = configuration(&project, &conf);
    let outcome = attempt(&[&conf]).env("CNI_PATH", DEBIAN_DIR).run();
    assert!(outcome.is_success(), "{outcome}");
    assert!(
        outcome
            .stdout
            .contains("plugin bridge: /usr/lib/cni/bridge"),
        "{outcome}"
    );
}

#[test]
fn an_older_plugin_that_is_found_first_is_named_with_what_it_speaks() {
    let Some(_host) = Host::new() else { return };
    if !Path::new(DEBIAN_DIR).join("bridge").is_file() {
        return skip("needs Debian's package containernetworking-plugins");
    }
    let project = project();
    let mut conf = bridge();
    conf["cniVersion"] = json!("1.1.0");
    let conf = configuration(&project, &conf);
    let outcome = attempt(&[&conf]).env("CNI_PATH", DEBIAN_DIR).run();
    assert_eq!(outcome.code(), Some(1), "{outcome}");
    let words = "cniVersion is \"1.1.0\", and /usr/lib/cni/bridge, which was found first in CNI_PATH, \
                 speaks 0.1.0, ";
    assert!(outcome.stdout.contains(words), "{outcome}");
    // A plugin that asks an older one for its addresses fails for that one.
    link_plugins(NETLOOM, project.path().join("new"));
    let path = format!("{}:{DEBIAN_DIR}", project.path().join("new").display());
    fs::remove_file(project.path().join("new/host-local")).unwrap();
    let outcome = attempt(&[&conf]).env("CNI_PATH", path).run();
    assert!(
        outcome
            .stdout
            .contains("and /usr/lib/cni/host-local, which"),
        "{outcome}"
    );
}

#[test]
fn a_chain_on_either_packet_filter_leaves_only_what_all_pods_share() {
    let Some(_host) = Host::new() else { return };
    for backend in ["iptables", "nftables"] {
        let project = project();
        let conf = json!({"cniVersion": "1.0.0", "name": "all", "plugins": [
            {"type": "bridge", "bridge": "cni0", "isGateway": true, "macspoofchk": true,
             "ipMasq": true, "ipMasqBackend": backend,
             "ipam": {"type": "host-local", "ranges": [
                [{"subnet": "10.16.0.0/16"}], [{"subnet": "fd00:16::/64"}]]}},
            {"type": "portmap", "backend": backend, "capabilities": {"portMappings": true}},
            {"type": "firewall", "backend": backend, "ingressPolicy": "same-bridge"},
            {"type": "bandwidth", "ingressRate": 1000000, "ingressBurst": 1000000},
            {"type": "tuning", "sysctl": {"net.core.somaxconn": "100"}},
        ]});
        let ports = json!({"portMappings":
            [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]});
        let conf = configuration(&project, &conf);
        let outcome = attempt(&["--json", &conf])
            .env("CAP_ARGS", ports.to_string())
            .run();
        assert!(outcome.is_success(), "{backend}: {outcome}");
        let document = document(&outcome);
        let steps = steps(&document);
        assert!(
            steps[0]["did"]
                .to_string()
                .contains("+ host: tc qdisc tbf at root of veth")
        );
        assert_eq!(
            steps[1]["did"],
            json!([]),
            "CHECK changes nothing: {outcome}"
        );
        assert_eq!(
            steps[3]["did"],
            json!([]),
            "the second DEL finds nothing: {outcome}"
        );
    }
}

#[test]
fn anybody_may_try() {
    let Some(host) = Host::new() else { return };
    let project = project();
    let conf = configuration(&project, &bridge());
    // The tree of a developer's is not everybody's.
    let program = project.path().join("netloom");
    fs::copy(product(Path::new(NETLOOM)), &program).unwrap();
    let program = program.display();
    let said = host.sh(&format!(
        "cd / && setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all \
         env CNI_PATH=/nonexistent {program} try {conf} 2>&1 || true"
    ));
    if said.contains("user namespaces") && !said.contains("ADD") {
        return skip("this kernel refuses user namespaces to ordinary users");
    }
    assert!(
        said.contains("✔ 1. ADD pod1") && said.contains("Nothing is left."),
        "{said}"
    );
}

#[test]
fn what_cannot_be_tried_is_refused_before_anything_is_made() {
    let Some(_host) = Host::new() else { return };
    let project = project();
    let text = project.path().join("notes");
    fs::write(&text, "words").unwrap();
    let broken = project.path().join("broken.conflist");
    fs::write(&broken, "{\"name\": ").unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let (text, broken) = (path(&text), path(&broken));
    let missing = path(&project.path().join("nothing"));
    let cases: [(&[&str], &str); 10] = [
        (&["nosuchnetwork"], "nosuchnetwork"),
        (&["/dev/zero"], "neither a file nor a directory"),
        (&[&missing], "does not exist"),
        (&[&text], "neither executable nor named as a configuration"),
        (&[&broken], "broken.conflist"),
        (&[&path(project.path())], "no configuration in"),
        (&["--pods", "0", &broken], "--pods"),
        (&["--pods", "65", &broken], "--pods"),
        (&["--steps", "add,remove", &broken], "remove"),
        (&["--hold", "--json", &broken], "--json"),
    ];
    for (arguments, words) in cases {
        let outcome = attempt(arguments).run();
        assert_eq!(outcome.code(), Some(2), "{arguments:?}: {outcome}");
        assert!(outcome.stderr.contains(words), "{words}: {outcome}");
    }
}

#[test]
fn a_host_that_is_kept_can_be_entered_and_ends_with_its_process() {
    let Some(host) = Host::new() else { return };
    let project = project();
    let conf = configuration(
        &project,
        &json!({"cniVersion": "1.1.0", "name": "kept", "plugins": [{"type": "bridge", "bridge": "kept0"}]}),
    );
    let tried = attempt(&["--json", &conf, "--steps", "add", "--keep"]).run();
    let told = document(&tried);
    let process = told["kept"].as_u64().unwrap_or_else(|| panic!("{tried}"));
    let enter =
        format!("nsenter --target {process} --user --preserve-credentials --net ip -br link");
    let links = host.sh(&format!("{enter}; kill {process}"));
    assert!(links.contains("kept0"), "{links}");
}
