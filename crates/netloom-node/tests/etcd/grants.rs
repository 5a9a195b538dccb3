//! Addresses for the plugin `cluster`: asked for on the socket, claimed in a real store.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Shutdown};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use netloom_cluster::SpaceName;
use netloom_cluster::disk::GrantsFile;
use netloom_cluster::message::{Answer, LONGEST_LINE, Op, Request, WantedRange, WantedSet};
use rustix::process::Signal;

use crate::lab::{Etcd, Lab, Machine, network};

fn socket(machine: &Machine) -> UnixStream {
    UnixStream::connect(machine.path("/run/netloom/node.sock")).unwrap()
}

/// What the daemon answers to a line.
fn ask(machine: &Machine, line: &[u8]) -> String {
    ask_on(socket(machine), line)
}

fn ask_on(mut stream: UnixStream, line: &[u8]) -> String {
    let _ = stream.write_all(line);
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// Asks for an address of a range, without waiting; what comes is the daemon's answer, or nothing if it
/// ended meanwhile.
pub(crate) fn asked(machine: &Machine, start: &str, end: &str) -> JoinHandle<String> {
    let line = request(start, end).to_line();
    let stream = socket(machine);
    std::thread::spawn(move || ask_on(stream, &line))
}

/// Claims an address of a range.
pub(crate) fn claim(machine: &Machine, start: &str, end: &str) -> Answer {
    let answer = ask(machine, &request(start, end).to_line());
    Answer::parse(answer.as_bytes()).unwrap_or_else(|error| panic!("{answer:?}: {error}"))
}

fn request(start: &str, end: &str) -> Request {
    let set = WantedSet {
        ranges: vec![WantedRange {
            start: start.parse().unwrap(),
            end: end.parse().unwrap(),
        }],
        address: None,
    };
    let mut request = Request::new(Op::Claim, SpaceName::new("sriov").unwrap(), vec![set]);
    request.wait = 20_000;
    request
}

/// The addresses that a machine may give.
pub(crate) fn granted(machine: &Machine) -> BTreeSet<IpAddr> {
    let file = machine.sh("cat /var/lib/cni/netloom-cluster/sriov/grants");
    let file = GrantsFile::parse(file.as_bytes()).unwrap();
    let grants = file.grants.iter();
    grants
        .flat_map(|grant| {
            let places = grant.span.at()..grant.span.at() + grant.span.len();
            places.map(|at| grant.block.address(at))
        })
        .collect()
}

#[test]
fn two_nodes_claim_different_addresses_and_keep_them_when_they_are_killed() {
    let Some(lab) = Lab::new() else { return };
    let etcd = Etcd::start(&network("auto"));
    let (one, two) = (lab.machine(1, 1), lab.machine(2, 2));
    let mut first = one.joined(&etcd.url(), &[]);
    let _second = two.joined(&etcd.url(), &[]);
    for machine in [&one, &two] {
        let answer = claim(machine, "10.9.0.1", "10.9.0.254");
        assert_eq!(answer, Answer::Done(vec![]), "{:#}", machine.status());
    }
    let (here, there) = (granted(&one), granted(&two));
    assert!(
        !here.is_empty() && here.is_disjoint(&there),
        "{here:?} {there:?}"
    );
    let records = etcd.ctl(&["get", "--prefix", "/netloom/v1/blocks/sriov/4/"]);
    assert!(
        records.contains("\"m1\"") && records.contains("\"m2\""),
        "{records}"
    );
    let metrics = one.sh("curl -s http://127.0.0.1:9470/metrics");
    let metric = format!(
        "netloom_node_granted_addresses{{space=\"sriov\"}} {}\n",
        here.len()
    );
    assert!(metrics.contains(&metric), "{metrics}");

    first.end(Signal::KILL);
    let _again = one.joined(&etcd.url(), &[]);
    assert_eq!(claim(&one, "10.9.0.1", "10.9.0.254"), Answer::Done(vec![]));
    let now = granted(&one);
    assert!(now.is_superset(&here) && now.is_disjoint(&there));
}

/// A network of which each address is given once in the whole cluster.
const SECOND: &str = r#"{"cniVersion":"1.0.0","name":"second","plugins":[{"type":"bridge","bridge":"br1",
    "ipam":{"type":"cluster","space":"sriov","ranges":[[{"subnet":"10.9.0.0/24"}]]}}]}"#;

