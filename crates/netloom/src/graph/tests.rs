//! Ten scenes and some more, each with a picture that people have looked at.
//!
//! `NETLOOM_BLESS=1 cargo test -p netloom graph` writes the pictures anew. Look at them.

mod host;

use std::path::Path;

use netloom_kernel::rtnl::LinkKind;

use super::model::Graph;
use super::overlay::Overlay;
use super::scene::scene;
use super::{drawing, page, picture};
use host::Hosts;

/// Compares the picture of a scene with the one that is kept.
#[track_caller]
fn looks_as_kept(name: &str, graph: &Graph) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/graph/scenes");
    for (extension, drawn) in [("svg", picture(graph)), ("txt", drawing(graph))] {
        let file = folder.join(format!("{name}.{extension}"));
        if std::env::var_os("NETLOOM_BLESS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&file, &drawn).unwrap();
        }
        let kept = std::fs::read_to_string(&file).unwrap();
        assert!(
            drawn == kept,
            "{} has changed; it would be:\n{drawn}",
            file.display()
        );
    }
}

fn veth() -> Option<LinkKind> {
    Some(LinkKind::Veth)
}

#[test]
fn two_pods_on_a_masqueraded_bridge_with_a_published_port() {
    let mut hosts = Hosts::with_uplink();
    let bridge = hosts.bridge("cni0", "10.16.0.1/16");
    for (name, address) in [("web", "10.16.0.2/16"), ("db", "10.16.0.3/16")] {
        let pod = hosts.pod(name);
        hosts.cable(pod, "eth0", address, &format!("veth{name}"), Some(bridge));
    }
    hosts.network("mynet", Some("cni0"), true);
    hosts.attach("web", "mynet", "eth0", &["8080/tcp → 80"]);
    looks_as_kept("bridge", &hosts.scene());
}

#[test]
fn pods_with_a_route_each() {
    let mut hosts = Hosts::with_uplink();
    for number in 1..=3 {
        let pod = hosts.pod(&format!("p{number}"));
        let address = format!("10.17.0.{}/32", number + 1);
        hosts.cable(pod, "eth0", &address, &format!("veth000{number}"), None);
    }
    looks_as_kept("ptp", &hosts.scene());
}

#[test]
fn links_that_stand_on_others() {
    for (name, kind) in host::stacked() {
        let mut hosts = Hosts::with_uplink();
        for number in 1..=2 {
            let pod = hosts.pod(&format!("pod{number}"));
            hosts.on_uplink(pod, "net1", &format!("192.0.2.{number}0/24"), kind.clone());
        }
        // And one of the host's own.
        hosts.on_uplink(0, "host1", "198.51.100.1/24", kind);
        looks_as_kept(name, &hosts.scene());
    }
}

#[test]
fn a_tunnel_to_another_host_on_a_bridge() {
    let mut hosts = Hosts::with_uplink();
    let bridge = hosts.bridge("lan0", "10.5.0.1/24");
    hosts.tunnel("vx42", 42, "198.51.100.7", bridge);
    let pod = hosts.pod("a");
    hosts.cable(pod, "eth0", "10.5.0.2/24", "veth1", Some(bridge));
    looks_as_kept("vxlan", &hosts.scene());
}

#[test]
fn links_that_lead_nowhere_and_one_in_a_vrf() {
    let mut hosts = Hosts::with_uplink();
    let pod = hosts.pod("router");
    hosts.link(pod, "dummy0", "10.9.0.1/32", Some(LinkKind::Dummy));
    hosts.link(pod, "tap0", "10.9.1.1/24", host::tap());
    let vrf = hosts.link(pod, "blue", "", Some(LinkKind::Vrf { table: 10 }));
    let device = hosts.link(pod, "eth1", "192.0.2.9/24", None);
    hosts.enslave(pod, device, vrf);
    hosts.link(
        0,
        "wg0",
        "10.200.0.1/24",
        Some(LinkKind::Other("wireguard".into())),
    );
    hosts.link(
        0,
        "bond0",
        "172.16.0.1/24",
        Some(LinkKind::Other("bond".into())),
    );
    for number in 0..14 {
        hosts.link(0, &format!("ifb{number}"), "", Some(LinkKind::Ifb));
    }
    hosts.pod("empty");
    looks_as_kept("kinds", &hosts.scene());
}

