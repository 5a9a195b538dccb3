//! Files of state that say nothing any more.

use crate::doctor::{assert_silent, findings, run};
use crate::{configure, host, netloom, path};
use netloom_testkit::{Host, Outcome, Pod};
use serde_json::json;
use std::fs;
use std::path::Path;

fn call(verb: &str, pod: &Pod) -> Outcome {
    let id = format!("id-of-{}", pod.name());
    netloom(&[verb, "net", path(pod), "--container-id", &id]).run()
}

fn damage(file: &Path, how: &str) {
    let content = fs::read(file).unwrap();
    match how {
        "empty" => fs::write(file, "").unwrap(),
        "cut" => fs::write(file, &content[..content.len() / 2]).unwrap(),
        "garbage" => fs::write(file, [0xff, 0, 0xc3, 0x28, b'{', 0x80, b'\n']).unwrap(),
        _ => {
            fs::remove_file(file).unwrap();
            fs::create_dir(file).unwrap();
            fs::write(file.join("inside"), "x").unwrap();
        }
    }
}

fn scene() -> Option<(Host, [Pod; 3])> {
    let host = host()?;
    fs::create_dir_all("/run/flannel").unwrap();
    fs::write(
        "/run/flannel/subnet.env",
        "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.3.1/24\nFLANNEL_MTU=1450\n\
         FLANNEL_IPMASQ=true\n",
    )
    .unwrap();
    configure(
        "10-net.conflist",
        &json!({"cniVersion": "1.1.0", "name": "net", "plugins": [
        {"type": "flannel", "delegate": {"bridge": "br0"}}, {"type": "tuning", "mtu": 1400}]}),
    );
    let pods = ["victim", "bystander", "other"].map(|name| host.pod(name));
    for pod in &pods[..2] {
        let outcome = call("add", pod);
        assert!(outcome.is_success(), "{outcome}");
    }
    Some((host, pods))
}

/// What is told of a damaged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// By doctor, and by DEL and GC as far as they look at it.
    Always,
    /// It is netloom's own, and made anew.
    Never,
}

/// The files of state, of which one attachment has these.
fn files(host: &Host) -> Vec<(String, Told)> {
    let index = host.sh("find /var/lib/cni/networks/.netloom/net -type f");
    let index = index.lines().map(|file| (file.to_owned(), Told::Never));
    let state = [
        "/var/lib/cni/results/net-id-of-victim-eth0",
        "/var/lib/cni/networks/net/10.244.3.2",
        "/var/lib/cni/flannel/id-of-victim",
        "/run/cni/tuning/id-of-victim_eth0.json",
    ];
    let state = state.map(|file| (file.to_owned(), Told::Always));
    let shared = [
        "/var/lib/cni/networks/net/last_reserved_ip.0",
        "/var/lib/cni/networks/net/lock",
        "/var/lib/cni/locks/net.lock",
    ];
    let shared = shared.map(|file| (file.to_owned(), Told::Never));
    state.into_iter().chain(index).chain(shared).collect()
}

/// A directory where there should be a lock is nothing that ADD can go on with; it says so.
fn is_lock(file: &str) -> bool {
    file.ends_with("lock")
}

/// Damages the file in every way, each time on a new host.
fn for_each(work: impl Fn(&Host, &[Pod; 3], &str, Told, &str)) {
    let Some((host, pods)) = scene() else { return };
    let files = files(&host);
    assert!(files.len() == 9, "{files:?}");
    drop((pods, host));
    for (file, told) in files {
        for how in ["empty", "cut", "garbage", "directory"] {
            if how == "directory" && is_lock(&file) {
                continue;
            }
            let Some((host, pods)) = scene() else { return };
            damage(Path::new(&file), how);
            work(&host, &pods, &file, told, &format!("{file}, {how}"));
        }
    }
}

/// What doctor finds is this file, if it is to be told, and nothing else. Its mend.
#[track_caller]
fn assert_only(file: &str, told: Told, case: &str) -> Option<String> {
    let found = findings();
    if told == Told::Never {
        assert!(found.is_empty(), "{case}: {found:#?}");
        return None;
    }
    assert_eq!(found.len(), 1, "{case}: {found:#?}");
    assert!(found[0][1].contains(file), "{case}: {found:#?}");
    Some(found[0][2].clone())
}

