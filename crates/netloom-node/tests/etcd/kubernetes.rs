//! The daemon on a real server of the Kubernetes API, with the rights of the shipped account.

use std::net::IpAddr;

use netloom_cluster::message::Answer;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::grants::{claim, granted};
use crate::lab::{ApiServer, Daemon, Flow, Lab, Machine, network};

const NETWORKS: &str = "/apis/netloom.dev/v1/nodenetworks";

struct Cluster {
    server: ApiServer,
    lab: Lab,
}

impl Cluster {
    /// With the nodes m1, m2 and m3, whose parts are 10.5.1.0/24 and so on.
    fn new(mode: &str) -> Option<Self> {
        let lab = Lab::new()?;
        let server = ApiServer::start(&lab)?;
        for number in 1..=3 {
            let v4 = format!("10.5.{number}.0/24");
            server.node(
                &format!("m{number}"),
                &[&v4, &format!("fd00:5:0:{number}::/64")],
            );
        }
        std::fs::write("/run/lab/net-conf.json", network(mode)).unwrap();
        Some(Self { server, lab })
    }

    fn daemon(&self, machine: &Machine, arguments: &[&str]) -> Daemon {
        let kubeconfig = self.server.kubeconfig(machine);
        let store = [
            "--kubeconfig",
            &kubeconfig,
            "--net-conf",
            "/run/lab/net-conf.json",
        ];
        machine.daemon_under(&[], &store, arguments)
    }

    fn joined(&self, machine: &Machine, arguments: &[&str]) -> Daemon {
        let mut daemon = self.daemon(machine, arguments);
        daemon.until("pods can start");
        daemon
    }
}

#[test]
fn pods_of_nodes_reach_each_other_in_the_cidrs_that_kubernetes_gave() {
    let Some(cluster) = Cluster::new("auto") else {
        return;
    };
    let machines = [(1, 1), (2, 1), (3, 2)].map(|(n, switch)| cluster.lab.machine(n, switch));
    let _daemons = [0, 1, 2].map(|n| cluster.joined(&machines[n], &[]));
    for machine in &machines {
        machine.until("four routes", |m| m.told("/peers/routes") == 4);
    }
    let pods = [0, 1, 2].map(|n| machines[n].pod(&format!("pod-of-m{}", n + 1)));
    for (number, pod) in (1..).zip(&pods) {
        let part: ipnet::IpNet = format!("10.5.{number}.0/24").parse().unwrap();
        assert!(pod.ips.iter().any(|ip| part.contains(ip)), "{:?}", pod.ips);
        let others = pods.iter().filter(|other| other.name != pod.name);
        for ip in others.flat_map(|other| &other.ips) {
            assert!(pod.pings(*ip), "{} to {ip}", pod.name);
        }
    }
    // What the others read is what the API shows.
    let told = cluster.server.done("GET", &format!("{NETWORKS}/m1"), None);
    assert_eq!(
        told["spec"]["network"]["subnets"],
        "10.5.1.0-24&fd00:5:0:1::-64"
    );
    assert_eq!(
        told["spec"]["network"]["announcement"]["PublicIP"],
        "192.0.2.1"
    );
    for (pod, machine) in pods.into_iter().zip(&machines) {
        machine.remove(pod);
    }
}

#[test]
fn traffic_goes_on_while_the_api_is_away_and_nothing_is_changed_when_it_is_back() {
    let Some(mut cluster) = Cluster::new("host-gw") else {
        return;
    };
    let machines = [1, 2].map(|n| cluster.lab.machine(n, 1));
    let mut daemons = [0, 1].map(|n| cluster.joined(&machines[n], &[]));
    machines[0].until("two routes", |m| m.told("/peers/routes") == 2);
    machines[1].until("two routes", |m| m.told("/peers/routes") == 2);
    let pods = [0, 1].map(|n| machines[n].pod(&format!("pod-of-m{}", n + 1)));
    let to: IpAddr = *pods[1].ips.iter().find(|ip| ip.is_ipv4()).unwrap();
    let before = machines[0].kernel();
    let flow = Flow::start(&pods[0], to);
    cluster.server.kill();
    daemons[0].until("the store does not answer");
    let other = machines[0].pod("another");
    assert!(other.pings(to));
    machines[0].remove(other);
    cluster.server.begin();
    daemons[0].until("connected to the store");
    // Something new is heard of, so the watch goes on.
    let late = cluster.lab.machine(3, 1);
    let _late = cluster.joined(&late, &[]);
    machines[0].until("four routes", |m| m.told("/peers/routes") == 4);
    let (sent, lost) = flow.end();
    assert!(sent > 0);
    assert_eq!(lost, 0, "of {sent}");
    let after = machines[0].kernel();
    assert!(
        before.lines().all(|line| after.contains(line)),
        "{before}\n{after}"
    );
}

