//! `netloom graph` on real hosts, and its pictures in a real browser.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod browser;
mod wrong;

use std::fs;
use std::path::Path;

use netloom_testkit::{Call, Host, Pod, Snapshot, link_plugins};
use serde_json::{Value, json};

const NETLOOM: &str = env!("CARGO_BIN_EXE_netloom");
const CONF_DIR: &str = "/etc/cni/net.d";
const PLUGINS: &str = "/run/plugins";

/// A host with plugins, a way out by `up0`, and two networks.
fn host() -> Option<Host> {
    let host = Host::new()?;
    fs::create_dir_all(CONF_DIR).unwrap();
    link_plugins(NETLOOM, PLUGINS);
    host.sh(
        "ip link add up0 type veth peer name far0; ip link set far0 up; ip link set up0 up
         ip addr add 203.0.113.2/24 dev up0; ip route add default via 203.0.113.1",
    );
    let bridge = json!({
        "cniVersion": "1.1.0", "name": "mynet",
        "plugins": [
            {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true,
             "ipMasqBackend": "nftables", "ipam": {"type": "host-local", "subnet": "10.16.0.0/16"}},
            {"type": "portmap", "backend": "nftables", "capabilities": {"portMappings": true}}
        ]
    });
    configure("10-mynet.conflist", &bridge);
    let routed = json!({
        "cniVersion": "1.1.0", "name": "routed", "type": "ptp",
        "ipam": {"type": "host-local", "subnet": "10.17.0.0/24"}
    });
    configure("20-routed.conf", &routed);
    Some(host)
}

fn configure(file: &str, conf: &Value) {
    fs::write(Path::new(CONF_DIR).join(file), conf.to_string()).unwrap();
}

fn netloom(arguments: &[&str]) -> Call {
    let call = Call::new(NETLOOM).env("CNI_PATH", PLUGINS);
    arguments.iter().fold(call, |call, it| call.arg(it))
}

fn add(network: &str, pod: &Pod, capabilities: &str) {
    let path = pod.path().to_str().unwrap();
    let call = netloom(&["add", network, path]).env("CAP_ARGS", capabilities);
    call.run().succeeds();
}

fn node<'g>(graph: &'g Value, id: &str) -> &'g Value {
    let nodes = graph["nodes"].as_array().unwrap();
    let found = nodes.iter().find(|node| node["id"] == id);
    found.unwrap_or_else(|| panic!("no {id} in {graph:#}"))
}

/// The line between two boxes.
fn edge<'g>(graph: &'g Value, a: &str, b: &str) -> &'g Value {
    let edges = graph["edges"].as_array().unwrap();
    let joins = |edge: &&Value| {
        let ends = [&edge["ends"][0]["node"], &edge["ends"][1]["node"]];
        ends == [a, b] || ends == [b, a]
    };
    let found = edges.iter().find(joins);
    found.unwrap_or_else(|| panic!("no line between {a} and {b} in {graph:#}"))
}

#[test]
fn a_host_is_drawn_as_the_kernel_and_the_cache_tell_it() {
    let Some(host) = host() else { return };
    let (web, db, far) = (host.pod("web"), host.pod("db"), host.pod("far"));
    let mapping =
        r#"{"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}"#;
    add("mynet", &web, mapping);
    add("mynet", &db, "{}");
    add("routed", &far, "{}");
    let graph = netloom(&["--json", "graph"]).run().succeeds();
    let bridge = node(&graph, "host/cni0");
    assert_eq!(bridge["kind"], "bridge");
    assert_eq!(bridge["facts"]["networks"], json!(["mynet"]));
    assert_eq!(
        node(&graph, "pod/ns:web")["notes"],
        json!(["host port 8080/tcp → 80"])
    );
    assert_eq!(
        node(&graph, "pod/ns:web")["interfaces"][0]["addresses"],
        json!(["10.16.0.2/16"])
    );
    let wire = edge(&graph, "host/cni0", "pod/ns:db");
    assert_eq!(
        (&wire["kind"], &wire["dead"]),
        (&json!("wire"), &Value::Null)
    );
    // Its name is the kernel's.
    let port = host.sh("ls /sys/class/net/cni0/brif");
    assert!(
        port.lines().any(|name| wire["what"] == name),
        "{wire} of {port}"
    );
    edge(&graph, "host/routes", "pod/ns:far");
    assert_eq!(edge(&graph, "host/up0", "host/cni0")["what"], "masquerade");
    edge(&graph, "outside", "host/up0");
    let text = netloom(&["graph"]).run();
    for part in [
        "network mynet, masquerade",
        "[web]",
        "eth0 10.16.0.3/16  [db]",
        "via 203.0.113.1",
    ] {
        assert!(text.stdout.contains(part), "no {part:?} in:\n{text}");
    }
    assert!(!text.stdout.contains('✘'), "{text}");
}

