//! A node whose pods went away without DEL.

use std::fs;

use netloom_testkit::{Call, Host, Pod, parallel};

use crate::network::{call, host};

const PODS: usize = 250;
const VALID: usize = 10;

/// How many of each thing the host has.
fn counts(host: &Host) -> Vec<(&'static str, usize)> {
    let count = |line: &str| host.sh(line).trim().parse().unwrap();
    vec![
        (
            "reservations",
            count("ls /var/lib/cni/networks/chain | grep -c '^[0-9a-f].*[0-9a-f]$' || true"),
        ),
        ("veths", count("ip -o link show type veth | wc -l")),
        ("ifbs", count("ip -o link show type ifb | wc -l")),
        (
            "comments in nf_tables",
            count(
                "nft list ruleset | grep -o 'comment \"[^\"]*cnitool-[^\"]*\"' | sort -u | wc -l",
            ),
        ),
        ("cached results", count("ls /var/lib/cni/results | wc -l")),
        (
            "backups",
            count("find /run/cni/tuning /var/run/cni/tuning -type f 2>/dev/null | sort -u | wc -l"),
        ),
    ]
}

#[test]
fn of_250_pods_whose_namespaces_are_gone_the_ten_valid_ones_stay() {
    let Some(host) = host("nftables") else { return };
    let pods: Vec<Pod> = (0..PODS).map(|n| host.pod(&format!("p{n}"))).collect();
    let port = |n: usize| 20_000 + 2 * u16::try_from(n).unwrap();
    let add = |n: usize| call("add", &pods[n], port(n)).run();
    let first = parallel(VALID, 2, add);
    for outcome in &first {
        assert!(outcome.is_success(), "{outcome}");
    }
    let wanted = counts(&host);
    for (what, number) in &wanted {
        assert!(*number >= VALID, "{number} {what} for {VALID} pods");
    }
    for outcome in parallel(PODS - VALID, 4, |n| add(VALID + n)) {
        assert!(outcome.is_success(), "{outcome}");
    }
    let lock = fs::metadata("/var/lib/cni/networks/chain/lock");
    assert!(lock.is_ok());
    for pod in &pods[VALID..] {
        pod.remove();
    }
    let keep = pods[..VALID].iter().flat_map(|pod| {
        let id = valid_id(pod);
        ["--keep".to_owned(), format!("{id}/eth0")]
    });
    let gc = Call::new(env!("CARGO_BIN_EXE_netloom"))
        .env("CNI_PATH", crate::network::PLUGINS)
        .arg("gc")
        .arg("--yes")
        .arg("chain");
    let gc = keep.fold(gc, |call, word| call.arg(word)).run();
    assert!(gc.is_success(), "{gc}");
    assert_eq!(counts(&host), wanted);
    for (n, pod) in pods[..VALID].iter().enumerate() {
        let check = call("check", pod, port(n)).run();
        assert!(check.is_success(), "{check}");
    }
    assert!(fs::metadata("/var/lib/cni/networks/chain/lock").is_ok());
}

/// The id that the command, as cnitool, gives a container.
fn valid_id(pod: &Pod) -> String {
    let entries = fs::read_dir("/var/lib/cni/results").unwrap();
    let netns = format!("\"{}\"", pod.path().display());
    let file = entries
        .map(|entry| entry.unwrap().path())
        .find(|path| fs::read_to_string(path).unwrap().contains(&netns))
        .unwrap();
    let entry: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    entry["containerId"].as_str().unwrap().to_owned()
}