#[test]
fn nodes_of_flannel_and_of_netloom_know_each_other_by_annotations() {
    let Some(cluster) = Cluster::new("vxlan") else {
        return;
    };
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "beside-flannel"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
            "name": "netloom-node-beside-flannel"},
        "subjects": [{"kind": "ServiceAccount", "name": "netloom-node", "namespace": "netloom"}],
    });
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    cluster.server.done("POST", bindings, Some(&binding));
    // As flannel annotates its node.
    let annotations = json!({"metadata": {"annotations": {
        "flannel.alpha.coreos.com/kube-subnet-manager": "true",
        "flannel.alpha.coreos.com/public-ip": "192.0.2.2",
        "flannel.alpha.coreos.com/backend-type": "vxlan",
        "flannel.alpha.coreos.com/backend-data": r#"{"VNI":1,"VtepMAC":"0a:00:00:00:00:02"}"#,
        "flannel.alpha.coreos.com/public-ipv6": "2001:db8:1::2",
        "flannel.alpha.coreos.com/backend-v6-data": r#"{"VNI":1,"VtepMAC":"0a:00:00:00:00:06"}"#,
    }}});
    cluster
        .server
        .done("PATCH", "/api/v1/nodes/m2", Some(&annotations));
    let machine = cluster.lab.machine(1, 1);
    let _daemon = cluster.joined(&machine, &["--peers", "nodes"]);
    machine.until("flannel's node", |m| m.told("/peers/routes") == 2);
    let seen = machine.kernel();
    assert!(
        seen.contains("10.5.2.0/24 via 10.5.2.0 dev flannel.1"),
        "{seen}"
    );
    assert!(seen.contains("0a:00:00:00:00:02 dst 192.0.2.2"), "{seen}");
    let node = cluster.server.done("GET", "/api/v1/nodes/m1", None);
    let told = |name: &str| {
        node["metadata"]["annotations"][format!("flannel.alpha.coreos.com/{name}")].clone()
    };
    assert_eq!(told("public-ip"), "192.0.2.1");
    assert_eq!(told("backend-type"), "vxlan");
    let data: Value = serde_json::from_str(told("backend-data").as_str().unwrap()).unwrap();
    assert_eq!(data["VNI"], 1);
}

#[test]
fn a_node_without_cidrs_or_that_kubernetes_does_not_know_is_told_what_is_missing() {
    let Some(cluster) = Cluster::new("auto") else {
        return;
    };
    let bare = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "bare"}});
    cluster.server.done("POST", "/api/v1/nodes", Some(&bare));
    let machine = cluster.lab.machine(1, 1);
    for (name, words) in [
        ("bare", "--allocate-node-cidrs"),
        ("nobody", "Kubernetes knows no node nobody"),
    ] {
        let mut daemon = cluster.daemon(&machine, &["--name", name]);
        daemon.until(words);
        let written = machine.try_sh("ls /etc/cni/net.d/*.conflist");
        assert!(!written.status.success(), "{written:?}");
    }
    // It joins as soon as it can.
    let mut daemon = cluster.daemon(&machine, &["--name", "bare"]);
    daemon.until("--allocate-node-cidrs");
    let cidrs =
        json!({"spec": {"podCIDR": "10.5.9.0/24", "podCIDRs": ["10.5.9.0/24", "fd00:5:0:9::/64"]}});
    cluster
        .server
        .done("PATCH", "/api/v1/nodes/bare", Some(&cidrs));
    daemon.until("pods can start");
}

