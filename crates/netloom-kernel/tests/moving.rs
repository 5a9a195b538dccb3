//! Links that go from one namespace to another, on the real kernel.

mod host;

use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{LinkChange, LinkSpec, PeerSpec, Socket};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x42];

fn device(socket: &Socket, name: &str) -> u32 {
    let peer = format!("peer-{name}");
    let spec = LinkSpec::veth(name, PeerSpec::new(&peer)).mac(MAC);
    socket.create_link(&spec).expect("a veth").index
}

#[test]
fn a_link_is_moved_renamed_marked_and_set_up_by_one_message() {
    if !host::enter() {
        return;
    }
    let (pod, inside) = host::pod();
    let (host, home) = (Socket::open().unwrap(), Netns::current().unwrap());
    let index = device(&host, "nic0");
    let change = LinkChange::new().alias("nic0").up();
    host.move_link_as(index, &pod, "eth0", &change).unwrap();
    assert_eq!(host.find_link("nic0").unwrap(), None);
    let moved = inside.get_link("eth0").unwrap();
    assert_eq!(
        (moved.alias.as_deref(), moved.mac),
        (Some("nic0"), Some(MAC))
    );
    assert_eq!(moved.address, MAC);
    assert!(moved.flags.is_up() && moved.permanent_mac.is_none() && moved.parent.is_none());

    let change = LinkChange::new().alias("");
    inside
        .move_link_as(moved.index, &home, "nic0", &change)
        .unwrap();
    let back = host.get_link("nic0").unwrap();
    assert!(back.alias.is_none() && !back.flags.is_up());
    assert_eq!(inside.find_link("eth0").unwrap(), None);
}

#[test]
fn a_name_that_is_taken_at_one_end_only_is_no_hindrance() {
    if !host::enter() {
        return;
    }
    let (pod, inside) = host::pod();
    let host = Socket::open().unwrap();
    device(&inside, "nic0");
    let index = device(&host, "nic0");
    host.move_link_as(index, &pod, "eth0", &LinkChange::new())
        .unwrap();
    assert!(inside.find_link("eth0").unwrap().is_some());
    let index = device(&host, "nic1");
    let error = host
        .move_link_as(index, &pod, "eth0", &LinkChange::new())
        .unwrap_err();
    assert!(error.is_exists(), "{error}");
    let text = error.to_string();
    assert!(text.starts_with("move link with index"), "{text}");
    assert!(text.contains("as \"eth0\""), "{text}");
}

#[test]
fn a_namespace_that_a_link_has_gone_to_is_known_and_its_links_can_be_listed() {
    if !host::enter() {
        return;
    }
    let (pod, _inside) = host::pod();
    let host = Socket::open().unwrap();
    assert_eq!(host.list_namespace_ids().unwrap(), []);
    let index = device(&host, "nic0");
    host.move_link_as(index, &pod, "eth0", &LinkChange::new().alias("nic0"))
        .unwrap();
    let known = host.list_namespace_ids().unwrap();
    assert_eq!(known, [host.namespace_id(&pod).unwrap().unwrap()]);
    let links = host.list_links_of(known[0]).unwrap();
    let names: Vec<_> = links.iter().map(|link| link.name.as_str()).collect();
    assert_eq!(names, ["lo", "eth0"]);
    assert_eq!(links[1].alias.as_deref(), Some("nic0"));
    host.list_links_of(known[0] + 100).unwrap_err();
}
