//! `netloom doctor`: names what is wrong, and the command that it gives mends it.

use crate::{CONF_DIR, NETLOOM, PLUGINS, configure, host, mynet, netloom, path, reserved};
use netloom_testkit::{Host, Pod, probe, product};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

pub(crate) fn add(network: &str, pod: &Pod, id: &str) {
    let add = ["add", network, path(pod), "--container-id", id];
    netloom(&add).run().succeeds();
}

/// Kind, object and mend of everything found.
pub(crate) fn findings() -> Vec<[String; 3]> {
    findings_with(PLUGINS)
}

/// The same with the plugins of these directories.
fn findings_with(plugins: &str) -> Vec<[String; 3]> {
    let outcome = netloom(&["--json", "doctor"])
        .env("CNI_PATH", plugins)
        .run();
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| {
        panic!("stdout is not one document: {error}\n{outcome}");
    });
    let text = |it: &Value, key: &str| it[key].as_str().unwrap().to_owned();
    let all = report["findings"].as_array().unwrap().iter();
    all.map(|it| ["kind", "what", "mend"].map(|key| text(it, key)))
        .collect()
}

#[track_caller]
pub(crate) fn assert_named(found: &[[String; 3]], kind: &str, what: &str) -> String {
    let is_it = |it: &&[String; 3]| it[0] == kind && it[1].contains(what);
    let it = found.iter().find(is_it);
    it.unwrap_or_else(|| panic!("no {kind} with {what:?} in {found:#?}"))[2].clone()
}

#[track_caller]
pub(crate) fn assert_silent() {
    let outcome = netloom(&["doctor"]).run();
    outcome.succeeds_silently();
    assert_eq!(outcome.stderr, "");
}

/// Does what doctor says, as somebody who knows that its condition is met.
pub(crate) fn run(host: &Host, mend: &str) {
    let command = mend.rsplit_once(": ").map_or(mend, |(_, command)| command);
    // Alone, so that it installs these plugins, and not some of an earlier build beside it.
    let alone = Path::new("/run/alone");
    if !alone.exists() {
        fs::create_dir(alone).unwrap();
        let plugins = Path::new(PLUGINS).join("netloom-plugins");
        fs::copy(product(NETLOOM), alone.join("netloom")).unwrap();
        fs::copy(plugins, alone.join("netloom-plugins")).unwrap();
    }
    host.sh(&format!(
        "PATH=/run/alone:$PATH CNI_PATH={PLUGINS} {command}"
    ));
}

/// Two pods on `mynet`, of which the second is gone and forgotten by the cache.
pub(crate) fn one_forgotten(conf: &Value) -> Option<(Host, Pod)> {
    let host = host()?;
    configure("10-mynet.conf", conf);
    let (living, dead) = (host.pod("living"), host.pod("dead"));
    add("mynet", &living, "id-of-living");
    add("mynet", &dead, "id-of-dead");
    dead.ip("link del eth0");
    dead.remove();
    Some((host, living))
}

pub(crate) fn forget() {
    fs::remove_file("/var/lib/cni/results/mynet-id-of-dead-eth0").unwrap();
}

#[test]
fn it_is_silent_where_all_is_well() {
    let Some(host) = host() else { return };
    assert_silent();
    configure("10-mynet.conf", &mynet("1.1.0"));
    assert_silent();
    let pod = host.pod("one");
    add("mynet", &pod, "id-of-one");
    assert_silent();
    let report = netloom(&["--json", "doctor"]).run().succeeds();
    assert_eq!(report["findings"], json!([]));
    let pool =
        json!({"network": "mynet", "pool": report["pools"][0]["pool"], "taken": 1, "size": 65533});
    assert_eq!(report["pools"], json!([pool]));
}

