//! What passes, and how fast.

use crate::support::{HOST, Lab, POD, both, conf};
use netloom_testkit::Pod;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// How long is sent.
const SENDING: Duration = Duration::from_millis(1200);
/// What comes in until then is the burst and what fits in queues.
const WARMING_UP: Duration = Duration::from_millis(300);
/// Of an Ethernet frame with an MTU of 1400, a TCP segment with time stamps fills so much.
const PAYLOAD: f64 = (1400.0 - 52.0) / (1400.0 + 14.0);

/// Where a transfer goes.
enum Direction {
    ToPod,
    FromPod,
}

/// Sends from one to the other; bits per second, headers included, as the limits count them.
fn rate(pod: &Pod, direction: &Direction) -> f64 {
    let (listener, stream) = match direction {
        Direction::ToPod => {
            let listener = pod.run(|| listen(POD));
            let stream = connect(&listener);
            (listener, stream)
        }
        Direction::FromPod => {
            let listener = listen(HOST);
            let stream = pod.run(|| connect(&listener));
            (listener, stream)
        }
    };
    let (receiver, _) = listener.accept().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || send(stream));
        receive(receiver)
    })
}

fn listen(address: [u8; 4]) -> TcpListener {
    TcpListener::bind((IpAddr::from(address), 0)).unwrap()
}

fn connect(listener: &TcpListener) -> TcpStream {
    let address: SocketAddr = listener.local_addr().unwrap();
    TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap()
}

fn send(mut stream: TcpStream) {
    let bytes = vec![0; 32 * 1024];
    let end = Instant::now() + SENDING;
    while Instant::now() < end {
        if stream.write_all(&bytes).is_err() {
            return;
        }
    }
}

fn receive(mut stream: TcpStream) -> f64 {
    let mut bytes = vec![0; 256 * 1024];
    let begin = Instant::now();
    let (mut first, mut last, mut total) = (None, begin, 0_u64);
    loop {
        let length = stream.read(&mut bytes).unwrap();
        let now = Instant::now();
        if length == 0 || now > begin + SENDING {
            break;
        }
        if now < begin + WARMING_UP {
            continue;
        }
        match first {
            // What has just come came before now.
            None => first = Some(now),
            Some(_) => total += u64::try_from(length).unwrap(),
        }
        last = now;
    }
    let seconds = (last - first.unwrap()).as_secs_f64();
    total as f64 * 8.0 / seconds / PAYLOAD
}

/// How often it is measured at most: a busy machine passes less than the limit, and never more.
const TRIES: usize = 5;

fn assert_near(what: &str, measure: impl Fn() -> f64, wanted: f64) {
    let mut ratio = 0.0;
    for _ in 0..TRIES {
        let actual = measure();
        println!("{what}: {:.2} Mbit/s of {:.0}", actual / 1e6, wanted / 1e6);
        ratio = actual / wanted;
        if ratio >= 0.85 {
            break;
        }
    }
    assert!(
        (0.85..=1.15).contains(&ratio),
        "{what}: {ratio:.2} of what was asked for"
    );
}

fn limits() -> Value {
    json!({"ingressRate": 20_000_000, "ingressBurst": 400_000,
        "egressRate": 40_000_000, "egressBurst": 400_000})
}

#[test]
fn each_direction_passes_at_the_rate_asked_for() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod();
    lab.plugin.add(&conf(limits()), &pod).succeeds();
    assert_near("to the pod", || rate(&pod, &Direction::ToPod), 20e6);
    assert_near("from the pod", || rate(&pod, &Direction::FromPod), 40e6);
    // And afterwards as fast as it can.
    lab.plugin.del(&conf(limits()), &pod).succeeds_silently();
    assert!(rate(&pod, &Direction::ToPod) > 200e6);
    assert!(rate(&pod, &Direction::FromPod) > 200e6);
}

#[test]
fn shaped_subnets_pass_at_the_rate_asked_for_and_others_freely() {
    for (key, net, limited) in [
        ("shapedSubnets", "10.1.0.1/32", true),
        ("unshapedSubnets", "10.2.0.0/16", true),
        ("unshapedSubnets", "10.1.0.1/32", false),
        ("shapedSubnets", "10.2.0.0/16", false),
    ] {
        let Some(lab) = Lab::new() else { return };
        let pod = lab.pod();
        let mut conf = conf(limits());
        conf[key] = json!([net]);
        lab.plugin.add(&conf, &pod).succeeds();
        let to = || rate(&pod, &Direction::ToPod);
        let from = || rate(&pod, &Direction::FromPod);
        if limited {
            assert_near(&format!("{key} {net}, to the pod"), to, 20e6);
            assert_near(&format!("{key} {net}, from the pod"), from, 40e6);
        } else {
            let (to, from) = (to(), from());
            println!("{key} {net}: {:.0} and {:.0} Mbit/s", to / 1e6, from / 1e6);
            assert!(to > 100e6 && from > 100e6, "{key} {net}: {to} {from}");
        }
    }
}

#[test]
fn pings_pass_in_both_directions() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod();
    lab.plugin.add(&conf(both()), &pod).succeeds();
    assert!(pod.pings(HOST));
    lab.host.sh("ping -n -q -c 1 -w 2 10.1.0.2");
}