#[test]
fn pods_of_two_nodes_have_different_addresses_of_one_network_without_a_store_too() {
    let Some(lab) = Lab::new() else { return };
    let mut etcd = Etcd::start(&network("auto"));
    let machines = [lab.machine(1, 1), lab.machine(2, 2)];
    let mut daemons = machines.each_ref().map(|m| m.joined(&etcd.url(), &[]));
    let mut given = BTreeSet::new();
    for (machine, names) in machines.iter().zip([["a", "b", "c"], ["d", "e", "f"]]) {
        machine.sh(&format!(
            "cat > /etc/cni/net.d/20-second.conflist <<'X'\n{SECOND}\nX"
        ));
        for name in names {
            let pod = machine.pod_on("second", name);
            assert!(given.insert(pod.ips[0]), "{} twice: {given:?}", pod.ips[0]);
        }
    }
    etcd.kill();
    daemons[0].until("the store does not answer");
    let late = machines[0].pod_on("second", "late");
    assert!(
        given.insert(late.ips[0]),
        "{} twice: {given:?}",
        late.ips[0]
    );
    machines[0].remove(late);
    let left = machines[0].sh("ls /var/lib/cni/netloom-cluster/sriov | grep -c ^10.9");
    assert_eq!(left, "3\n");
}

#[test]
fn without_a_store_a_claim_is_refused_in_time_with_its_reason() {
    let Some(lab) = Lab::new() else { return };
    let mut etcd = Etcd::start(&network("auto"));
    let one = lab.machine(1, 1);
    let mut daemon = one.joined(&etcd.url(), &[]);
    etcd.kill();
    daemon.until("the store does not answer");
    let line = format!(
        "{}\n",
        r#"{"v":1,"op":"claim","space":"sriov","sets":[{"ranges":[{"start":"10.9.0.1","end":"10.9.0.9"}]}],"wait":300}"#
    );
    let answer = ask(&one, line.as_bytes());
    let Ok(Answer::Refused(refusal)) = Answer::parse(answer.as_bytes()) else {
        panic!("{answer}");
    };
    assert_eq!(refusal.code, 11, "{}", refusal.msg);
}

#[test]
fn a_node_that_is_removed_gives_all_back_and_one_that_lives_is_not_removed() {
    let Some(lab) = Lab::new() else { return };
    let etcd = Etcd::start(&network("auto"));
    let (one, two) = (lab.machine(1, 1), lab.machine(2, 2));
    let mut first = one.joined(&etcd.url(), &["--alive", "2"]);
    let _second = two.joined(&etcd.url(), &[]);
    assert_eq!(claim(&one, "10.9.0.1", "10.9.0.254"), Answer::Done(vec![]));
    let url = etcd.url();
    let remove = |more: &[&str]| {
        let words = [&["remove", "m1", "--insecure", "--etcd", &url], more].concat();
        let output = two.node(&words);
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    let (done, said) = remove(&[]);
    assert!(!done && said.contains("--fenced"), "{said}");
    let (done, said) = remove(&["--fenced"]);
    assert!(!done && said.contains("the daemon of m1 runs"), "{said}");
    first.end(Signal::KILL);
    etcd.until("DELETE", "/netloom/v1/alive/m1");
    let (done, said) = remove(&["--fenced"]);
    assert!(
        done && said.contains("removed m1: 1 parts of the network, grants in 1 blocks"),
        "{said}"
    );
    assert_eq!(etcd.ctl(&["get", "--prefix", "/netloom/v1/blocks/"]), "");
    assert_eq!(etcd.subnets().len(), 1);
    let (done, said) = remove(&["--fenced"]);
    assert!(done && said.contains("nothing to do"), "{said}");
}

#[test]
fn the_socket_is_roots_and_answers_nonsense_with_one_line() {
    let Some(lab) = Lab::new() else { return };
    let etcd = Etcd::start(&network("auto"));
    let one = lab.machine(1, 1);
    let mut daemon = one.joined(&etcd.url(), &[]);
    assert_eq!(one.sh("stat -c %a /run/netloom/node.sock"), "600\n");
    for nonsense in [
        &b"\n"[..],
        b"{}\n",
        b"[1,2\n",
        b"\xff\xfe\n",
        b"{\"v\":9}\n",
    ] {
        let answer = ask(&one, nonsense);
        assert!(
            answer.contains("refused") && answer.lines().count() == 1,
            "{answer}"
        );
    }
    assert_eq!(
        ask(&one, &vec![b' '; LONGEST_LINE + 8192]),
        "",
        "too long for an answer"
    );
    // Whoever opened it as root and hands it on is another user all the same.
    let denied = one.try_sh(
        "setpriv --reuid 65534 --clear-groups python3 -c \"import socket; s=socket.socket(socket.AF_UNIX); s.connect('/run/netloom/node.sock')\"",
    );
    assert!(!denied.status.success());
    // Many who say nothing hinder nobody.
    let idle: Vec<UnixStream> = (0..200).map(|_| socket(&one)).collect();
    assert_eq!(claim(&one, "10.9.0.1", "10.9.0.254"), Answer::Done(vec![]));
    idle.iter()
        .for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    assert_eq!(daemon.end(Signal::TERM).code(), Some(0));
    let _again = one.joined(&etcd.url(), &[]);
    assert_eq!(claim(&one, "10.9.0.1", "10.9.0.254"), Answer::Done(vec![]));
}
