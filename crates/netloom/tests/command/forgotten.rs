//! Reservations of networks whose configuration is gone.

use crate::doctor::{add, assert_named, assert_silent, findings, run};
use crate::{CONF_DIR, configure, host, mynet, netloom, reserved};
use serde_json::json;
use std::fs;
use std::path::Path;

/// One reservation of a network that is neither configured nor cached.
fn reserve_for_nobody() -> std::path::PathBuf {
    let directory = Path::new("/var/lib/cni/networks/old");
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join("10.9.0.2"), "0d5ee8\r\neth0").unwrap();
    directory.to_owned()
}

#[test]
fn the_dead_of_a_network_without_configuration_go_with_all_that_it_holds() {
    let Some(host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.1.0"));
    let dead = host.pod("dead");
    add("mynet", &dead, "id-of-dead");
    dead.ip("link del eth0");
    dead.remove();
    host.ip("link del mybr0");
    fs::write("/var/lib/cni/networks/mynet/10.16.0.77", "stranger\r\neth0").unwrap();
    let mend = assert_named(&findings(), "dead attachment", "id-of-dead");
    assert_eq!(mend, "netloom gc mynet --yes");
    fs::remove_file(Path::new(CONF_DIR).join("10-mynet.conf")).unwrap();
    let found = findings();
    assert_named(&found, "reservation", "10.16.0.77");
    // Behind the last that is cached nothing tells of the network any more.
    run(
        &host,
        &assert_named(&found, "dead attachment", "id-of-dead"),
    );
    assert_silent();
    assert_eq!(reserved("mynet"), Vec::<String>::new());
}

#[test]
fn reservations_of_a_network_that_nothing_tells_of_are_named_and_go() {
    let Some(host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.1.0"));
    let pod = host.pod("one");
    add("mynet", &pod, "id-of-one");
    let old = reserve_for_nobody();
    let mend = assert_named(&findings(), "reservation", "/networks/old holds an address");
    assert!(mend.starts_with("when no container has them"), "{mend}");
    run(&host, &mend);
    assert!(!old.exists());
    assert_silent();
    assert_eq!(reserved("mynet"), ["10.16.0.2"]);

    // As netloom leaves it, with its index.
    let mut conf = mynet("1.1.0");
    conf["name"] = json!("old");
    configure("20-old.conf", &conf);
    let lost = host.pod("lost");
    add("old", &lost, "id-of-lost");
    lost.ip("link del eth0");
    lost.remove();
    fs::remove_file(Path::new(CONF_DIR).join("20-old.conf")).unwrap();
    fs::remove_file("/var/lib/cni/results/old-id-of-lost-eth0").unwrap();
    run(
        &host,
        &assert_named(&findings(), "reservation", "old holds"),
    );
    assert_silent();
    assert!(!Path::new("/var/lib/cni/networks/.netloom/old").exists());
}

#[test]
fn reservations_that_a_living_container_may_have_are_not_taken_for_nobodys() {
    let Some(host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.1.0"));
    let pod = host.pod("one");
    add("mynet", &pod, "id-of-one");
    let old = reserve_for_nobody();
    let is_named = || {
        findings()
            .iter()
            .any(|it| it[1].contains("networks/old holds"))
    };
    assert!(is_named());
    // Of a container on a network that is known, whole or damaged.
    for owner in ["id-of-one\r\nnet1", "id-of-one", "id-of", "", "\u{0}"] {
        fs::write(old.join("10.9.0.3"), owner).unwrap();
        assert!(!is_named(), "{owner:?}");
    }
    fs::remove_file(old.join("10.9.0.3")).unwrap();
    // Of a file that may be about such a container, or about the network.
    for (file, content) in [
        ("/var/lib/cni/results/old-0d5ee8-eth0", ""),
        ("/etc/cni/net.d/20-old.conf", "{\"name\": \"old\"}"),
        ("/etc/cni/net.d/20-old.conf", "{"),
    ] {
        fs::write(file, content).unwrap();
        assert!(!is_named(), "{file}: {content}");
        fs::remove_file(file).unwrap();
        assert!(is_named());
    }
    let elsewhere = netloom(&["doctor", "--cache-dir", "/run/elsewhere"]).run();
    assert!(
        !elsewhere.stdout.contains("networks/old holds"),
        "{elsewhere}"
    );
}