#[track_caller]
fn assert_works(outcome: &Outcome, case: &str) {
    assert!(outcome.is_success(), "{case}: {outcome}");
}

#[test]
fn beside_a_damaged_file_others_are_added_and_its_own_pod_is_deleted() {
    for_each(|host, [victim, bystander, other], file, told, case| {
        assert_works(&call("add", other), case);
        assert_only(file, told, case);
        let del = call("del", victim);
        assert_works(&del, case);
        if told == Told::Always {
            assert!(del.stderr.contains(file), "{case}: {del}");
        }
        // A directory is for people to remove.
        if Path::new(file).is_dir()
            && let Some(mend) = assert_only(file, told, case)
        {
            run(host, &mend);
        }
        assert_silent();
        for pod in [bystander, other] {
            assert_works(&call("check", pod), case);
            assert_works(&call("del", pod), case);
        }
        for directory in [
            "/var/lib/cni/results",
            "/var/lib/cni/flannel",
            "/run/cni/tuning",
        ] {
            assert_eq!(
                fs::read_dir(directory).unwrap().count(),
                0,
                "{case}: {directory}"
            );
        }
        let reserved = crate::reserved("net");
        assert!(reserved.is_empty(), "{case}: {reserved:?}");
    });
}

#[test]
fn gc_beside_a_damaged_file_collects_the_rest_and_says_which() {
    for_each(|host, [victim, bystander, other], file, told, case| {
        assert_works(&call("add", other), case);
        other.ip("link del eth0");
        other.remove();
        let gc = netloom(&["gc", "--yes"]).run();
        // What is not known of in the cache may live, which the caller must know.
        assert_eq!(gc.is_success(), !file.contains("results"), "{case}: {gc}");
        if told == Told::Always {
            assert!(gc.stderr.contains(file), "{case}: {gc}");
        }
        let left = host.sh("find /var/lib/cni /run/cni | grep id-of-other || true");
        assert_eq!(left, "", "{case}");
        // The victim has the address still.
        assert!(Path::new(file).exists(), "{case}: {gc}");
        if let Some(mend) = assert_only(file, told, case) {
            let is_file = Path::new(file).is_file();
            run(host, &mend);
            if file.contains("10.244.3.2") && is_file {
                assert_eq!(fs::read(file).unwrap(), b"id-of-victim\r\neth0", "{case}");
                assert_silent();
            }
        }
        assert_works(&call("check", bystander), case);
        for pod in [victim, bystander] {
            assert_works(&call("del", pod), case);
        }
        // Without its file nobody knows of flannel's delegate.
        if !file.contains("flannel") {
            let reserved = crate::reserved("net");
            assert!(reserved.is_empty(), "{case}: {reserved:?}");
        }
    });
}

#[test]
fn a_damaged_reservation_keeps_its_address_until_its_pod_is_gone() {
    let file = "/var/lib/cni/networks/net/10.244.3.2";
    for how in ["empty", "cut", "garbage"] {
        for del in [true, false] {
            let Some((_host, [victim, bystander, other])) = scene() else {
                return;
            };
            damage(Path::new(file), how);
            let gc = netloom(&["gc", "--yes"]).run();
            assert_works(&gc, how);
            assert!(gc.stderr.contains(file), "{how}: {gc}");
            assert!(Path::new(file).exists(), "{how}: {gc}");
            assert_works(&call("add", &other), how);
            assert!(!other.ip("addr show eth0").contains("10.244.3.2/"), "{how}");
            if del {
                assert_works(&call("del", &victim), how);
            } else {
                victim.ip("link del eth0");
                victim.remove();
                assert_works(&netloom(&["gc", "--yes"]).run(), how);
            }
            assert!(!Path::new(file).exists(), "{how}, DEL: {del}");
            assert_silent();
            for pod in [bystander, other] {
                assert_works(&call("check", &pod), how);
            }
        }
    }
}
