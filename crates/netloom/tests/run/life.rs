//! A pod's life as its user sees it.

use std::fs;

use netloom_testkit::parallel;

use crate::{busybox_root, call, detached, host, netloom, picture, run, succeeds};

#[test]
fn a_command_runs_on_a_network_and_leaves_nothing() {
    let Some(host) = host() else { return };
    let before = picture(&host);
    let outcome = run(&["--rm", "--net", "mynet", "--", "ip", "-o", "-4", "addr"]);
    let shown = succeeds(&outcome);
    assert!(shown.contains("eth0    inet 10.16.0."), "{outcome}");
    assert!(shown.contains("lo    inet 127.0.0.1/8"), "{outcome}");
    picture(&host).assert_same_as(&before);
}

#[test]
fn the_exit_status_is_the_commands_or_says_whose_fault_it_is() {
    let Some(host) = host() else { return };
    let before = picture(&host);
    let status =
        |arguments: &[&str]| run(&[&["--rm", "--net", "mynet"], arguments].concat()).code();
    assert_eq!(status(&["--", "sh", "-c", "exit 0"]), Some(0));
    assert_eq!(status(&["--", "sh", "-c", "exit 3"]), Some(3));
    assert_eq!(status(&["--", "/no/such/program"]), Some(127));
    assert_eq!(status(&["--", "/etc"]), Some(126));
    assert_eq!(status(&["-w", "/no/such/dir", "--", "true"]), Some(125));
    assert_eq!(status(&["-u", "nobodyatall", "--", "true"]), Some(125));
    for (signal, expected) in [("INT", 130), ("KILL", 137), ("TERM", 143)] {
        let line = format!("kill -{signal} $$");
        assert_eq!(status(&["--init", "--", "sh", "-c", &line]), Some(expected));
    }
    picture(&host).assert_same_as(&before);
}

#[test]
fn a_pod_without_networks_is_told_which_there_are() {
    let Some(_host) = host() else { return };
    let outcome = run(&["--rm", "--", "ls", "/sys/class/net"]);
    assert_eq!(succeeds(&outcome), "lo");
    assert!(outcome.stderr.contains("mynet, two"), "{outcome}");
}

#[test]
fn a_detached_pod_is_shown_logged_entered_waited_for_and_forgotten() {
    let Some(host) = host() else { return };
    let before = picture(&host);
    let line = "echo to stdout; echo to stderr >&2; read x < /tmp/go; exit 4";
    // The pod sees what this machine has there.
    let line = format!("rm -f /tmp/go; mkfifo /tmp/go; {line}");
    let id = detached(&["--name", "web", "--net", "mynet", "--", "sh", "-c", &line]);
    let shown = succeeds(&call(&["ps"]));
    assert!(shown.contains("web   running"), "{shown}");
    assert!(shown.contains(&id[..8]), "{shown}");
    assert!(run(&["--name", "web", "true"]).stderr.contains("taken"));
    assert_eq!(call(&["rm", "web"]).code(), Some(125), "it runs");

    let inside = call(&["exec", "web", "--", "sh", "-c", "hostname; exit 7"]);
    assert_eq!((inside.code(), inside.stdout.trim()), (Some(7), "web"));
    assert_eq!(call(&["exec", "web", "/no/such"]).code(), Some(127));
    let fed = netloom(&["exec", "-i", &id[..8], "sh", "-c", "cat"]);
    assert_eq!(succeeds(&fed.stdin("fed").run()), "fed");
    // The pod ends by that, and what is in it may be killed before it ends by itself.
    call(&["exec", "web", "--", "sh", "-c", "echo x > /tmp/go"]);

    assert_eq!(succeeds(&call(&["wait", "web"])), "4");
    assert_eq!(succeeds(&call(&["logs", "web"])), "to stdout\nto stderr");
    assert_eq!(call(&["exec", "web", "true"]).code(), Some(125));
    assert!(!succeeds(&call(&["ps"])).contains("web"));
    assert!(succeeds(&call(&["ps", "-a"])).contains("exited (4)"));
    succeeds(&call(&["rm", &id[..8]]));
    picture(&host).assert_same_as(&before);
}

#[test]
fn stop_asks_first_and_kills_what_does_not_listen() {
    let Some(host) = host() else { return };
    let before = picture(&host);
    let deaf = detached(&[
        "--net",
        "mynet",
        "--",
        "sh",
        "-c",
        "trap '' TERM; while :; do sleep 9; done",
    ]);
    let polite = detached(&["--init", "--net", "mynet", "sleep", "1000"]);
    succeeds(&call(&["stop", "-t", "0", &deaf]));
    succeeds(&call(&["stop", &polite]));
    assert_eq!(succeeds(&call(&["wait", &deaf])), "137");
    assert_eq!(succeeds(&call(&["wait", &polite])), "143");
    succeeds(&call(&["rm", &deaf, &polite]));
    picture(&host).assert_same_as(&before);
}

