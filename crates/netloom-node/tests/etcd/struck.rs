//! A daemon that runs is killed in the middle of its work, at each rename and at each message to kernel
//! and store: while a peer changes, while it claims addresses, and while it gives some back.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use netloom_cluster::record::BlockRecord;
use netloom_testkit::Sample;
use rustix::process::{Pid, Signal, kill_process};

use crate::grants::{asked, granted};
use crate::lab::{Daemon, Etcd, Flow, Lab, Machine, network};

/// What changes something outside of the process.
const CALLS: &str = "rename,renameat,renameat2,fsync,unlink,sendto,sendmsg,write,writev";

/// strace on a daemon that runs.
struct Strace(Child);

impl Strace {
    fn attach(machine: &Machine, arguments: &[&str]) -> Self {
        let pid = machine.told("/pid").as_i64().unwrap().to_string();
        let mut child = Command::new("strace")
            .args(["-f", "-p", &pid])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        told.read_line(&mut line).unwrap();
        assert!(line.contains("attached"), "{line}");
        // It goes on telling of threads, and must not wait for a reader.
        std::thread::spawn(move || told.lines().map_while(Result::ok).for_each(drop));
        Self(child)
    }

    fn detach(mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::INT);
        self.0.wait().unwrap();
    }
}

/// Each system call that the daemon makes in a piece of work, and how often one thread makes it.
fn points(machine: &Machine, work: impl FnOnce()) -> BTreeMap<String, usize> {
    let log = "/run/lab/work";
    let strace = Strace::attach(machine, &["-e", &format!("trace={CALLS}"), "-o", log]);
    work();
    strace.detach();
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in fs::read_to_string(log).unwrap().lines() {
        let call = line.split_once(' ').and_then(|(thread, rest)| {
            let (name, _) = rest.trim_start().split_once('(')?;
            let is_call = CALLS.split(',').any(|call| call == name);
            is_call.then(|| (name.to_owned(), thread.to_owned()))
        });
        if let Some(call) = call {
            *counts.entry(call).or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((name, _), count) in counts {
        let place: &mut usize = most.entry(name).or_default();
        *place = count.max(*place);
    }
    assert!(!most.is_empty());
    most
}

/// At most so many of the numbers from 1 to `count`, evenly.
fn chosen(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let chosen = count.min(most);
    (0..chosen).map(move |at| 1 + at * count / chosen)
}

/// Two machines with a pod each, between which packets flow all the time.
struct Pair {
    etcd: Etcd,
    one: Machine,
    two: Machine,
    daemon: Daemon,
    _other: Daemon,
    flow: Flow,
    /// The namespaces go last.
    _lab: Lab,
}

impl Pair {
    fn new() -> Option<Self> {
        let lab = Lab::new()?;
        let etcd = Etcd::start(&network("vxlan"));
        let (one, two) = (lab.machine(1, 1), lab.machine(2, 2));
        let daemon = one.joined(&etcd.url(), &[]);
        let other = two.joined(&etcd.url(), &[]);
        one.until("both ways", |m| m.told("/peers/routes") == 2);
        two.until("both ways", |m| m.told("/peers/routes") == 2);
        let (here, there) = (one.pod("here"), two.pod("there"));
        let flow = Flow::start(&here, there.ips[0]);
        Some(Self {
            etcd,
            one,
            two,
            daemon,
            _other: other,
            flow,
            _lab: lab,
        })
    }

    /// Kills the first daemon at each point of this work that this run does, and starts it again. Before
    /// each, `begin` brings about where the work begins; afterwards `proof` is asked. Of a system call
    /// that is made more than `most` times, so many are chosen, from the first on.
    fn strike(
        &mut self,
        most: usize,
        mut begin: impl FnMut(&Self),
        work: impl Fn(&Self),
        mut proof: impl FnMut(&Self, &str),
    ) {
        begin(self);
        let points = points(&self.one, || work(self));
        let sample = Sample::of_this_run();
        let all = points
            .iter()
            .flat_map(|(name, count)| chosen(*count, most).map(move |k| (name, k)));
        let (mut struck, mut tried) = (0, 0);
        for (_, (name, occurrence)) in all.enumerate().filter(|(number, _)| sample.has(*number)) {
            begin(self);
            let trace = format!("trace={name}");
            let inject = format!("inject={name}:signal=SIGKILL:when={occurrence}");
            let strace =
                Strace::attach(&self.one, &["-e", &trace, "-e", &inject, "-o", "/dev/null"]);
            work(self);
            tried += 1;
            struck += usize::from(self.daemon.has_ended());
            let _ = self.daemon.end(Signal::KILL);
            strace.detach();
            self.daemon = self.one.joined(&self.etcd.url(), &[]);
            proof(self, &format!("killed at {name} number {occurrence}"));
        }
        println!("struck {struck} times of {tried}: {points:?}");
        assert!(struck > 0);
    }

    fn end(self) {
        let (sent, lost) = self.flow.end();
        assert!(sent > 10 && lost == 0, "{lost} of {sent}");
    }
}

const PEER: &str = "10.5.77.0-24";

fn peer(last: u8) -> String {
    format!(
        r#"{{"PublicIP":"192.0.2.{last}","BackendType":"vxlan","BackendData":{{"VNI":1,"VtepMAC":"02:00:00:00:00:{last}"}}}}"#
    )
}

#[test]
fn a_node_that_is_killed_while_a_peer_changes_knows_it_after_the_next_start() {
    let Some(mut pair) = Pair::new() else { return };
    // The part of the network goes from one host to another, and back.
    let knows = |machine: &Machine, last: u8, other: u8| {
        let kernel = machine.kernel();
        let is_there = |part: String| kernel.contains(&part);
        is_there("10.5.77.0/24 via".to_owned())
            && is_there(format!("dst 192.0.2.{last}"))
            && is_there(format!("lladdr 02:00:00:00:00:{last}"))
            && !is_there(format!("dst 192.0.2.{other}"))
    };
    pair.strike(
        usize::MAX,
        |pair| {
            pair.etcd.announce(PEER, &peer(78));
            pair.one.until("the former host", |m| knows(m, 78, 77));
        },
        |pair| {
            pair.etcd.announce(PEER, &peer(77));
            pair.one.until("the new host, or the own end", |m| {
                knows(m, 77, 78) || pair.daemon.has_ended()
            });
        },
        |pair, why| {
            pair.one.until(why, |m| knows(m, 77, 78));
        },
    );
    pair.end();
}

/// What the store says that a node may give.
fn stored(etcd: &Etcd, node: &str) -> BTreeSet<IpAddr> {
    let text = etcd.ctl(&["get", "--prefix", "/netloom/v1/blocks/sriov/"]);
    let lines: Vec<&str> = text.lines().collect();
    let mut all = BTreeSet::new();
    for pair in lines.chunks(2) {
        let (space, block) = netloom_cluster::key::parse_block(pair[0]).unwrap();
        assert_eq!(space.as_str(), "sriov");
        let record = BlockRecord::parse(pair[1].as_bytes()).unwrap();
        for entry in record
            .entries()
            .iter()
            .filter(|it| it.node.as_str() == node)
        {
            let places = entry.span.at()..entry.span.at() + entry.span.len();
            all.extend(places.map(|at| block.address(at)));
        }
    }
    all
}

/// Nothing is given twice, and store and disks say the same of both.
fn assert_exactly_once(pair: &Pair, why: &str) {
    pair.one
        .until(&format!("{why}: store and disks agree"), |_| {
            [&pair.one, &pair.two]
                .iter()
                .all(|m| granted(m) == stored(&pair.etcd, &m.name))
        });
    let (here, there) = (granted(&pair.one), granted(&pair.two));
    assert!(here.is_disjoint(&there), "{why}: {here:?} {there:?}");
}

/// A part of the space of which nobody has spoken yet.
fn part(number: u8) -> (String, String) {
    (format!("10.9.{number}.16"), format!("10.9.{number}.31"))
}

#[test]
fn a_node_that_is_killed_while_it_claims_has_what_the_store_says() {
    let Some(mut pair) = Pair::new() else { return };
    let number = Cell::new(0);
    let claim = |machine: &Machine| {
        let (start, end) = part(number.get());
        asked(machine, &start, &end).join().unwrap()
    };
    pair.strike(
        usize::MAX,
        |pair| {
            number.set(number.get() + 1);
            // The other one is there already.
            let (start, end) = (format!("10.9.{}.1", number.get()), "10.9.99.254");
            assert!(
                asked(&pair.two, &start, end)
                    .join()
                    .unwrap()
                    .contains("done")
            );
        },
        |pair| drop(claim(&pair.one)),
        |pair, why| {
            let answer = claim(&pair.one);
            assert!(answer.contains("done"), "{why}: {answer}");
            assert_exactly_once(pair, why);
        },
    );
    pair.end();
}

/// How many times the daemon is killed at one system call while it gives back, at most. Each takes more
/// than a second: what was just claimed stays for so long.
const MOST: usize = 7;

/// How many addresses of the part are a node's.
fn count_of(pair: &Pair, node: &str, (start, end): &(String, String)) -> usize {
    let (start, end): (IpAddr, IpAddr) = (start.parse().unwrap(), end.parse().unwrap());
    stored(&pair.etcd, node).range(start..=end).count()
}

#[test]
fn a_node_that_is_killed_while_it_gives_back_has_what_the_store_says_and_the_other_one_the_rest() {
    let Some(mut pair) = Pair::new() else { return };
    let number = Cell::new(0);
    // Whether the other one has its answer is seen after the kill too.
    let waits = RefCell::new(None::<JoinHandle<String>>);
    let ask = |machine: &Machine| {
        let (start, end) = part(number.get());
        asked(machine, &start, &end)
    };
    pair.strike(
        MOST,
        |pair| {
            number.set(number.get() + 1);
            // All of the part is this one's, so that the other one finds nothing there.
            let answer = ask(&pair.one).join().unwrap();
            assert!(answer.contains("done"), "{answer}");
            assert_eq!(count_of(pair, "m1", &part(number.get())), 16);
        },
        |pair| {
            let waiting = ask(&pair.two);
            pair.one.until("something goes back, or the own end", |_| {
                waiting.is_finished() || pair.daemon.has_ended()
            });
            waits.replace(Some(waiting));
        },
        |pair, why| {
            let answer = waits.take().unwrap().join().unwrap();
            assert!(answer.contains("done"), "{why}: {answer}");
            assert_exactly_once(pair, why);
            let count = |node| count_of(pair, node, &part(number.get()));
            assert!(count("m2") > 0 && count("m1") < 16, "{why}");
        },
    );
    pair.end();
}