#[test]
fn what_is_left_behind_is_named_and_goes_by_the_command_given() {
    for backend in ["nftables", "iptables"] {
        if backend == "iptables" && !probe::has_iptables() {
            return netloom_testkit::skip("no iptables on this machine");
        }
        let mut conf = mynet("1.1.0");
        conf["ipMasqBackend"] = json!(backend);
        conf["macspoofchk"] = json!(probe::has_nft_family("bridge"));
        let Some((host, living)) = one_forgotten(&conf) else {
            return;
        };
        let found = findings();
        assert_named(&found, "dead attachment", "id-of-dead eth0 10.16.0.3/16");
        assert_eq!(found.len(), 1, "its parts go with it: {found:#?}");
        forget();
        let found = findings();
        let mend = assert_named(&found, "reservation", "10.16.0.3 of");
        assert_eq!(mend, "netloom gc mynet --yes");
        match backend {
            "nftables" => assert_named(&found, "nftables masquerade", "id: id-of-dead"),
            _ => assert_named(&found, "iptables masquerade", "chain CNI-"),
        };
        if probe::has_nft_family("bridge") {
            assert_named(&found, "spoof check", "id-of-dead");
        }
        let before = findings();
        assert_eq!(found, before, "it changes nothing");
        run(&host, &mend);
        assert_silent();
        assert_eq!(reserved("mynet"), ["10.16.0.2"]);
        assert!(living.pings([10, 16, 0, 1]));
    }
}

#[test]
fn links_and_cache_files_that_nobody_owns_are_named_and_go() {
    let Some((host, living)) = one_forgotten(&mynet("1.1.0")) else {
        return;
    };
    run(&host, "netloom gc --yes");
    assert_silent();
    host.ip("link add veth0badcafe type veth peer name other");
    host.ip("link set veth0badcafe master mybr0");
    let found = findings();
    assert_eq!(found.len(), 1, "{found:#?}");
    run(
        &host,
        &assert_named(&found, "veth", "veth0badcafe on mybr0"),
    );
    assert_silent();

    let file = "/var/lib/cni/results/mynet-id-of-living-eth0";
    let content = fs::read(file).unwrap();
    for bad in ["", "{", "\0\0"] {
        fs::write(file, bad).unwrap();
        let found = findings();
        let mend = assert_named(&found, "cache file", file);
        let condition = "when container id-of-living (eth0), ";
        assert!(mend.starts_with(condition), "{mend}");
        assert!(mend.ends_with(&format!(" has ended: rm {file}")), "{mend}");
        assert_eq!(found.len(), 1, "{found:#?}");
    }
    fs::write(file, content).unwrap();
    assert_silent();

    let del = [
        "del",
        "mynet",
        path(&living),
        "--container-id",
        "id-of-living",
    ];
    netloom(&del).run().succeeds_silently();
    run(
        &host,
        &assert_named(&findings(), "bridge", "mybr0 has no ports"),
    );
    assert_silent();
}

#[test]
fn the_veth_of_a_pod_whose_result_lists_no_links_is_not_taken_for_nobodys() {
    let Some(host) = host() else { return };
    let bridge = |name: &str, version: &str, subnet: &str| {
        json!({
            "cniVersion": version, "name": name, "type": "bridge", "bridge": "mybr0",
            "ipam": {"type": "host-local", "subnet": subnet}
        })
    };
    // The bridge is reported under the first of its networks.
    configure("10-new.conf", &bridge("new", "1.1.0", "10.1.0.0/16"));
    configure("20-old.conf", &bridge("old", "0.2.0", "10.2.0.0/16"));
    let mut ptp = bridge("ptp", "0.1.0", "10.3.0.0/16");
    ptp["type"] = json!("ptp");
    configure("30-ptp.conf", &ptp);
    let (new, old, wire) = (host.pod("new"), host.pod("old"), host.pod("wire"));
    add("new", &new, "id-new");
    add("old", &old, "id-old");
    add("ptp", &wire, "id-ptp");
    assert_silent();
    host.ip("link add veth0badcafe type veth peer name other");
    host.ip("link set veth0badcafe master mybr0");
    assert_silent();
    let del = ["del", "old", path(&old), "--container-id", "id-old"];
    netloom(&del).run().succeeds_silently();
    let found = findings();
    assert_eq!(found.len(), 1, "{found:#?}");
    run(&host, &assert_named(&found, "veth", "veth0badcafe"));

    // A result that cannot be read lists none either.
    let file = "/var/lib/cni/results/new-id-new-eth0";
    let entry = |change: &str| {
        let content = fs::read(file).unwrap();
        let mut entry: Value = serde_json::from_slice(&content).unwrap();
        match change {
            "result" => entry["result"] = json!({"cniVersion": "7.0.0"}),
            _ => entry["config"] = json!("bm8ganNvbg=="),
        }
        fs::write(file, entry.to_string()).unwrap();
    };
    for change in ["result", "config"] {
        entry(change);
        assert_silent();
    }
    // Nothing tells on which bridge this network was.
    fs::remove_file(Path::new(CONF_DIR).join("10-new.conf")).unwrap();
    assert!(findings().iter().all(|it| it[0] != "veth"));
}

