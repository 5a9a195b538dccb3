//! What passes a link, and how well.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use netloom_kernel::packet::{Instruction, Socket};
use netloom_kernel::rtnl;
use netloom_testkit::{Pod, skip};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{fails, host, netloom, snapshot, succeeds};

/// A program of BPF that passes everything.
const EVERYTHING: [Instruction; 1] = [Instruction {
    code: 0x06,
    if_true: 0,
    if_false: 0,
    operand: u32::MAX,
}];

/// A packet socket on an interface of a pod.
fn socket(pod: &Pod, name: &str, protocol: u16) -> Socket {
    pod.run(|| {
        let index = rtnl::Socket::open().unwrap().get_link(name).unwrap().index;
        Socket::open(index, protocol, &EVERYTHING).unwrap()
    })
}

/// A bridge eats some of these, whatever its `group_fwd_mask` is.
#[test]
fn frames_of_control_protocols_pass() {
    let Some((_host, pods)) = host(["blue", "red"]) else {
        return;
    };
    succeeds("link add ns:blue/in1 ns:red/in2");
    for (protocol, last) in [
        (0x88cc, 0x0e),
        (0x8809, 0x02),
        (0x88cc, 0x00),
        (0x88f7, 0x03),
        (0x8808, 0x01),
    ] {
        let [from, to] =
            [(&pods[0], "in1"), (&pods[1], "in2")].map(|(pod, name)| socket(pod, name, protocol));
        from.send(
            b"a frame of sixty bytes at least, so that nothing fills it up.",
            [1, 0x80, 0xc2, 0, 0, last],
        )
        .unwrap();
        let mut arrived = [PollFd::new(&to, PollFlags::IN)];
        let patience = Timespec {
            tv_sec: 5,
            tv_nsec: 0,
        };
        let ready = poll(&mut arrived, Some(&patience)).unwrap();
        assert_eq!(ready, 1, "{protocol:x} to …:{last:02x} does not arrive");
        assert!(to.receive(&mut [0; 128]).unwrap().is_some());
    }
}

/// How long the quickest answer took, in milliseconds: the first waits for the neighbour as well.
fn round_trip(pod: &Pod, address: &str) -> f64 {
    let said = pod.sh(&format!("ping -c 5 -i 0.01 -W 5 {address}"));
    let (_, times) = said.rsplit_once(" = ").unwrap();
    times.split('/').next().unwrap().parse().unwrap()
}

#[test]
fn a_delay_is_as_long_as_asked_and_changes_live() {
    let Some((host, pods)) = host(["blue", "red"]) else {
        return;
    };
    succeeds("link add ns:blue/in1,10.0.0.1/24 ns:red/in2,10.0.0.2/24");
    let before = snapshot(&host, &pods);
    let outcome = netloom("link set ns:blue/in1 --delay 50ms").run();
    if !outcome.is_success() {
        assert!(outcome.stderr.contains("CONFIG_NET_SCH_NETEM"), "{outcome}");
        snapshot(&host, &pods).assert_same_as(&before);
        skip("the kernel has no netem");
        return;
    }
    let within = |time: f64, asked: f64| {
        assert!(
            (asked * 0.9..asked * 1.3).contains(&time),
            "{time}, not {asked}"
        )
    };
    within(round_trip(&pods[0], "10.0.0.2"), 50.0);
    // The other direction is another end's.
    succeeds("link set ns:red/in2 --delay 50ms");
    within(round_trip(&pods[0], "10.0.0.2"), 100.0);
    succeeds("link set ns:red/in2 --loss 0.5%");
    let shown = netloom("link show ns:red/in2 --json").run().json();
    assert_eq!(shown["impairment"], "delay 50ms loss 0.5%");
    succeeds("link set ns:red/in2 --reset --loss 30%");
    let said = pods[1].sh("ping -c 1000 -i 0.001 -W 1 10.0.0.1 || true");
    let loss = said
        .split(", ")
        .find_map(|part| part.strip_suffix("% packet loss"))
        .unwrap();
    let loss: f64 = loss.parse().unwrap();
    assert!((25.0..35.0).contains(&loss), "{said}");
    for end in ["ns:blue/in1", "ns:red/in2"] {
        succeeds(&format!("link set {end} --reset"));
    }
    snapshot(&host, &pods).assert_same_as(&before);
}

#[test]
fn a_rate_is_kept_by_traffic() {
    let Some((_host, pods)) = host(["blue", "red"]) else {
        return;
    };
    succeeds("link add ns:blue/in1,10.0.0.1/24 ns:red/in2,10.0.0.2/24 --rate 8mbit");
    let listener = pods[1].run(|| TcpListener::bind("10.0.0.2:0").unwrap());
    let address = listener.local_addr().unwrap();
    const BYTES: usize = 1_000_000;
    let begin = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut all = Vec::new();
            listener.accept().unwrap().0.read_to_end(&mut all).unwrap();
            assert_eq!(all.len(), BYTES);
        });
        let mut stream = pods[0].run(|| TcpStream::connect(address).unwrap());
        stream.write_all(&vec![0; BYTES]).unwrap();
    });
    let seconds = begin.elapsed().as_secs_f64();
    // A megabyte at a megabyte per second, with headers, less what may pass at once.
    assert!((0.9..3.0).contains(&seconds), "{seconds}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let Some((host, pods)) = host(["blue", "red"]) else {
        return;
    };
    succeeds("link add ns:blue/in1 ns:red/in2");
    let before = snapshot(&host, &pods);
    fails("link set ns:blue/in1", "nothing is to change");
    fails("link set ns:blue/in1 --jitter 5ms", "more than the delay");
    fails(
        "link set ns:blue/in1 --rate fast",
        "rate \"fast\" is no rate",
    );
    fails("link set ns:blue/in1 --mtu 67", "from 68 to 65535");
    fails(
        "link set ns:blue/in9 --mtu 1400",
        "has no interface \"in9\"",
    );
    pods[0].sh("tc qdisc add dev in1 root tbf rate 1mbit burst 5k latency 50ms");
    fails("link set ns:blue/in1 --rate 1gbit", "that is not ours");
    pods[0].sh("tc qdisc del dev in1 root");
    snapshot(&host, &pods).assert_same_as(&before);
}
