//! The daemon is killed at each rename and at each message to kernel and store: the next start completes
//! what was begun, and what worked goes on.

use std::collections::BTreeMap;
use std::fs;

use netloom_testkit::Sample;
use rustix::process::{Pid, Signal, kill_process};

use crate::lab::{Etcd, Flow, Lab, Machine, network};

/// What changes something outside of the process.
const CALLS: &str = "rename,renameat,renameat2,fsync,unlink,sendto,sendmsg,write,writev";

/// How often each system call is made by one thread until pods can start.
fn points(machine: &Machine, url: &str) -> BTreeMap<String, usize> {
    let log = "/run/lab/calls";
    let trace = format!("trace={CALLS}");
    let mut daemon = machine.daemon_under(
        &["strace", "-f", "-qq", "-e", &trace, "-o", log],
        &["--insecure", "--etcd", url],
        &[],
    );
    assert!(daemon.says("pods can start"));
    end(machine, &mut daemon);
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in fs::read_to_string(log).unwrap().lines() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let Some((name, _)) = rest.trim_start().split_once('(') else {
            continue;
        };
        if CALLS.split(',').any(|call| call == name) {
            *counts
                .entry((name.to_owned(), thread.to_owned()))
                .or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((name, _), count) in counts {
        let place: &mut usize = most.entry(name).or_default();
        *place = count.max(*place);
    }
    assert!(most.len() >= 4, "{most:?}");
    most
}

/// Kills the daemon itself, of which strace is only the parent.
fn end(machine: &Machine, daemon: &mut crate::lab::Daemon) {
    let pid = machine.told("/pid").as_i64().unwrap();
    let _ = kill_process(
        Pid::from_raw(pid.try_into().unwrap()).unwrap(),
        Signal::KILL,
    );
    daemon.ended();
}

/// Starts the daemon, to be killed at this call of this name. Whether it was.
fn strike(machine: &Machine, url: &str, name: &str, occurrence: usize) -> bool {
    let trace = format!("trace={name}");
    let inject = format!("inject={name}:signal=SIGKILL:when={occurrence}");
    let strace = [
        "strace",
        "-f",
        "-qq",
        "-e",
        &trace,
        "-e",
        &inject,
        "-o",
        "/dev/null",
    ];
    let mut daemon = machine.daemon_under(&strace, &["--insecure", "--etcd", url], &[]);
    if daemon.says("pods can start") {
        end(machine, &mut daemon);
        return false;
    }
    daemon.ended();
    true
}

/// Each point that this run does.
fn each(points: &BTreeMap<String, usize>, mut trial: impl FnMut(&str, usize)) {
    let sample = Sample::of_this_run();
    let all = points
        .iter()
        .flat_map(|(name, count)| (1..=*count).map(move |k| (name, k)));
    for (_, (name, occurrence)) in all.enumerate().filter(|(number, _)| sample.has(*number)) {
        trial(name, occurrence);
    }
}

/// Nothing is begun and not completed.
fn assert_complete(machine: &Machine, etcd: &Etcd, why: &str) {
    let own = machine.told("/subnets").as_str().unwrap().to_owned();
    let address = format!("\"{}\"", machine.v4);
    let records = etcd
        .subnets()
        .into_iter()
        .filter(|(_, value)| value.contains(&address))
        .count();
    assert_eq!(records, 1, "{why}: records of the node");
    let remembered = machine.sh("cat /var/lib/netloom/network.json");
    let key = own.split('/').next().unwrap();
    assert!(
        remembered.contains(&format!("\"subnets\": \"{key}-24")),
        "{why}: {own} {remembered}"
    );
    let left = machine.sh(
        "find /etc/cni /run/flannel /run/netloom /var/lib/netloom /var/lib/cni -name '.*.netloom'",
    );
    assert_eq!(left, "", "{why}: left unfinished");
    assert!(
        machine
            .sh("cat /run/flannel/subnet.env")
            .contains(key.trim_end_matches(".0"))
    );
    machine.sh("test -e /etc/cni/net.d/10-netloom.conflist");
}

#[test]
fn a_node_that_is_killed_while_it_joins_joins_at_the_next_start() {
    let Some(lab) = Lab::new() else { return };
    let etcd = Etcd::start(&network("vxlan"));
    let (one, two) = (lab.machine(1, 1), lab.machine(2, 2));
    let _other = two.joined(&etcd.url(), &[]);
    let begin = |machine: &Machine| {
        let gone = machine.node(&["uninstall", "--forget"]);
        assert!(
            gone.status.success(),
            "{}",
            String::from_utf8_lossy(&gone.stderr)
        );
        for (key, value) in etcd.subnets() {
            if value.contains(&format!("\"{}\"", machine.v4)) {
                etcd.withdraw(&key);
            }
        }
    };
    begin(&one);
    let points = points(&one, &etcd.url());
    let before = one.sh("ip link | grep -c .");
    let mut struck = 0;
    each(&points, |name, occurrence| {
        begin(&one);
        struck += usize::from(strike(&one, &etcd.url(), name, occurrence));
        let mut daemon = one.joined(&etcd.url(), &[]);
        let why = format!("killed at {name} number {occurrence}");
        one.until(&format!("{why}: both ways"), |m| {
            m.told("/peers/routes") == 2
        });
        assert_complete(&one, &etcd, &why);
        assert_eq!(one.sh("ip link | grep -c ."), before, "{why}: links");
        daemon.end(Signal::TERM);
    });
    println!("struck {struck} times of {points:?}");
    assert!(struck > 0);
}

#[test]
fn a_node_that_is_killed_while_it_starts_loses_no_packet() {
    let Some(lab) = Lab::new() else { return };
    let etcd = Etcd::start(&network("vxlan"));
    let (one, two) = (lab.machine(1, 1), lab.machine(2, 2));
    let _other = two.joined(&etcd.url(), &[]);
    let mut daemon = one.joined(&etcd.url(), &[]);
    one.until("both ways", |m| m.told("/peers/routes") == 2);
    two.until("both ways", |m| m.told("/peers/routes") == 2);
    let (here, there) = (one.pod("here"), two.pod("there"));
    let flow = Flow::start(&here, there.ips[0]);
    let kernel = one.kernel();
    let records = etcd.subnets();
    daemon.end(Signal::KILL);
    let points = points(&one, &etcd.url());
    each(&points, |name, occurrence| {
        strike(&one, &etcd.url(), name, occurrence);
        assert_eq!(one.kernel(), kernel, "killed at {name} number {occurrence}");
    });
    let _again = one.joined(&etcd.url(), &[]);
    assert_complete(&one, &etcd, "after all");
    assert_eq!((one.kernel(), etcd.subnets()), (kernel, records));
    let (sent, lost) = flow.end();
    assert!(sent > 10 && lost == 0, "{lost} of {sent}");
}