#[test]
fn each_right_of_the_shipped_role_is_needed() {
    let Some(cluster) = Cluster::new("auto") else {
        return;
    };
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles/netloom-node";
    let role = cluster.server.done("GET", roles, None);
    // Blocks are of the addresses of clusters, which this network does not use.
    let rules = role["rules"].as_array().unwrap().clone();
    let machine = cluster.lab.machine(1, 1);
    for (number, rule) in rules.iter().enumerate() {
        if rule["resources"] == json!(["ipblocks"]) {
            continue;
        }
        for (place, verb) in rule["verbs"].as_array().unwrap().iter().enumerate() {
            let mut less = rules.clone();
            less[number]["verbs"].as_array_mut().unwrap().remove(place);
            // The server wants no rule without a verb.
            less.retain(|rule| rule["verbs"] != json!([]));
            cluster
                .server
                .done("PATCH", roles, Some(&json!({"rules": less})));
            // Anew each time, since what is there already is not written again.
            cluster
                .server
                .call("DELETE", &format!("{NETWORKS}/m1"), None);
            if verb == "update" || verb == "get" && rule["resources"] == json!(["nodenetworks"]) {
                let stale = json!({
                    "apiVersion": "netloom.dev/v1", "kind": "NodeNetwork",
                    "metadata": {"name": "m1"}, "spec": {"record": {}},
                });
                cluster.server.done("POST", NETWORKS, Some(&stale));
            }
            let mut daemon = cluster.daemon(&machine, &[]);
            let verb = verb.as_str().unwrap();
            daemon.until(&format!("cannot {verb} resource {}", rule["resources"][0]));
        }
    }
    cluster
        .server
        .done("PATCH", roles, Some(&json!({"rules": rules})));
    cluster.joined(&machine, &[]);
}

#[test]
fn the_network_of_the_shipped_manifest_is_one_that_the_daemon_takes() {
    let Some(mut cluster) = Cluster::new("auto") else {
        return;
    };
    cluster.server.node("default", &["10.244.3.0/24"]);
    let maps = "/api/v1/namespaces/netloom/configmaps/netloom-node";
    let map = cluster.server.done("GET", maps, None);
    std::fs::write(
        "/run/lab/net-conf.json",
        map["data"]["net-conf.json"].as_str().unwrap(),
    )
    .unwrap();
    let machine = cluster.lab.machine(1, 1);
    let mut daemon = cluster.joined(&machine, &["--name", "default"]);
    assert_eq!(machine.told("/subnets"), "10.244.3.0/24");
    cluster.server.kill();
    daemon.until("the store does not answer");
}

#[test]
fn nodes_claim_different_addresses_and_what_a_removed_one_had_is_given_back() {
    let Some(cluster) = Cluster::new("auto") else {
        return;
    };
    let (one, two) = (cluster.lab.machine(1, 1), cluster.lab.machine(2, 2));
    let mut first = cluster.joined(&one, &["--alive", "2"]);
    let _second = cluster.joined(&two, &[]);
    for machine in [&one, &two] {
        let answer = claim(machine, "10.9.0.1", "10.9.0.254");
        assert_eq!(answer, Answer::Done(vec![]), "{:#}", machine.status());
    }
    let (here, there) = (granted(&one), granted(&two));
    assert!(
        !here.is_empty() && here.is_disjoint(&there),
        "{here:?} {there:?}"
    );
    let nodes_of_blocks = || {
        let list = cluster
            .server
            .done("GET", "/apis/netloom.dev/v1/ipblocks", None);
        list["items"].to_string()
    };
    let before = nodes_of_blocks();
    assert!(
        before.contains("\"m1\"") && before.contains("\"m2\""),
        "{before}"
    );

    first.end(Signal::KILL);
    let mut again = cluster.joined(&one, &["--alive", "2"]);
    assert_eq!(claim(&one, "10.9.0.1", "10.9.0.254"), Answer::Done(vec![]));
    assert!(granted(&one).is_superset(&here));

    let kubeconfig = cluster.server.kubeconfig_of_root(&one);
    let store = [
        "--kubeconfig",
        &kubeconfig,
        "--net-conf",
        "/run/lab/net-conf.json",
    ];
    let remove = || one.node(&[&["remove", "m1", "--fenced"][..], &store].concat());
    let refused = remove();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("the daemon of m1 runs"));
    again.end(Signal::KILL);
    let deadline = crate::lab::deadline();
    // The lease has two seconds left at most, by the clock.
    while !remove().status.success() {
        assert!(std::time::Instant::now() < deadline);
    }
    let after = nodes_of_blocks();
    assert!(
        !after.contains("\"m1\"") && after.contains("\"m2\""),
        "{after}"
    );
    assert_eq!(
        cluster
            .server
            .call("GET", &format!("{NETWORKS}/m1"), None)
            .0,
        404
    );
}