#[test]
fn what_passes_nothing_is_red_and_says_why() {
    let Some(host) = host() else { return };
    let (web, db) = (host.pod("web"), host.pod("db"));
    add("mynet", &web, "{}");
    add("mynet", &db, "{}");
    web.sh("ip link set eth0 down");
    db.sh("ip link del eth0");
    let graph = netloom(&["--json", "graph"]).run().succeeds();
    assert_eq!(
        edge(&graph, "host/cni0", "pod/ns:web")["dead"],
        "eth0 is down"
    );
    let problems = node(&graph, "pod/ns:db")["problems"].to_string();
    assert!(problems.contains("has no eth0"), "{graph:#}");
    // Other processes of this machine may have faults of their own.
    let page = netloom(&["graph", "--html", "--netns", "web", "--netns", "db"]).run();
    assert!(page.stdout.contains("2 faults, in red"), "{page}");
}

#[test]
fn namespaces_can_be_chosen() {
    let Some(host) = host() else { return };
    let pods = ["web", "db"].map(|name| host.pod(name));
    pods.iter().for_each(|pod| add("mynet", pod, "{}"));
    let graph = netloom(&["--json", "graph", "--netns", "web"])
        .run()
        .succeeds();
    let ids: Vec<&Value> = graph["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["id"])
        .collect();
    assert!(
        ids.contains(&&json!("pod/ns:web")) && !ids.contains(&&json!("pod/ns:db")),
        "{ids:?}"
    );
    let all = netloom(&["--json", "graph", "--netns", "web,all"])
        .run()
        .succeeds();
    node(&all, "pod/ns:db");
}

#[test]
fn a_topologys_missing_link_is_in_red() {
    let Some(host) = host() else { return };
    let file = "/run/lab.yaml";
    let text = "name: lab\nnodes:\n  a: {}\n  b: {}\nlinks:\n  - endpoints: [\"a:e1\", \"b:e1\"]\n  - endpoints: [\"a:e2\", \"b:e2\"]\n";
    fs::write(file, text).unwrap();
    let applied = netloom(&["topo", "apply", file]).run();
    assert!(applied.is_success(), "{applied}");
    let graph = netloom(&["--json", "graph", "--topo", file])
        .run()
        .succeeds();
    let between = |graph: &Value, is_dead: bool| {
        let edges = graph["edges"].as_array().unwrap().iter();
        let of_pods = edges.filter(|it| it["ends"][0]["node"] == "pod/ns:lab-a");
        of_pods.filter(|it| it["dead"].is_null() != is_dead).count()
    };
    assert_eq!(
        (between(&graph, false), between(&graph, true)),
        (2, 0),
        "{graph:#}"
    );
    host.sh("ip -n lab-a link del e2");
    let graph = netloom(&["--json", "graph", "--topo", file])
        .run()
        .succeeds();
    assert_eq!(
        (between(&graph, false), between(&graph, true)),
        (1, 1),
        "{graph:#}"
    );
}

#[test]
fn a_graph_changes_nothing() {
    let Some(host) = host() else { return };
    let pod = host.pod("web");
    add("mynet", &pod, "{}");
    let before = Snapshot::take(&host, &[&pod]);
    for form in ["--text", "--svg", "--html", "--json"] {
        assert!(netloom(&["graph", form]).run().is_success());
    }
    Snapshot::take(&host, &[&pod]).assert_same_as(&before);
}

#[test]
fn a_picture_that_is_watched_is_drawn_anew_when_a_pod_comes() {
    let Some(host) = host() else { return };
    let file = "/run/picture.html";
    let mut watching = std::process::Command::new(NETLOOM)
        .args(["graph", "--html", "--watch", "--output", file])
        .env("CNI_PATH", PLUGINS)
        .spawn()
        .unwrap();
    let shows = |name: &str| fs::read_to_string(file).is_ok_and(|page| page.contains(name));
    wait_for(|| shows("up0"));
    assert!(!shows("latecomer"));
    let pod = host.pod("latecomer");
    add("mynet", &pod, "{}");
    wait_for(|| shows("latecomer") && shows("10.16.0.2"));
    assert!(shows("http-equiv=\"refresh\""));
    watching.kill().unwrap();
    watching.wait().unwrap();
}

/// Until it holds: what is waited for is another process, which tells nobody else.
fn wait_for(holds: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed().as_secs() < 60, "it does not come");
        std::thread::yield_now();
    }
}
