//! What the pod has of its networks: addresses, names, ports.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};

use crate::{call, detached, host, inspect, picture, run, succeeds};

/// Serves a page, as long as the pod lives.
const SERVER: &str =
    "mkdir /tmp/www && echo page > /tmp/www/index.html && exec busybox httpd -f -p 80 -h /tmp/www";

#[test]
fn addresses_and_interfaces_are_those_asked_for() {
    let Some(host) = host() else { return };
    let before = picture(&host);
    let outcome = run(&[
        "--rm",
        "--net",
        "mynet:ip=10.16.7.7,mac=0a:00:00:00:00:77,if=lan0",
        "--net",
        "two",
        "--",
        "ip",
        "-o",
        "addr",
    ]);
    let shown = succeeds(&outcome);
    assert!(shown.contains("lan0    inet 10.16.7.7/16"), "{shown}");
    assert!(shown.contains("eth0    inet 10.17."), "{shown}");
    let mac = run(&[
        "--rm",
        "--net",
        "mynet:mac=0a:00:00:00:00:77",
        "--",
        "ip",
        "link",
    ]);
    assert!(succeeds(&mac).contains("0a:00:00:00:00:77"), "{mac}");
    picture(&host).assert_same_as(&before);
}

#[test]
fn all_networks_come_in_the_order_of_their_files() {
    let Some(_host) = host() else { return };
    let id = detached(&["--net", "all", "sleep", "1000"]);
    let networks = inspect(&id)["networks"].clone();
    assert_eq!(networks[0]["network"], "mynet");
    assert_eq!(networks[0]["ifname"], "eth0");
    assert_eq!(networks[1]["network"], "two");
    assert_eq!(networks[1]["ifname"], "eth1");
    succeeds(&call(&["rm", "-f", &id]));
}

#[test]
fn a_published_port_leads_to_the_pod_and_is_nobody_elses() {
    let Some(host) = host() else { return };
    let before = picture(&host);
    host.ip("addr add 10.99.0.1/24 dev lo");
    let publish = [
        "--net",
        "mynet",
        "-p",
        "8080:80",
        "-p",
        "10.99.0.1:5353:53/udp",
    ];
    let id = detached(&[&publish[..], &["--", "sh", "-c", SERVER]].concat());
    assert!(says("10.99.0.1:8080").ends_with("page\n"));
    assert!(says("127.0.0.1:8080").ends_with("page\n"));

    let taken = run(&["--net", "mynet", "-p", "8080:80", "true"]);
    assert_eq!(taken.code(), Some(125), "{taken}");
    assert!(taken.stderr.contains("port 8080"), "{taken}");
    assert!(UdpSocket::bind("10.99.0.1:5353").is_err());
    succeeds(&call(&["rm", "-f", &id]));
    drop(TcpListener::bind("0.0.0.0:8080").unwrap());
    host.ip("addr del 10.99.0.1/24 dev lo");
    picture(&host).assert_same_as(&before);
}

