//! `netloom gc`: what goes, what stays, what it asks first.

use crate::{CONF_DIR, NETLOOM, Words, called, configure, host, mynet, netloom, path, reserved};
use netloom_testkit::{Call, Faults, Host, Outcome, Pod, product};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

const RESULTS: &str = "/var/lib/cni/results";

fn cached() -> Vec<String> {
    let entries = fs::read_dir(RESULTS).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn add(network: &str, pod: &Pod, id: &str) -> Value {
    let add = ["add", network, path(pod), "--container-id", id];
    netloom(&add).run().succeeds()
}

/// The kernel would end the namespace in its own time.
fn end(pod: &Pod) {
    pod.ip("link del eth0");
    pod.remove();
}

fn gc(arguments: &[&str]) -> Outcome {
    netloom(&[&["gc"], arguments].concat()).run()
}

/// The network `mynet` with a pod that lives and one that is gone without DEL.
fn one_of_two_dead() -> Option<(Host, Pod)> {
    let host = host()?;
    configure("10-mynet.conf", &mynet("1.1.0"));
    let (living, dead) = (host.pod("living"), host.pod("dead"));
    add("mynet", &living, "id-of-living");
    add("mynet", &dead, "id-of-dead");
    end(&dead);
    Some((host, living))
}

#[test]
fn gc_keeps_what_lives_and_as_cnitool_it_keeps_nothing() {
    let Some((host, living)) = one_of_two_dead() else {
        return;
    };
    gc(&["mynet", "--yes"]).succeeds_silently();
    assert_eq!(reserved("mynet"), ["10.16.0.2"]);
    let check = [
        "check",
        "mynet",
        path(&living),
        "--container-id",
        "id-of-living",
    ];
    netloom(&check).run().succeeds_silently();
    netloom(&["status", "mynet"]).run().succeeds_silently();

    gc(&["mynet", "--keep", "oops"]).fails_with_words(&["CONTAINERID/IFNAME"]);
    let cnitool = Path::new("/run/cnitool");
    symlink(product(NETLOOM), cnitool).unwrap();
    for option in ["--dry-run", "--all", "--keep=a/eth0", "--stale-boot"] {
        let refused = called(cnitool, &["gc", "mynet", option]).run();
        assert!(!refused.is_success(), "{refused}");
        assert!(refused.stderr.contains("netloom gc"), "{refused}");
    }
    called(cnitool, &["gc", "mynet", path(&living)])
        .run()
        .succeeds_silently();
    assert_eq!(reserved("mynet"), Vec::<String>::new());
    assert_eq!(host.ip("-br link show type veth"), "");
}

#[test]
fn a_keep_that_is_no_attachment_is_refused_and_nothing_removed() {
    let Some((_host, _living)) = one_of_two_dead() else {
        return;
    };
    let refused = |keep: &str, parts: &[&str]| {
        let outcome = gc(&["mynet", "--keep", keep, "--yes"]);
        outcome.fails_with_words(&[&["--keep", keep], parts].concat());
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
        assert_eq!((reserved("mynet").len(), cached().len()), (2, 2), "{keep}");
    };
    refused("id-of-living/", &["interface name is empty"]);
    refused("/eth0", &["missing containerID"]);
    refused("id-of-living/eth0/", &["interface name"]);
    refused("id of living/eth0", &["invalid characters in containerID"]);
    for slip in ["id-of-l/eth0", "id-of-living/eth1"] {
        refused(slip, &["did you mean \"id-of-living/eth0\""]);
    }
    // What the cache does not know may be another runtime's.
    let known = ["--keep", "id-of-living/eth0", "--keep", "of-podman/eth0"];
    gc(&[&["mynet", "--yes"], &known[..]].concat()).succeeds_silently();
    assert_eq!(reserved("mynet"), ["10.16.0.2"]);
}

#[test]
fn a_dry_run_tells_what_would_go_and_changes_nothing() {
    let Some(_living) = one_of_two_dead() else {
        return;
    };
    let words = gc(&["mynet", "--dry-run"]).succeeds_with_words();
    for part in [
        "mynet:",
        "DEL id-of-dead eth0 10.16.0.3/16 (/run/netns/dead)",
        "bridge removes",
        "none of 1 valid",
    ] {
        assert!(words.contains(part), "no {part:?} in:\n{words}");
    }
    assert!(!words.contains("id-of-living"), "{words}");
    let object = netloom(&["--json", "gc", "--dry-run"]).run().succeeds();
    let expected = json!([{
        "network": "mynet", "disableGC": false, "withheld": false, "unreadable": [], "addresses": [], "drafts": [], "objects": [],
        "plugins": ["bridge"],
        "valid": [{"containerID": "id-of-living", "ifname": "eth0"}],
        "stale": [{
            "containerID": "id-of-dead", "ifname": "eth0", "netns": "/run/netns/dead",
            "netnsReused": false, "addresses": ["10.16.0.3/16"],
        }],
    }]);
    assert_eq!(object, expected);
    assert_eq!(reserved("mynet").len(), 2);
    assert_eq!(cached().len(), 2);
}

#[test]
fn what_goes_is_told_object_by_object_before_and_after() {
    let Some((_host, _living)) = one_of_two_dead() else {
        return;
    };
    let file = "/var/lib/cni/networks/mynet/10.16.0.77";
    fs::write(file, "stranger\r\neth0").unwrap();
    let object = format!("reservation: {file} of container stranger, interface eth0");
    let words = gc(&["mynet", "--dry-run"]).succeeds_with_words();
    assert!(words.contains(&object), "{words}");
    let objects = &netloom(&["--json", "gc", "--dry-run"]).run().succeeds()[0]["objects"];
    assert_eq!(objects[0]["kind"], "reservation", "{objects}");
    let outcome = gc(&["mynet", "--yes"]);
    outcome.succeeds_silently();
    for line in [
        "netloom: mynet: deleted id-of-dead eth0 10.16.0.3/16".to_owned(),
        format!("netloom: mynet: removed {object}"),
    ] {
        assert!(outcome.stderr.lines().any(|told| told == line), "{outcome}");
    }
    let again = gc(&["mynet", "--yes"]);
    assert_eq!(again.stderr, "", "nothing went");
    gc(&["nope", "--yes"]).fails_with_words(&["nope"]);
}

#[test]
fn a_network_without_gc_is_not_told_of_an_option_that_would_not_help() {
    let Some(host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.0.0"));
    let dead = host.pod("dead");
    add("mynet", &dead, "id-of-dead");
    end(&dead);
    fs::write("/var/lib/cni/networks/mynet/10.16.0.77", "stranger\r\neth0").unwrap();
    for arguments in [&["mynet", "--dry-run"][..], &["mynet", "--yes"], &["--yes"]] {
        let outcome = gc(arguments);
        assert!(outcome.is_success(), "{outcome}");
        let told = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(told.contains("cniVersion 1.0.0 has no GC"), "{outcome}");
        assert!(!told.contains("--all"), "{outcome}");
    }
    assert_eq!(reserved("mynet"), ["10.16.0.77"]);
    fs::remove_file(Path::new(CONF_DIR).join("10-mynet.conf")).unwrap();
    let doctor = netloom(&["doctor"]).run();
    assert!(!doctor.stdout.contains("--all"), "{doctor}");
}

#[test]
fn without_a_terminal_and_without_yes_nothing_is_removed() {
    let Some(_living) = one_of_two_dead() else {
        return;
    };
    gc(&["mynet"]).fails_with_words(&["nothing was removed", "no terminal", "--yes", "--dry-run"]);
    gc(&[]).fails_with_words(&["nothing was removed"]);
    assert_eq!((reserved("mynet").len(), cached().len()), (2, 2));
}

#[test]
fn on_a_terminal_it_asks_and_no_is_the_default() {
    let Some(_living) = one_of_two_dead() else {
        return;
    };
    let answered = |answer: &str| {
        // script(1) gives its command a terminal.
        let line = format!("{} gc mynet", product(NETLOOM).display());
        let call = Call::new("script").arg("-qec").arg(&line).arg("/dev/null");
        call.env("CNI_PATH", crate::PLUGINS).stdin(answer).run()
    };
    for no in ["\n", "no\n", "q\n"] {
        let outcome = answered(no);
        for part in [
            "DEL id-of-dead eth0",
            "Remove this? [y/N]",
            "nothing was removed",
        ] {
            assert!(outcome.stdout.contains(part), "{outcome}");
        }
        assert_eq!(reserved("mynet").len(), 2);
    }
    let outcome = answered("y\n");
    assert!(outcome.is_success(), "{outcome}");
    assert_eq!(reserved("mynet"), ["10.16.0.2"]);
}

#[test]
fn where_nothing_is_known_to_live_only_the_dead_go_until_told_so() {
    let Some(host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.1.0"));
    let dead = host.pod("dead");
    add("mynet", &dead, "id-of-dead");
    // Reserved by somebody whom the cache does not know.
    fs::write("/var/lib/cni/networks/mynet/10.16.0.77", "stranger\r\neth0").unwrap();
    end(&dead);
    let dead = gc(&["mynet", "--yes"]);
    dead.succeeds_silently();
    assert!(dead.stderr.contains("--all does that"), "{dead}");
    assert_eq!(reserved("mynet"), ["10.16.0.77"]);
    gc(&["mynet", "--yes"]).fails_with_words(&["no valid attachment", "nothing was done"]);
    let all = gc(&["--yes"]);
    all.succeeds_silently();
    assert!(all.stderr.contains("--all does that"), "{all}");
    assert_eq!(reserved("mynet"), ["10.16.0.77"]);
    gc(&["mynet", "--all", "--yes"]).succeeds_silently();
    assert_eq!(reserved("mynet"), Vec::<String>::new());
}

#[test]
fn a_network_without_a_configuration_is_collected_by_the_cached_one() {
    let Some((host, living)) = one_of_two_dead() else {
        return;
    };
    fs::remove_file(Path::new(CONF_DIR).join("10-mynet.conf")).unwrap();
    fs::write("/var/lib/cni/networks/mynet/10.16.0.77", "stranger\r\neth0").unwrap();
    gc(&["--yes"]).succeeds_silently();
    assert_eq!(reserved("mynet"), ["10.16.0.2"]);
    assert_eq!(cached(), ["mynet-id-of-living-eth0"]);
    assert!(living.pings([10, 16, 0, 1]));
    assert!(!host.ip("-br link show type veth").is_empty());
    gc(&["mynet", "--all", "--yes"]).succeeds_silently();
    assert_eq!((reserved("mynet").len(), cached().len()), (0, 0));
    assert_eq!(host.ip("-br link show type veth"), "");
    gc(&["mynet", "--yes"]).fails_with_words(&["no net configuration"]);
}

#[test]
fn what_a_changed_configuration_left_is_collected_too() {
    let Some((host, _living)) = one_of_two_dead() else {
        return;
    };
    let mut now = mynet("1.1.0");
    now["bridge"] = json!("mybr1");
    now["ipam"]["dataDir"] = json!("/var/lib/cni/elsewhere");
    configure("10-mynet.conf", &now);
    // Only GC with the former configuration knows where this is.
    fs::write("/var/lib/cni/networks/mynet/10.16.0.77", "stranger\r\neth0").unwrap();
    gc(&["mynet", "--yes"]).succeeds_silently();
    assert_eq!(reserved("mynet"), ["10.16.0.2"]);
    assert!(host.ip("-br link show type veth").contains("veth"));
}

#[test]
fn a_namespace_path_that_another_pod_has_now_does_not_keep_the_dead_alive() {
    let Some(host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.1.0"));
    let old = host.pod("shared");
    add("mynet", &old, "id-of-old");
    end(&old);
    let new = host.pod("shared");
    add("mynet", &new, "id-of-new");
    let words = gc(&["--dry-run"]).succeeds_with_words();
    assert!(
        words.contains("DEL id-of-old eth0") && words.contains("is another's now"),
        "{words}"
    );
    assert!(!words.contains("id-of-new"), "{words}");
    gc(&["--yes"]).succeeds_silently();
    assert_eq!(reserved("mynet"), ["10.16.0.3"]);
    assert_eq!(cached(), ["mynet-id-of-new-eth0"]);
    assert!(new.pings([10, 16, 0, 1]));
    let check = ["check", "mynet", path(&new), "--container-id", "id-of-new"];
    netloom(&check).run().succeeds_silently();
}

#[test]
fn the_hosts_own_namespace_is_nobodys() {
    let Some((host, _living)) = one_of_two_dead() else {
        return;
    };
    host.sh("touch /run/netns/dead; mount --bind /proc/self/ns/net /run/netns/dead");
    gc(&["--yes"]).succeeds_silently();
    assert_eq!(reserved("mynet"), ["10.16.0.2"]);
}

#[test]
fn a_pod_that_changed_its_address_and_mac_lives() {
    let Some((_host, living)) = one_of_two_dead() else {
        return;
    };
    living.ip("link set eth0 address 02:00:00:00:00:99");
    living.ip("addr flush dev eth0");
    living.ip("addr add 10.16.0.200/16 dev eth0");
    gc(&["--yes"]).succeeds_silently();
    assert_eq!(reserved("mynet"), ["10.16.0.2"]);
    assert_eq!(cached(), ["mynet-id-of-living-eth0"]);
}

#[test]
fn a_cache_file_that_cannot_be_read_is_named_and_its_container_kept() {
    for content in ["", "{\"kind\":\"cniCa", "\u{0}\u{0}\u{0}"] {
        let Some((_host, living)) = one_of_two_dead() else {
            return;
        };
        let second = _host.pod("second");
        add("mynet", &second, "id-of-second");
        let file = format!("{RESULTS}/mynet-id-of-living-eth0");
        fs::write(&file, content).unwrap();
        gc(&["--yes"]).fails_with_words(&[&file]);
        assert_eq!(reserved("mynet"), ["10.16.0.2", "10.16.0.4"]);
        assert!(living.pings([10, 16, 0, 1]));
        let words = gc(&["--dry-run"]).succeeds_with_words();
        assert!(
            words.contains("counted as living") && words.contains(&file),
            "{words}"
        );
    }
}

#[test]
fn a_network_that_must_not_be_collected_is_left_alone() {
    let Some(host) = host() else { return };
    let mut conf = mynet("1.1.0");
    conf.as_object_mut()
        .unwrap()
        .retain(|key, _| key != "name" && key != "cniVersion");
    let list =
        json!({"cniVersion": "1.1.0", "name": "mynet", "disableGC": true, "plugins": [conf]});
    configure("10-mynet.conflist", &list);
    let dead = host.pod("dead");
    add("mynet", &dead, "id-of-dead");
    dead.remove();
    let outcome = gc(&["mynet", "--all", "--yes"]);
    outcome.succeeds_silently();
    assert!(outcome.stderr.contains("disableGC"), "{outcome}");
    assert_eq!(reserved("mynet").len(), 1);
}

/// As if the file had been made before a reboot; false if there are no extended attributes.
fn date_back(file: &str) -> bool {
    use rustix::fs::{XattrFlags, getxattr, setxattr};
    let (name, flags) = ("user.netloom.boot", XattrFlags::empty());
    let mut value = [0; 128];
    let length = getxattr(file, name, &mut value).unwrap_or(0);
    let now = String::from_utf8_lossy(&value[..length]);
    let rest = now.split_once(' ').map(|(_, rest)| format!(" {rest}"));
    let earlier = format!("an-earlier-boot{}", rest.unwrap_or_default());
    setxattr(file, name, earlier.as_bytes(), flags).is_ok()
}

#[test]
fn what_libcni_wrote_over_after_a_reboot_is_of_this_run() {
    let Some(host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.1.0"));
    let pod = host.pod("testing");
    add("mynet", &pod, "id-of-testing");
    let file = format!("{RESULTS}/mynet-id-of-testing-eth0");
    if !date_back(&file) {
        return netloom_testkit::skip("tmpfs has no extended attributes here");
    }
    let words = gc(&["--stale-boot", "--dry-run"]).succeeds_with_words();
    assert!(words.contains("DEL id-of-testing eth0"), "{words}");
    // The same attachment again, by Go's cnitool: the file keeps its inode and its attributes.
    fs::write(&file, fs::read(&file).unwrap()).unwrap();
    gc(&["--stale-boot", "--yes"]).succeeds_silently();
    assert_eq!(reserved("mynet"), ["10.16.0.2"]);
    assert_eq!(cached(), ["mynet-id-of-testing-eth0"]);
}

#[test]
fn what_is_of_before_the_last_reboot_is_reclaimed_and_nothing_else() {
    let Some(host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.1.0"));
    let (old, new) = (host.pod("old"), host.pod("new"));
    add("mynet", &old, "id-of-old");
    add("mynet", &new, "id-of-new");
    // As it is after a reboot: what was cached, and what was reserved without being cached.
    let networks = "/var/lib/cni/networks/mynet";
    fs::write(format!("{networks}/10.16.0.77"), "lost\r\neth0").unwrap();
    fs::write(format!("{networks}/10.16.0.78"), "of-go\r\neth0").unwrap();
    let marked = [
        format!("{RESULTS}/mynet-id-of-old-eth0"),
        format!("{networks}/10.16.0.2"),
        format!("{networks}/10.16.0.77"),
    ];
    if !marked.iter().all(|file| date_back(file)) {
        return netloom_testkit::skip("tmpfs has no extended attributes here");
    }
    let words = gc(&["--stale-boot", "--dry-run"]).succeeds_with_words();
    for part in [
        "DEL id-of-old eth0 10.16.0.2/16 (before the last reboot)",
        "free 10.16.0.2 10.16.0.77",
    ] {
        assert!(words.contains(part), "no {part:?} in:\n{words}");
    }
    gc(&["--stale-boot"]).fails_with_words(&["nothing was removed"]);
    gc(&["--stale-boot", "--yes"]).succeeds_silently();
    assert_eq!(reserved("mynet"), ["10.16.0.3", "10.16.0.78"]);
    assert_eq!(cached(), ["mynet-id-of-new-eth0"]);
    assert!(new.pings([10, 16, 0, 1]));
    let again = gc(&["--stale-boot", "--dry-run"]).succeeds_with_words();
    assert!(again.contains("nothing to remove"), "{again}");
}

#[test]
fn what_a_killed_runtime_wrote_half_is_named_by_doctor_and_goes_with_gc_of_its_network() {
    let Some((host, _living)) = one_of_two_dead() else {
        return;
    };
    configure(
        "20-other.conf",
        &json!({"cniVersion": "1.1.0", "name": "other", "type": "loopback"}),
    );
    let pod = host.pod("killed");
    let call = |verb| netloom(&[verb, "mynet", path(&pod), "--container-id", "id-of-killed"]);
    let Some(faults) = Faults::points_of_disk(&call("add"), &[RESULTS]) else {
        return;
    };
    call("del").run().succeeds_silently();
    let names_it = |point: &netloom_testkit::Point| point.name.starts_with("rename");
    let rename = faults.list().iter().position(names_it).unwrap();
    assert!(faults.kill_at(rename).hit);

    let draft = cached().remove(0);
    assert!(draft.starts_with(".tmp-"), "{:?}", cached());
    let doctor = netloom(&["doctor"]).run();
    assert!(doctor.stdout.contains(&draft), "{doctor}");
    let words = gc(&["mynet", "--dry-run"]).succeeds_with_words();
    assert!(words.contains(&draft), "{words}");
    drop(gc(&["other", "--yes"]));
    assert_eq!(cached()[0], draft, "GC of another network took it");
    // What it added lives as long as its pod does.
    gc(&["mynet", "--yes"]).succeeds_silently();
    assert_eq!(cached(), ["mynet-id-of-living-eth0"]);
    assert_eq!(reserved("mynet").len(), 2);
    end(&pod);
    gc(&["mynet", "--yes"]).succeeds_silently();
    assert_eq!(reserved("mynet"), ["10.16.0.2"]);
    let doctor = netloom(&["doctor"]).run();
    assert!(!doctor.stdout.contains("cache file"), "{doctor}");
}