#[test]
fn a_cache_file_that_cannot_be_read_is_to_stay_as_long_as_its_container_lives() {
    let Some(host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.1.0"));
    let pod = host.pod("one");
    add("mynet", &pod, "0d5ee8");
    let results = Path::new("/var/lib/cni/results");
    let file = |name: &str| {
        let file = results.join(name);
        fs::write(&file, "{").unwrap();
        let found = findings();
        assert_eq!(found.len(), 1, "nothing else of the pod's: {found:#?}");
        assert_named(&found, "cache file", name)
    };
    let mend = file("mynet-0d5ee8-eth0");
    let rm = format!("rm {}", results.join("mynet-0d5ee8-eth0").display());
    assert_eq!(
        mend,
        format!("when container 0d5ee8 (eth0) has ended: {rm}")
    );
    pod.ip("link del eth0");
    pod.remove();
    run(&host, &mend);
    let mend = assert_named(&findings(), "reservation", "10.16.0.2 of");
    run(&host, &mend);
    run(&host, &assert_named(&findings(), "bridge", "mybr0"));
    assert_silent();

    let mend = file("nonet-0d5ee8-eth0");
    assert!(
        mend.starts_with("when the container in the file's name has ended: rm "),
        "{mend}"
    );
    run(&host, &mend);
    let mend = file("garbage");
    assert_eq!(mend, format!("rm {}", results.join("garbage").display()));
    run(&host, &mend);
    assert_silent();
}

#[test]
fn a_network_whose_configuration_is_gone_is_looked_at_too() {
    let Some((host, _living)) = one_forgotten(&mynet("1.1.0")) else {
        return;
    };
    fs::remove_file(Path::new(CONF_DIR).join("10-mynet.conf")).unwrap();
    forget();
    run(
        &host,
        &assert_named(&findings(), "reservation", "10.16.0.3 of"),
    );
    assert_silent();
}

#[test]
fn plugins_that_are_missing_or_too_old_are_named() {
    let Some(_host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.1.0"));
    fs::remove_file(Path::new(PLUGINS).join("bridge")).unwrap();
    assert_named(&findings(), "plugin", "failed to find plugin \"bridge\"");
    crate::shell_plugin(
        "bridge",
        "#!/bin/sh\necho '{\"cniVersion\":\"1.0.0\",\"supportedVersions\":[\"1.0.0\"]}'\n",
    );
    assert_named(
        &findings(),
        "plugin",
        "does not support config version \"1.1.0\"",
    );
    let not_ready = "#!/bin/sh\necho '{\"code\":50,\"msg\":\"no such device\"}'; exit 1\n";
    let versions = "echo '{\"cniVersion\":\"1.1.0\",\"supportedVersions\":[\"1.1.0\"]}'; exit\n";
    let versions = format!("[ $CNI_COMMAND = VERSION ] && {{ {versions}}}\n");
    let script = not_ready.replacen('\n', &format!("\n{versions}"), 1);
    crate::shell_plugin("bridge", &script);
    assert_named(&findings(), "status", "no such device");
    fs::write(Path::new(CONF_DIR).join("20-broken.conf"), "{").unwrap();
    assert_named(&findings(), "configuration", "20-broken.conf");
}

#[test]
fn install_is_given_for_the_plugins_that_it_mends_and_does_so() {
    let Some(host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.1.0"));
    let bridge = Path::new(PLUGINS).join("bridge");
    let too_old =
        "#!/bin/sh\necho '{\"cniVersion\":\"1.0.0\",\"supportedVersions\":[\"1.0.0\"]}'\n";
    fs::remove_file(&bridge).unwrap();
    let mend = assert_named(&findings(), "plugin", "failed to find plugin");
    assert_eq!(mend, format!("netloom install --bin-dir {PLUGINS}"));
    run(&host, &mend);
    assert_silent();
    // Another's, too old or broken.
    for script in [too_old, "#!/bin/sh\nexit 1\n"] {
        fs::remove_file(&bridge).unwrap();
        crate::shell_plugin("bridge", script);
        let mend = assert_named(&findings(), "plugin", "");
        assert_eq!(mend, format!("netloom install --bin-dir {PLUGINS} --force"));
        run(&host, &mend);
        assert_silent();
    }
    // It may be in a directory that others come before.
    let [first, second] = ["/run/first", "/run/second"];
    fs::create_dir(second).unwrap();
    fs::remove_file(&bridge).unwrap();
    crate::shell_plugin("bridge", too_old);
    fs::rename(&bridge, Path::new(second).join("bridge")).unwrap();
    let path = format!("{first}:{second}");
    let mend = assert_named(&findings_with(&path), "plugin", "does not support");
    assert_eq!(mend, format!("netloom install --bin-dir {first}"));
    run(&host, &mend);
    assert_eq!(findings_with(&path), Vec::<[String; 3]>::new());
    // One is missing among others that are another's.
    fs::rename(
        Path::new(second).join("bridge"),
        Path::new(second).join("ptp"),
    )
    .unwrap();
    let mend = assert_named(&findings_with(second), "plugin", "failed to find");
    assert!(
        mend.starts_with("install the bridge of the plugins"),
        "{mend}"
    );
    run(&host, &mend);
    assert_eq!(findings_with(second), Vec::<[String; 3]>::new());
}

#[test]
fn what_install_does_not_mend_gets_words() {
    let Some(_host) = host() else { return };
    let named = |version: &str, kind: &str, what: &str| {
        let conf = json!({"cniVersion": version, "name": "net", "type": kind});
        configure("10-net.conf", &conf);
        let mend = assert_named(&findings(), "plugin", what);
        assert!(!mend.contains("netloom install"), "{mend}");
        mend
    };
    let mend = named("1.1.0", "galaxy", "failed to find plugin \"galaxy\"");
    assert!(
        mend.contains("install galaxy, which netloom does not have"),
        "{mend}"
    );
    let mend = named("9.9.9", "bridge", "does not support config version");
    assert_eq!(mend, "set cniVersion to one that is known, up to 1.1.0");
    let versions = "echo '{\"cniVersion\":\"1.0.0\",\"supportedVersions\":[\"1.0.0\"]}'";
    crate::shell_plugin("galaxy", &format!("#!/bin/sh\n{versions}\n"));
    let mend = named("1.1.0", "galaxy", "does not support config version");
    assert!(mend.contains("newer galaxy"), "{mend}");
}

#[test]
fn networks_in_each_others_way_full_pools_and_wrong_sysctls_are_named() {
    let Some(host) = host() else { return };
    let mut conf = mynet("1.1.0");
    conf["ipam"]["subnet"] = json!("10.16.0.0/30");
    configure("10-mynet.conf", &conf);
    let pod = host.pod("one");
    add("mynet", &pod, "id-of-one");
    assert_named(&findings(), "pool", "1 of 1 addresses taken");

    let mut other = mynet("1.1.0");
    other["name"] = json!("other");
    configure("20-other.conf", &other);
    let found = findings();
    assert_named(
        &found,
        "conflict",
        "10.16.0.0/30 overlaps 10.16.0.0/16 of other",
    );
    assert_named(
        &found,
        "conflict",
        "bridge mybr0 is the gateway of mynet too",
    );
    fs::remove_file(Path::new(CONF_DIR).join("20-other.conf")).unwrap();

    fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
    let mend = assert_named(&findings(), "sysctl", "net.ipv4.ip_forward is 0");
    run(&host, &mend);
    assert!(findings().iter().all(|it| it[0] != "sysctl"));
}

#[test]
fn what_it_finds_is_one_json_document_and_an_exit_status() {
    let Some(_host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.1.0"));
    fs::remove_file(Path::new(PLUGINS).join("bridge")).unwrap();
    let outcome = netloom(&["--json", "doctor"]).run();
    assert_eq!(outcome.code(), Some(2), "{outcome}");
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(report["findings"].as_array().unwrap().len(), 1);
    assert_eq!(report["findings"][0]["severity"], "error");
    assert_eq!(outcome.stderr, "netloom: 1 to mend\n");
    // A verb that fails before it has said anything says so in JSON.
    let error = netloom(&["--json", "status", "nope"]).run();
    let error: Value = serde_json::from_str(&error.stdout).unwrap();
    assert!(error["msg"].as_str().unwrap().contains("nope"), "{error}");
}

#[test]
fn a_kind_of_link_that_the_kernel_lacks_comes_with_its_module() {
    let Some(host) = host() else { return };
    host.ip("link add lower0 type veth peer name other");
    host.ip("link set lower0 up");
    let kinds = [
        ("vlan", "modprobe 8021q"),
        ("macvlan", "modprobe macvlan"),
        ("ipvlan", "modprobe ipvlan"),
        ("dummy", "modprobe dummy"),
    ];
    for (kind, _) in kinds {
        let conf = json!({
            "cniVersion": "1.1.0", "name": kind, "type": kind, "master": "lower0", "vlanId": 7,
            "ipam": {"type": "static", "addresses": [{"address": "10.1.0.2/24"}]}
        });
        configure(&format!("10-{kind}.conf"), &conf);
    }
    let limited = json!({
        "cniVersion": "1.1.0", "name": "limited",
        "plugins": [{"type": "bandwidth", "capabilities": {"bandwidth": true}}]
    });
    configure("20-limited.conflist", &limited);
    let has = kinds.map(|(kind, _)| probe::has_link_kind(kind));
    let limits = probe::has_link_kind("ifb");
    let found = findings();
    for ((kind, module), has) in kinds.into_iter().zip(has) {
        let what = format!("the kernel has no links of kind {kind}: load its module");
        match has {
            true => assert!(!found.iter().any(|it| it[1].contains(&what)), "{found:#?}"),
            false => assert_eq!(assert_named(&found, "status", &what), module),
        }
    }
    let lacking = has.iter().filter(|has| !**has).count() + usize::from(!limits);
    assert_eq!(found.len(), lacking, "{found:#?}");
    // Whatever this kernel has, of a plugin that says so.
    let line = "the kernel has no links of kind vlan: load its module 8021q, or use a kernel with \
                CONFIG_VLAN_8021Q";
    crate::shell_plugin(
        "macvlan",
        &format!(
            "#!/bin/sh\n[ $CNI_COMMAND = VERSION ] && {{ echo \
             '{{\"cniVersion\":\"1.1.0\",\"supportedVersions\":[\"1.1.0\"]}}'; exit; }}\n\
             echo '{{\"code\":50,\"msg\":\"{line}\"}}'; exit 1\n"
        ),
    );
    let found = findings();
    let of_script = |it: &&[String; 3]| it[1].contains("macvlan") && it[1].contains(line);
    let it = found.iter().find(of_script);
    assert_eq!(
        it.map(|it| it[2].as_str()),
        Some("modprobe 8021q"),
        "{found:#?}"
    );
}

#[test]
fn isolation_that_the_packet_filter_cannot_keep_is_named() {
    let Some(host) = host() else { return };
    let file = "/proc/sys/net/bridge/bridge-nf-call-iptables";
    let mut conf = json!({"cniVersion": "1.1.0", "name": "apart", "plugins": [
        mynet("1.1.0"), {"type": "firewall", "backend": "nftables", "ingressPolicy": "isolated"}
    ]});
    configure("10-apart.conflist", &conf);
    if !Path::new(file).exists() {
        let mend = assert_named(&findings(), "sysctl", "bridge-nf-call-iptables is missing");
        assert_eq!(mend, "modprobe br_netfilter");
        return netloom_testkit::skip("the kernel has no br_netfilter");
    }
    assert_silent();
    fs::write(file, "0").unwrap();
    let found = findings();
    let mend = assert_named(&found, "sysctl", "net.bridge.bridge-nf-call-iptables is 0");
    assert_eq!(found.len(), 1, "there is no IPv6: {found:#?}");
    conf["plugins"][1]["ingressPolicy"] = json!("same-bridge");
    configure("10-apart.conflist", &conf);
    assert_silent();
    conf["plugins"][1]["ingressPolicy"] = json!("isolated");
    configure("10-apart.conflist", &conf);
    run(&host, &mend);
    assert_silent();
}

#[test]
fn a_native_chain_that_stops_the_pods_of_a_firewalled_network_is_named() {
    let Some(host) = host() else { return };
    for (backend, pass) in [
        ("iptables", "iifname \"br-test\" accept"),
        ("nftables", "meta mark 0x434e4946 accept"),
    ] {
        let mut of_bridge = mynet("1.1.0");
        of_bridge["bridge"] = json!("br-test");
        let conf = json!({"cniVersion": "1.1.0", "name": "walled", "plugins": [
            of_bridge, {"type": "firewall", "backend": backend}
        ]});
        configure("10-walled.conflist", &conf);
        host.sh(
            "nft 'table inet own { chain stop { type filter hook forward priority 0; reject; }; }'",
        );
        let found = findings();
        let what = "nftables' chain inet own stop stops all connections of pods";
        let mend = assert_named(&found, "firewall", what);
        assert!(
            mend.contains(&format!("nft insert rule inet own stop {pass}")),
            "{mend}"
        );
        assert_eq!(found.len(), 1, "{found:#?}");
        run(&host, &mend);
        assert_silent();
        host.sh("nft delete table inet own");
    }
}

#[test]
fn services_at_addresses_of_the_host_are_named_beside_portmap_without_conditions() {
    let Some(host) = host() else { return };
    let mut conf = json!({"cniVersion": "1.1.0", "name": "ports", "plugins": [
        mynet("1.1.0"), {"type": "portmap", "capabilities": {"portMappings": true}}
    ]});
    configure("10-ports.conflist", &conf);
    assert_silent();
    // Of whatever kind: this one is kube-proxy's by its name.
    host.sh(
        "ip link add kube-ipvs0 type veth peer name x; ip addr add 10.96.0.10/32 dev kube-ipvs0",
    );
    let found = findings();
    let mend = assert_named(&found, "conflict", "kube-ipvs0 too, as 10.96.0.10");
    assert!(mend.contains("conditionsV4"), "{mend}");
    assert_eq!(found.len(), 1, "no address of IPv6: {found:#?}");
    conf["plugins"][1]["conditionsV4"] = json!(["!", "-d", "10.96.0.0/12"]);
    configure("10-ports.conflist", &conf);
    assert_silent();
}
