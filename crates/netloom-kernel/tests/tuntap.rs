//! Tap devices, on the real kernel.

mod host;

use std::time::{Duration, Instant};

use netloom_kernel::rtnl::{LinkKind, Socket, TunOptions};
use netloom_kernel::tuntap::{Tap, TapSpec};

const EINVAL: i32 = 22;

fn has_tap() -> bool {
    if !host::enter() {
        return false;
    }
    if let Err(error) = netloom_kernel::tuntap::probe() {
        host::skip(&error.to_string());
        return false;
    }
    true
}

#[test]
fn a_tap_is_made_where_the_thread_is_with_all_that_was_asked_for() {
    if !has_tap() {
        return;
    }
    let (pod, inside) = host::pod();
    for (owner, group, multi_queue) in [
        (None, None, false),
        (Some(0), None, true),
        (Some(1000), Some(1001), false),
        (None, Some(4_294_967_294), true),
    ] {
        let spec = TapSpec::new("tap0")
            .owner(owner)
            .group(group)
            .multi_queue(multi_queue)
            .vnet_header(true);
        let made = pod.run(|| Tap::create(&spec)?.persist()).unwrap();
        made.unwrap();
        let link = inside.get_link("tap0").unwrap();
        let options = TunOptions {
            tap: true,
            owner,
            group,
            persistent: true,
            multi_queue,
        };
        assert_eq!(link.kind, Some(LinkKind::Tun(Some(options))));
        assert!(!link.flags.is_up());
        let shown = pod
            .run(|| host::run("ip", &["-d", "link", "show", "tap0"]))
            .unwrap();
        assert!(shown.contains("tun type tap pi off vnet_hdr on"), "{shown}");
        assert!(inside.remove_link(link.index).unwrap());
    }
    assert_eq!(Socket::open().unwrap().find_link("tap0").unwrap(), None);
}

#[test]
fn a_tap_goes_with_its_handle_until_it_is_persistent() {
    if !has_tap() {
        return;
    }
    let socket = Socket::open().unwrap();
    let tap = Tap::create(&TapSpec::new("tap0")).unwrap();
    assert!(socket.find_link("tap0").unwrap().is_some());
    drop(tap);
    // A process that another test is just starting has a copy of the handle until it executes.
    let end = Instant::now() + Duration::from_secs(5);
    while let Some(link) = socket.find_link("tap0").unwrap() {
        assert!(Instant::now() < end, "{link:?}");
        std::thread::yield_now();
    }
}

#[test]
fn a_link_of_that_name_is_never_taken_over() {
    if !has_tap() {
        return;
    }
    Tap::create(&TapSpec::new("tap0"))
        .unwrap()
        .persist()
        .unwrap();
    host::run(
        "ip",
        &["link", "add", "veth0", "type", "veth", "peer", "veth1"],
    );
    for name in ["tap0", "veth0"] {
        let error = Tap::create(&TapSpec::new(name)).unwrap_err();
        assert!(error.is_exists(), "{error}");
        assert_eq!(
            error.to_string(),
            format!("create tap device \"{name}\": File exists (17): there is a link of that name")
        );
    }
    for bad in ["", "a-name-of-16-byte", "with/slash"] {
        let error = Tap::create(&TapSpec::new(bad)).unwrap_err();
        assert_eq!(error.errno(), EINVAL, "{error}");
    }
}
