//! How long a packet waits beside a flood.

use crate::support::{HOST, HOST_END, Lab, POD, conf};
use netloom_testkit::Pod;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// A full frame of the pod's link, in bytes.
const PACKET: u64 = 1400 + 14;
/// In bytes. The most that CRI sends is the largest `int32` or nearly the largest `uint32`, in bits.
const BURSTS: [u64; 5] = [
    PACKET,
    5 * PACKET,
    i32::MAX as u64 / 8,
    4_294_967_288 / 8,
    u32::MAX as u64 - 1,
];
/// The kernel counts a burst in 32 bits, of 64 ns each.
const LONGEST_BURST: f64 = 274.87;
const LATENCY: f64 = 0.025;
/// So late a busy machine may wake who waits, in seconds.
const LATE: f64 = 0.01;
/// Between two packets that ask for an answer.
const PAUSE: Duration = Duration::from_millis(3);
/// What the sockets that flood may have in the host's queues together is some megabytes, each less
/// than 200 kB.
const FLOODERS: usize = 16;
/// So long a burst was once, in seconds, and the flood is longer.
const FORMER_BURST: f64 = 4.5;
/// What the flood has beyond that, and all of it at most, in bytes.
const MORE: f64 = 3e6;
const MOST: f64 = 60e6;
/// Another process may have the processor just then: noise only adds.
const ATTEMPTS: usize = 4;

enum Direction {
    ToPod,
    FromPod,
}

/// Sockets that send to one that answers, through what is limited.
struct Flood {
    flooders: Vec<UdpSocket>,
    probe: UdpSocket,
    echo: UdpSocket,
    /// Where the flood ends. Nobody reads it.
    _sink: UdpSocket,
}

impl Flood {
    fn new(pod: &Pod, direction: &Direction) -> Self {
        let bind = |ip: [u8; 4]| UdpSocket::bind((IpAddr::from(ip), 0)).unwrap();
        let receivers = |ip| [bind(ip), bind(ip)];
        let senders = |ip| (0..=FLOODERS).map(|_| bind(ip)).collect::<Vec<_>>();
        let ([echo, sink], mut flooders) = match direction {
            Direction::ToPod => (pod.run(|| receivers(POD)), senders(HOST)),
            Direction::FromPod => (receivers(HOST), pod.run(|| senders(POD))),
        };
        let probe = flooders.pop().unwrap();
        probe.connect(echo.local_addr().unwrap()).unwrap();
        let end: SocketAddr = sink.local_addr().unwrap();
        for flooder in &flooders {
            flooder.connect(end).unwrap();
            flooder.set_nonblocking(true).unwrap();
        }
        Self {
            flooders,
            probe,
            echo,
            _sink: sink,
        }
    }

    /// Sends so many bytes, or as many as there is room for.
    fn pour(&self, bytes: f64) {
        let payload = [0; 1400 - 28];
        let mut left = (bytes / PACKET as f64).ceil() as u64;
        while left > 0 {
            let before = left;
            for flooder in &self.flooders {
                if left > 0 && flooder.send(&payload).is_ok() {
                    left -= 1;
                }
            }
            if left == before {
                return;
            }
        }
    }

    /// How many seconds a packet and its answer take now. A queue that is full drops some, so there
    /// are several, of which the first that is answered counts.
    fn round_trip(&self, patience: f64) -> f64 {
        let wait = Duration::from_secs_f64(patience + 1.0);
        self.echo.set_read_timeout(Some(wait)).unwrap();
        self.probe.set_read_timeout(Some(PAUSE)).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut byte = [0; 1];
                if let Ok((_, from)) = self.echo.recv_from(&mut byte) {
                    self.echo.send_to(&byte, from).unwrap();
                }
            });
            let mut sent = Vec::new();
            let mut byte = [0; 1];
            while sent
                .first()
                .is_none_or(|first: &Instant| first.elapsed() < wait)
            {
                if let Ok(number) = u8::try_from(sent.len()) {
                    sent.push(Instant::now());
                    let _ = self.probe.send(&[number]);
                }
                if self.probe.recv(&mut byte).is_ok() {
                    return sent[usize::from(byte[0])].elapsed().as_secs_f64();
                }
            }
            f64::INFINITY
        })
    }
}

