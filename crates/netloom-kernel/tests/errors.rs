//! What is said when the kernel refuses.

mod host;

use netloom_kernel::rtnl::{
    AddressSpec, BridgeOptions, KindSpec, LinkChange, LinkSpec, PeerSpec, RouteSpec, Socket,
};

#[test]
fn an_error_carries_the_kernels_own_words() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let route = RouteSpec::to("10.9.0.0/16".parse().unwrap()).via([10, 1, 0, 1].into());
    let error = socket.add_route(&route).unwrap_err();
    assert_eq!(
        error.to_string(),
        "add route 10.9.0.0/16 via 10.1.0.1: Network is unreachable (101): \
         Nexthop has invalid gateway"
    );
    let error = socket
        .set_link("lo", &LinkChange::new().mtu(3))
        .map(|()| "accepted");
    assert!(error.is_ok(), "{error:?}"); // lo takes any MTU
    let bridge = LinkSpec::new("br0", KindSpec::Bridge(BridgeOptions::default())).mtu(1 << 30);
    let error = socket.create_link(&bridge).unwrap_err();
    assert_eq!(error.errno(), libc::EINVAL);
    assert_eq!(error.words(), "mtu greater than device maximum");
}

#[test]
fn a_name_that_is_taken_is_an_exists_error() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    socket
        .create_link(&LinkSpec::veth("veth0", PeerSpec::new("veth1")))
        .unwrap();
    let error = socket
        .create_link(&LinkSpec::veth("veth0", PeerSpec::new("veth2")))
        .unwrap_err();
    assert!(error.is_exists());
    assert_eq!(error.to_string(), "create link \"veth0\": File exists (17)");
    // Nothing was made of the second.
    assert!(socket.find_link("veth2").unwrap().is_none());
    // A peer's name that is taken in its namespace.
    let (pod, inside) = host::pod();
    inside
        .create_link(&LinkSpec::veth("eth0", PeerSpec::new("eth1")))
        .unwrap();
    let spec = LinkSpec::veth("veth3", PeerSpec::new("eth0").in_netns(&pod));
    assert!(socket.create_link(&spec).unwrap_err().is_exists());
}

#[test]
fn what_is_absent_is_told_apart_and_removed_already() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let error = socket.get_link("nope").unwrap_err();
    assert!(error.is_absent());
    assert_eq!(error.to_string(), "get link \"nope\": No such device (19)");
    assert!(socket.get_link(4711).unwrap_err().is_absent());
    let long = "a-name-that-is-longer-than-fifteen-bytes";
    assert!(socket.find_link(long).unwrap().is_none());
    assert!(!socket.remove_link("nope").unwrap());
    assert!(
        !socket
            .remove_address(1, "10.1.0.5/24".parse().unwrap())
            .unwrap()
    );
    let route = RouteSpec::to("10.9.0.0/16".parse().unwrap());
    assert!(!socket.remove_route(&route).unwrap());
    assert!(
        socket
            .add_address(4711, AddressSpec::new("10.1.0.5/24".parse().unwrap()))
            .unwrap_err()
            .is_absent()
    );
    assert!(
        socket
            .set_link("nope", &LinkChange::new().up())
            .unwrap_err()
            .is_absent()
    );
    assert_eq!(socket.list_addresses(4711).unwrap(), []);
}

#[test]
fn an_unknown_kind_of_link_is_unsupported() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    match socket.create_link(&LinkSpec::new("dummy0", KindSpec::Dummy)) {
        Ok(_) => host::skip("this kernel has dummy links"),
        Err(error) => {
            assert!(error.is_unsupported(), "{error}");
            assert_eq!(error.words(), "Unknown device type");
        }
    }
}

#[test]
fn a_batch_names_the_request_that_failed_and_does_the_others() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let veth = socket
        .create_link(&LinkSpec::veth("veth0", PeerSpec::new("veth1")).up())
        .unwrap();
    let address = AddressSpec::new("10.1.0.5/24".parse().unwrap());
    let through =
        |gateway: [u8; 4]| RouteSpec::to("10.9.0.0/16".parse().unwrap()).via(gateway.into());
    let fill = || {
        let mut batch = socket.batch();
        batch
            .add_address(veth.index, address)
            .remove_link("nope") // absent is success
            .add_address(veth.index, address)
            .add_route(&through([192, 0, 2, 1]))
            .set_link("lo", &LinkChange::new().alias("last"));
        batch
    };
    let outcome = fill().commit_all().unwrap();
    let failed: Vec<_> = outcome
        .failures
        .iter()
        .map(|(index, e)| (*index, e.errno()))
        .collect();
    assert_eq!(failed, [(2, libc::EEXIST), (3, libc::ENETUNREACH)]);
    assert_eq!(
        socket.get_link("lo").unwrap().alias.as_deref(),
        Some("last")
    );

    let error = fill().commit().unwrap_err();
    assert!(error.is_exists());
    let object = format!("10.1.0.5/24 on the link with index {}", veth.index);
    assert_eq!(error.object(), object);
    // Kernels before 6.3 have no words for this.
    let words = error.words();
    assert!(
        words.is_empty() || words.ends_with("Address already assigned"),
        "{words}"
    );
    // The failures left nothing behind in the socket.
    assert_eq!(socket.get_link("veth0").unwrap().index, veth.index);
}

#[test]
fn the_last_request_of_a_batch_may_be_the_one_that_fails() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let mut batch = socket.batch();
    batch
        .set_link("lo", &LinkChange::new().up())
        .set_link("nope", &LinkChange::new().up());
    let outcome = batch.commit_all().unwrap();
    assert_eq!(outcome.failures.len(), 1);
    assert_eq!(outcome.failures[0].0, 1);
    assert_eq!(socket.get_link("lo").unwrap().name, "lo");
}