#[test]
fn pods_that_are_joined_with_each_other() {
    let mut hosts = Hosts::new();
    let pods = ["leaf1", "leaf2", "spine1", "spine2"].map(|name| hosts.pod(name));
    for leaf in 0..2 {
        for spine in 2..4 {
            let names = [format!("to-{spine}"), format!("to-{leaf}")];
            hosts.between([pods[leaf], pods[spine]], names);
        }
    }
    hosts.wants("l1-s3", ["leaf1", "spine3"]);
    looks_as_kept("topology", &hosts.scene());
}

#[test]
fn what_is_dead_is_told() {
    let mut hosts = Hosts::with_uplink();
    let bridge = hosts.bridge("cni0", "10.16.0.1/16");
    let names = ["good", "down", "stranger"];
    for (number, name) in names.iter().enumerate() {
        let pod = hosts.pod(name);
        let address = format!("10.16.0.{}/16", number + 2);
        hosts.cable(pod, "eth0", &address, &format!("veth{name}"), Some(bridge));
    }
    hosts.set_down("down", "eth0");
    hosts.problem("vethstranger", "veth: vethstranger on cni0");
    hosts.network("mynet", Some("cni0"), false);
    hosts.attach("good", "mynet", "eth0", &[]);
    hosts.problem(
        "good-id",
        "missing link: good-id has no eth1 in /run/netns/good",
    );
    looks_as_kept("dead", &hosts.scene());
}

#[test]
fn names_of_others_are_words_and_nothing_else() {
    let script = "<script>alert(1)</script>";
    let mut hosts = Hosts::with_uplink();
    let bridge = hosts.bridge("\"><svg/onload", "10.16.0.1/16");
    for name in [
        script,
        "\u{1b}[2J\u{202e}gnp",
        "名前が漢字のポッド",
        "&lt;b&gt;'\u{ffff}\u{0}",
    ] {
        let pod = hosts.pod(name);
        let link = hosts.cable(pod, "e<i>0", "10.16.0.2/16", "v&amp;th", Some(bridge));
        hosts.alias(pod, link, &script.repeat(11)[..255]);
    }
    hosts.network(script, Some("\"><svg/onload"), true);
    hosts.problem("v&amp;th", &format!("veth: v&amp;th {script}\u{9b}31m"));
    let graph = hosts.scene();
    looks_as_kept("hostile", &graph);
    for drawn in [picture(&graph), page(&graph, script, true)] {
        let lower = drawn.to_lowercase();
        assert!(
            !lower.contains("<script") && !lower.contains("<svg/"),
            "{drawn}"
        );
        assert!(
            !drawn.contains(|char: char| char.is_control() && char != '\n'),
            "{drawn}"
        );
        assert!(!drawn.contains(['\u{202e}', '\u{ffff}']), "{drawn}");
    }
    let text = drawing(&graph);
    assert!(
        !text.contains(|char: char| char.is_control() && char != '\n'),
        "{text}"
    );
}

#[test]
fn more_than_a_dozen_pods_share_a_box() {
    for count in [12, 13, 250] {
        let mut hosts = Hosts::with_uplink();
        let bridge = hosts.bridge("cni0", "10.16.0.1/16");
        for number in 1..=count {
            let pod = hosts.pod(&format!("pod{number}"));
            let address = format!("10.16.{}.{}/16", number / 200, number % 200 + 2);
            hosts.cable(
                pod,
                "eth0",
                &address,
                &format!("veth{number:08x}"),
                Some(bridge),
            );
        }
        hosts.network("mynet", Some("cni0"), true);
        looks_as_kept(&format!("pods-{count}"), &hosts.scene());
    }
}

#[test]
fn the_same_host_gives_the_same_picture_in_whatever_order_it_is_found() {
    let draw = |names: &[&str]| {
        let mut hosts = Hosts::with_uplink();
        let bridge = hosts.bridge("cni0", "10.16.0.1/16");
        for name in names {
            let pod = hosts.pod(name);
            hosts.cable(pod, "eth0", "", &format!("veth-{name}"), Some(bridge));
        }
        picture(&hosts.scene())
    };
    // But for the kernel's own numbers in the tooltips.
    let plain = |svg: String| {
        let lines = svg.lines().filter(|line| {
            !["index", "inode", "mac"]
                .iter()
                .any(|key| line.contains(key))
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(
        plain(draw(&["a2", "a10", "b"])),
        plain(draw(&["b", "a10", "a2"]))
    );
}

#[test]
fn a_host_without_anything_is_drawn_too() {
    let graph = scene(&netloom_observe::map::Map::default(), &Overlay::default());
    assert!(picture(&graph).contains("<svg"));
    looks_as_kept("nothing", &Hosts::new().scene());
}