fn limits(rate: u64, burst: u64) -> Value {
    let burst = burst * 8;
    conf(json!({"ingressRate": rate, "ingressBurst": burst,
        "egressRate": rate, "egressBurst": burst}))
}

#[test]
fn nothing_waits_longer_than_the_latency_and_two_packets_beyond_the_burst() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod();
    // Neighbours are known: the first packet does not wait for that.
    assert!(pod.pings(HOST));
    for rate in [64_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000] {
        for burst in BURSTS {
            for direction in [Direction::ToPod, Direction::FromPod] {
                waits(&lab, &pod, &direction, rate, burst);
            }
        }
    }
}

/// Adds the limits, floods, and tells when a packet waits too long.
fn waits(lab: &Lab, pod: &Pod, direction: &Direction, rate: u64, burst: u64) {
    let bytes_per_second = rate as f64 / 8.0;
    let holds = (burst as f64).min(bytes_per_second * LONGEST_BURST);
    let packets = 2.0 * PACKET as f64 / bytes_per_second;
    // A short burst is used up, of a long one most is left.
    let (flood, own) = if burst <= 5 * PACKET {
        (f64::INFINITY, holds / bytes_per_second)
    } else {
        let beyond = bytes_per_second * FORMER_BURST + MORE;
        (beyond.min(MOST).min(holds * 0.9), 0.0)
    };
    let most = own + LATENCY + packets + LATE;
    let mut took = Vec::new();
    for _ in 0..ATTEMPTS {
        let conf = limits(rate, burst);
        let result = lab.plugin.add(&conf, pod).succeeds();
        lab.plugin.check(&conf, &result, pod).succeeds_silently();
        let sockets = Flood::new(pod, direction);
        sockets.pour(if flood.is_finite() {
            flood
        } else {
            holds + bytes_per_second * LATENCY + 100_000.0
        });
        let seconds = sockets.round_trip(most);
        lab.plugin.del(&conf, pod).succeeds_silently();
        if seconds <= most {
            return;
        }
        took.push(seconds);
    }
    let way = match direction {
        Direction::ToPod => "to",
        Direction::FromPod => "from",
    };
    panic!(
        "{rate} bit/s with a burst of {burst} bytes, {way} the pod: {took:.4?} s, not {most:.4} s"
    );
}

#[test]
fn above_a_gigabit_the_queue_is_as_deep_as_the_latency() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod();
    for rate in [
        2_000_000_000,
        10_000_000_000,
        40_000_000_000,
        100_000_000_000,
    ] {
        for burst in BURSTS {
            let conf = limits(rate, burst);
            let result = lab.plugin.add(&conf, &pod).succeeds();
            lab.plugin.check(&conf, &result, &pod).succeeds_silently();
            for link in [HOST_END, &lab.ifbs()[0]] {
                let qdiscs = lab.qdiscs(link);
                let (_, latency) = qdiscs.split_once(" lat ").unwrap_or_else(|| {
                    panic!("{rate} {burst}: less fits in the queue than in the burst: {qdiscs}")
                });
                let word = latency.split_whitespace().next().unwrap();
                let milliseconds = match word.strip_suffix("us") {
                    Some(micro) => micro.parse::<f64>().unwrap() / 1000.0,
                    None => word.trim_end_matches("ms").parse().unwrap(),
                };
                // A limit ends at 4 GB.
                let longest = (u32::MAX as f64 - burst as f64) * 8e3 / rate as f64;
                let wanted = longest.min(25.0);
                assert!(
                    (milliseconds - wanted).abs() <= 0.5,
                    "{rate} {burst}: {qdiscs}"
                );
            }
            lab.plugin.del(&conf, &pod).succeeds_silently();
        }
    }
}

#[test]
fn a_full_packet_passes_whose_length_is_the_burst() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod();
    for rate in [64_000, 10_000_000, 1_000_000_000, 40_000_000_000] {
        let conf = limits(rate, PACKET);
        assert_eq!(lab.plugin.add(&conf, &pod).stderr, "");
        // Forth and back: both buckets hold it.
        pod.sh("ping -n -q -c 1 -w 5 -M do -s 1372 10.1.0.1");
        lab.plugin.del(&conf, &pod).succeeds_silently();
    }
}