/// The page at this address, once somebody serves it.
fn says(address: &str) -> String {
    let connected = (0..200).find_map(|_| {
        let stream = TcpStream::connect(address).ok();
        // The server in the pod may not listen yet, of which nobody tells.
        stream.or_else(|| {
            std::thread::yield_now();
            call(&["ps"]).is_success().then_some(())?;
            None
        })
    });
    let mut stream = connected.expect("nobody listens");
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn names_are_those_of_the_user_else_of_the_networks_else_of_the_host() {
    let Some(_host) = host() else { return };
    let mut conf = crate::mynet();
    conf["name"] = "named".into();
    conf["plugins"][0]["dns"] = serde_json::json!({
        "nameservers": ["192.0.2.7"], "search": ["a.example", "b.example"],
    });
    crate::configure("40-named.conflist", &conf);
    let resolver = |arguments: &[&str]| {
        let rest = ["--", "cat", "/etc/resolv.conf"];
        succeeds(&run(&[&["--rm"], arguments, &rest[..]].concat()))
    };
    let asked = [
        "--net",
        "named",
        "--dns",
        "192.0.2.1",
        "--dns-search",
        "x.example",
    ];
    assert_eq!(resolver(&asked), "nameserver 192.0.2.1\nsearch x.example");
    assert_eq!(
        resolver(&["--net", "mynet", "--net", "named"]),
        "nameserver 192.0.2.7\nsearch a.example b.example"
    );
    std::fs::create_dir_all("/run/netns").unwrap();
    let hosts = succeeds(&run(&[
        "--rm",
        "--net",
        "mynet",
        "--hostname",
        "me",
        "--add-host",
        "db:10.1.0.5",
        "--",
        "cat",
        "/etc/hosts",
        "/etc/hostname",
    ]));
    assert!(hosts.contains("10.1.0.5\tdb"), "{hosts}");
    assert!(hosts.contains("\tme\n"), "{hosts}");
    assert!(hosts.ends_with("\nme"), "{hosts}");
}

#[test]
fn pods_with_names_find_each_other_as_long_as_they_live() {
    let Some(_host) = host() else { return };
    let one = detached(&["--name", "one", "--net", "mynet", "sleep", "1000"]);
    let two = detached(&["--name", "two", "--net", "mynet", "sleep", "1000"]);
    let reach = |from: &str, to: &str| call(&["exec", from, "ping", "-c1", "-W5", to]).is_success();
    assert!(reach("two", "one"));
    assert!(reach("one", "two"));
    succeeds(&call(&["rm", "-f", &two]));
    let hosts = succeeds(&call(&["exec", "one", "cat", "/etc/hosts"]));
    assert!(!hosts.contains("\ttwo"), "{hosts}");
    succeeds(&call(&["rm", "-f", &one]));
}

#[test]
fn a_running_pod_is_attached_and_detached() {
    let Some(host) = host() else { return };
    let before = picture(&host);
    let id = detached(&["--net", "mynet", "sleep", "1000"]);
    let alone = picture(&host);
    let made = succeeds(&call(&["net", "connect", &id, "two:if=lan0"]));
    assert!(made.starts_with("lan0 10.17.0."), "{made}");
    let inside = succeeds(&call(&["exec", &id, "ip", "-o", "-4", "addr"]));
    assert!(inside.contains("lan0    inet 10.17.0."), "{inside}");
    assert_eq!(
        call(&["net", "connect", &id, "two:if=eth0"]).code(),
        Some(125)
    );
    assert_eq!(call(&["net", "disconnect", &id, "three"]).code(), Some(125));
    succeeds(&call(&["net", "disconnect", &id, "two"]));
    let back = picture(&host).difference_from(&alone);
    // The state is written again, with the same in it.
    let left: Vec<_> = back
        .lines()
        .iter()
        .filter(|it| !it.contains("/run/netloom/pods"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    succeeds(&call(&["net", "connect", &id, "two"]));
    succeeds(&call(&["rm", "-f", &id]));
    picture(&host).assert_same_as(&before);
}

#[test]
fn a_pod_joins_the_namespace_of_a_name_or_of_another_pod() {
    let Some(host) = host() else { return };
    let blue = host.pod("blue");
    host.sh("ip -n blue link add x0 type veth peer name x1");
    let links = |net: &str| succeeds(&run(&["--rm", "--net", net, "--", "ls", "/sys/class/net"]));
    assert_eq!(links("ns:blue"), "lo\nx0\nx1");
    assert_eq!(
        links(&format!("ns:{}", blue.path().display())),
        "lo\nx0\nx1"
    );
    let id = detached(&["--net", "mynet:if=lan7", "sleep", "1000"]);
    assert_eq!(links(&format!("pod:{id}")), "lan7\nlo");
    assert!(links("host").contains(crate::BRIDGE));
    assert_eq!(links("none"), "lo");
    succeeds(&call(&["rm", "-f", &id]));
    assert!(blue.path().exists(), "what is somebody else's stays");
}
