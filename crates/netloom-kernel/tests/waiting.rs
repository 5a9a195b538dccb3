//! Waiting for what the kernel does in its own time.

mod host;

use std::time::{Duration, Instant};

use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{
    AddressSpec, Group, LinkChange, LinkSpec, OperationalState, PeerSpec, Socket, Subscription,
};
use netloom_kernel::sysctl;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

#[test]
fn a_link_is_waited_for_until_its_peer_is_up() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    let veth = socket
        .create_link(&LinkSpec::veth("one", PeerSpec::new("two")).up())
        .unwrap();
    let error = socket.wait_link_up(veth.index, Instant::now()).unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(error.words(), "operational state is LowerLayerDown");
    let here = Netns::current().unwrap();
    let started = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let other = Socket::open_in(&here).unwrap();
            // Gives the other thread the time to wait; the outcome does not depend on it.
            let asleep = Subscription::open(&other, &[Group::RoutesV4]).unwrap();
            asleep
                .wait(Instant::now() + Duration::from_millis(50))
                .unwrap();
            other.set_link("two", &LinkChange::new().up()).unwrap();
        });
        let link = socket.wait_link_up("one", soon()).unwrap();
        assert_eq!(link.operational, OperationalState::Up);
    });
    assert!(started.elapsed() < Duration::from_secs(10));
    // No wait for what is so already.
    socket.wait_link_up("one", Instant::now()).unwrap();
    assert!(socket.wait_link_up("nope", soon()).unwrap_err().is_absent());
}

#[test]
fn a_wait_belongs_to_the_namespace_of_its_socket() {
    if !host::enter() {
        return;
    }
    let host = Socket::open().unwrap();
    let (pod, inside) = host::pod();
    let peer = PeerSpec::new("eth0").in_netns(&pod);
    let veth = host.create_link(&LinkSpec::veth("veth0", peer)).unwrap();
    inside.set_link("eth0", &LinkChange::new().up()).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || inside.wait_link_up("eth0", soon()).unwrap());
        host.set_link(veth.index, &LinkChange::new().up()).unwrap();
        assert_eq!(waiting.join().unwrap().name, "eth0");
    });
}

#[test]
fn addresses_settle_when_detection_has_finished() {
    if !host::enter() {
        return;
    }
    let socket = Socket::open().unwrap();
    if let Err(error) = sysctl::get("net/ipv6/conf/all/accept_dad") {
        return host::skip(&format!("IPv6: {error}"));
    }
    let mut batch = socket.batch();
    batch
        .create_link(&LinkSpec::veth("one", PeerSpec::new("two")).up())
        .set_link("two", &LinkChange::new().up());
    let one = batch.commit().unwrap()[0].index;
    socket
        .add_address(one, AddressSpec::new("2001:db8::5/64".parse().unwrap()))
        .unwrap();
    let error = socket
        .wait_addresses_settled(one, Instant::now())
        .unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_eq!(
        error.words(),
        "duplicate address detection has not finished"
    );
    socket.wait_addresses_settled(one, soon()).unwrap();
    let all = socket.list_addresses(one).unwrap();
    assert!(all.iter().all(|a| !a.flags.is_tentative()));
}

#[test]
fn an_address_that_another_has_is_reported_by_name() {
    if !host::enter() {
        return;
    }
    let host = Socket::open().unwrap();
    if let Err(error) = sysctl::get("net/ipv6/conf/all/accept_dad") {
        return host::skip(&format!("IPv6: {error}"));
    }
    let (pod, inside) = host::pod();
    let peer = PeerSpec::new("eth0").in_netns(&pod);
    let veth = host
        .create_link(&LinkSpec::veth("veth0", peer).up())
        .unwrap();
    let taken = AddressSpec::new("2001:db8::5/64".parse().unwrap());
    let eth0 = veth.lower.unwrap();
    inside.add_address(eth0, taken.no_dad()).unwrap();
    inside.set_link(eth0, &LinkChange::new().up()).unwrap();
    host.add_address(veth.index, taken).unwrap();
    let error = host.wait_addresses_settled(veth.index, soon()).unwrap_err();
    assert_eq!(error.errno(), libc::EADDRINUSE);
    assert!(error.to_string().contains("2001:db8::5/64"), "{error}");
}