#[test]
fn a_pod_that_has_ended_does_not_seem_to_run_while_others_look() {
    let Some(_host) = host() else { return };
    let ids = parallel(8, 8, |_| detached(&["true"]));
    let removed = parallel(16, 16, |number| match number % 2 {
        0 => call(&["ps", "-a"]),
        _ => {
            succeeds(&call(&["wait", &ids[number / 2]]));
            call(&["rm", &ids[number / 2]])
        }
    });
    for outcome in &removed {
        succeeds(outcome);
    }
}

#[test]
fn rm_by_force_ends_a_pod_that_runs() {
    let Some(host) = host() else { return };
    let before = picture(&host);
    let id = detached(&["--net", "mynet", "sleep", "1000"]);
    succeeds(&call(&["rm", "-f", &id]));
    let id = detached(&["--rm", "--net", "mynet", "sleep", "1000"]);
    succeeds(&call(&["rm", "-f", &id]));
    picture(&host).assert_same_as(&before);
}

#[test]
fn a_network_that_fails_takes_the_ones_before_it_along() {
    let Some(host) = host() else { return };
    crate::configure(
        "30-broken.conf",
        &serde_json::json!({
            "cniVersion": "1.0.0", "name": "broken", "type": "ptp",
            "ipam": {"type": "static", "addresses": []}, "mtu": 9_999_999,
        }),
    );
    let before = picture(&host);
    let outcome = run(&["--net", "mynet", "--net", "broken", "true"]);
    assert_eq!(outcome.code(), Some(125), "{outcome}");
    assert!(outcome.stderr.contains("network \"broken\""), "{outcome}");
    picture(&host).assert_same_as(&before);
}

#[test]
fn fifty_pods_at_once_have_fifty_addresses_and_leave_nothing() {
    let Some(host) = host() else { return };
    let before = picture(&host);
    let shown = parallel(50, 50, |_| {
        let arguments = [
            "--rm", "--net", "mynet", "--net", "two", "--", "ip", "-o", "-4", "addr",
        ];
        succeeds(&run(&arguments))
    });
    let all = shown.join("\n");
    let addresses = all.split_whitespace().filter(|it| it.starts_with("10.1"));
    let mut addresses: Vec<_> = addresses.filter(|it| it.contains('/')).collect();
    assert_eq!(addresses.len(), 100, "{all}");
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), 100, "an address was given twice: {all}");
    picture(&host).assert_same_as(&before);
}

#[test]
fn what_a_pod_writes_vanishes_unless_the_directory_is_its_own() {
    let Some(_host) = host() else { return };
    let Some(root) = busybox_root("root") else {
        return;
    };
    let root = root.to_str().unwrap();
    let write = ["sh", "-c", "echo x > /written; cat /written"];
    let fleeting = run(&[&["--rm", "--rootfs", root], &write[..]].concat());
    assert_eq!(succeeds(&fleeting), "x");
    assert!(!fs::exists(format!("{root}/written")).unwrap());
    let kept = run(&[&["--rm", "--rw", "--rootfs", root], &write[..]].concat());
    assert_eq!(succeeds(&kept), "x");
    assert!(fs::exists(format!("{root}/written")).unwrap());
    succeeds(&run(&[
        "--rm",
        "--",
        "sh",
        "-c",
        "echo x > /etc/netloom-test",
    ]));
    assert!(!fs::exists("/etc/netloom-test").unwrap());
}

#[test]
fn volumes_are_mounted_and_read_only_ones_stay_as_they_are() {
    let Some(_host) = host() else { return };
    fs::create_dir_all("/run/shared").unwrap();
    fs::write("/run/shared/file", "of the host").unwrap();
    let line =
        "cat /data/file; echo new > /data/made; echo new > /fixed/made 2>/dev/null || echo refused";
    let volumes = ["-v", "/run/shared:/data", "-v", "/run/shared:/fixed:ro"];
    let outcome = run(&[&["--rm"], &volumes[..], &["--", "sh", "-c", line]].concat());
    assert_eq!(succeeds(&outcome), "of the hostrefused");
    assert_eq!(fs::read_to_string("/run/shared/made").unwrap(), "new\n");
}
