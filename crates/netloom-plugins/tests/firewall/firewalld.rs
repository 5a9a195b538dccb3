//! The firewalld backend on a bus of its own, with a stand-in that knows zones and sources.

use crate::support::{Lab, conf, result};
use netloom_testkit::{Call, Faults, Plugin, Pod, probe, skip};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Debian's, which has the bindings; another one may come first in PATH.
const PYTHON: &str = "/usr/bin/python3";

/// Answers as firewalld 1.3 does, and keeps a file of what is in its zones.
const STAND_IN: &str = r#"
import sys, dbus, dbus.service, dbus.bus
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib
DBusGMainLoop(set_as_default=True)
zones = {"trusted": [], "internal": [], "work": []}
class Refused(dbus.DBusException):
    _dbus_error_name = "org.fedoraproject.FirewallD1.Exception"
def zone_of(source):
    return next((zone for zone in zones if source in zones[zone]), None)
def save():
    with open(sys.argv[2], "w") as file:
        file.writelines(f"{zone} {source}\n" for zone in zones for source in zones[zone])
class Zone(dbus.service.Object):
    @dbus.service.method("org.fedoraproject.FirewallD1.zone", "ss", "s")
    def addSource(self, zone, source):
        if zone not in zones: raise Refused(f"INVALID_ZONE: {zone}")
        if source in zones[zone]: raise Refused(f"ZONE_ALREADY_SET: '{source}' already bound to '{zone}'")
        if zone_of(source): raise Refused(f"ZONE_CONFLICT: '{source}' already bound to a zone")
        zones[zone].append(source); save(); return zone
    @dbus.service.method("org.fedoraproject.FirewallD1.zone", "ss", "s")
    def removeSource(self, zone, source):
        if zone_of(source) is None: raise Refused(f"UNKNOWN_SOURCE: '{source}' is not in any zone")
        if zone_of(source) != zone: raise Refused(f"ZONE_CONFLICT: '{source}' is in another zone")
        zones[zone].remove(source); save(); return zone
    @dbus.service.method("org.fedoraproject.FirewallD1.zone", "ss", "b")
    def querySource(self, zone, source):
        return source in zones[zone]
bus = dbus.bus.BusConnection(sys.argv[1])
name = dbus.service.BusName("org.fedoraproject.FirewallD1", bus)
Zone(bus, "/org/fedoraproject/FirewallD1")
save()
print("ready", flush=True)
GLib.MainLoop().run()
"#;

/// A bus, and what runs on it; ended when dropped.
struct Bus {
    dir: TempDir,
    running: Vec<Child>,
    address: String,
}

impl Drop for Bus {
    fn drop(&mut self) {
        for child in self.running.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Bus {
    fn start() -> Option<Self> {
        if !probe::has_program("dbus-daemon") {
            skip("no dbus-daemon");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("bus.conf");
        let listen = format!("unix:path={}", dir.path().join("bus").display());
        let text = format!(
            "<busconfig><type>system</type><listen>{listen}</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow own=\"*\"/><allow send_destination=\"*\"/>\
             <allow receive_sender=\"*\"/></policy></busconfig>"
        );
        fs::write(&config, text).unwrap();
        let mut bus = Self {
            dir,
            running: Vec::new(),
            address: String::new(),
        };
        let mut daemon = Command::new("dbus-daemon");
        daemon.args(["--nofork", "--nopidfile", "--print-address=1"]);
        daemon.arg(format!("--config-file={}", config.display()));
        // It would like more descriptors than it may have.
        daemon.stderr(Stdio::null());
        bus.address = bus.run(&mut daemon);
        Some(bus)
    }

    /// Starts a program and gives the line by which it says that it is ready.
    fn run(&mut self, command: &mut Command) -> String {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        self.running.push(child);
        line.trim().to_owned()
    }

    /// Puts a firewalld on the bus; `false` where that cannot be.
    fn has_firewalld(&mut self) -> bool {
        let bindings = Command::new(PYTHON)
            .args(["-c", "import dbus, gi"])
            .stderr(Stdio::null())
            .status();
        if !bindings.is_ok_and(|status| status.success()) {
            skip("no D-Bus for Debian's Python (packages python3-dbus and python3-gi)");
            return false;
        }
        let (address, sources) = (self.address.clone(), self.sources_file());
        let mut stand_in = Command::new(PYTHON);
        stand_in.args(["-c", STAND_IN, &address]).arg(sources);
        assert_eq!(self.run(&mut stand_in), "ready");
        true
    }

    fn sources_file(&self) -> PathBuf {
        self.dir.path().join("sources")
    }

    /// A line for each source of a zone.
    fn sources(&self) -> String {
        fs::read_to_string(self.sources_file())
            .unwrap()
            .trim()
            .to_owned()
    }

    fn call(&self, plugin: &Plugin, command: &str, conf: &Value, pod: &Pod) -> Call {
        let call = plugin.call(command, conf).pod(pod);
        call.env("DBUS_SYSTEM_BUS_ADDRESS", &self.address)
    }
}

fn lab() -> Option<(Lab, Bus)> {
    let (lab, mut bus) = (Lab::with("nftables")?, Bus::start()?);
    bus.has_firewalld().then_some((lab, bus))
}

const BOTH: &str = "trusted 10.1.0.5/32\ntrusted fd00:1::5/128";

#[test]
fn addresses_become_sources_of_the_zone_and_leave_it() {
    let Some((lab, bus)) = lab() else { return };
    let pod = lab.host.pod("one");
    for backend in ["firewalld", ""] {
        let conf = conf(backend, &result(5), json!({}));
        let run = |command: &str| bus.call(&lab.firewall, command, &conf, &pod).run();
        for _ in 0..2 {
            assert_eq!(run("ADD").succeeds(), result(5));
            assert_eq!(bus.sources(), BOTH, "{backend:?}");
        }
        run("CHECK").succeeds_silently();
        for _ in 0..2 {
            run("DEL").succeeds_silently();
            assert_eq!(bus.sources(), "", "{backend:?}");
        }
        run("CHECK").fails().names(&["10.1.0.5/32", "trusted"]);
    }
    assert_eq!(lab.rules().trim(), "", "no packet filter is touched");
}

#[test]
fn the_zone_of_the_configuration_is_taken_and_a_wrong_one_is_refused_whole() {
    let Some((lab, bus)) = lab() else { return };
    let pod = lab.host.pod("one");
    let conf_of = |zone: &str| conf("firewalld", &result(5), json!({"firewalldZone": zone}));
    let run =
        |command: &str, zone: &str| bus.call(&lab.firewall, command, &conf_of(zone), &pod).run();
    run("ADD", "nosuch")
        .fails()
        .names(&["nosuch", "10.1.0.5/32", "INVALID_ZONE"]);
    assert_eq!(bus.sources(), "");
    run("ADD", "internal").succeeds();
    assert_eq!(bus.sources(), BOTH.replace("trusted", "internal"));
    // What is in another zone is not ours to take.
    run("ADD", "work").fails().names(&["work", "ZONE_CONFLICT"]);
    run("DEL", "work").succeeds_silently();
    assert_eq!(bus.sources(), BOTH.replace("trusted", "internal"));
    run("DEL", "internal").succeeds_silently();
    assert_eq!(bus.sources(), "");
}

#[test]
fn gos_plugin_and_ours_hand_over_to_each_other() {
    let Some((lab, bus)) = lab() else { return };
    let Some(go) = Plugin::debian("firewall") else {
        return;
    };
    let pod = lab.host.pod("one");
    let conf = conf("firewalld", &result(5), json!({}));
    for (first, second) in [(&go, &lab.firewall), (&lab.firewall, &go)] {
        bus.call(first, "ADD", &conf, &pod).run().succeeds();
        assert_eq!(bus.sources(), BOTH);
        bus.call(second, "CHECK", &conf, &pod)
            .run()
            .succeeds_silently();
        bus.call(second, "DEL", &conf, &pod)
            .run()
            .succeeds_silently();
        assert_eq!(bus.sources(), "");
    }
}

#[test]
fn bridges_are_kept_apart_by_a_packet_filter_beside_firewalld() {
    let Some((lab, bus)) = lab() else { return };
    let pod = lab.host.pod("one");
    let conf = conf(
        "firewalld",
        &result(5),
        json!({"ingressPolicy": "same-bridge"}),
    );
    for (path, sign) in [
        (std::env::var("PATH").unwrap(), "-i br0 ! -o br0"),
        ("/nowhere".to_owned(), "elements = { \"br0\""),
    ] {
        if sign.starts_with('-') && !probe::has_iptables() {
            continue;
        }
        let run = |command: &str| {
            bus.call(&lab.firewall, command, &conf, &pod)
                .env("PATH", &path)
                .run()
        };
        run("ADD").succeeds();
        assert!(lab.rules().contains(sign), "{sign}: {}", lab.rules());
        run("CHECK").succeeds_silently();
        run("DEL").succeeds_silently();
        assert_eq!(
            (bus.sources(), lab.traces()),
            (String::new(), String::new())
        );
        run("ADD").succeeds();
        lab.host.sh("nft flush ruleset");
        run("CHECK").fails();
        run("DEL").succeeds_silently();
    }
}

#[test]
fn a_bus_without_firewalld_is_like_none_unless_firewalld_is_asked_for() {
    let Some(lab) = Lab::with("nftables") else {
        return;
    };
    let Some(bus) = Bus::start() else { return };
    let pod = lab.host.pod("one");
    let run = |command: &str, backend: &str| {
        let keys = json!({"cniVersion": "1.1.0"});
        let mut given = result(5);
        given["cniVersion"] = json!("1.1.0");
        let conf = conf(backend, &given, keys);
        bus.call(&lab.firewall, command, &conf, &pod)
            .env("PATH", "/nowhere")
            .run()
    };
    run("ADD", "firewalld")
        .fails()
        .names(&["firewalld", "10.1.0.5/32"]);
    run("STATUS", "firewalld")
        .fails_with(50)
        .names(&["firewalld is not running"]);
    run("DEL", "firewalld").succeeds_silently();
    run("STATUS", "").succeeds_silently();
    run("ADD", "").succeeds();
    assert!(lab.traces().contains("10.1.0.5"), "nftables it is");
    run("DEL", "").succeeds_silently();
    assert_eq!(lab.traces(), "");
}

#[test]
fn what_does_not_speak_d_bus_is_no_reason_to_wait_or_to_die() {
    let Some(lab) = Lab::with("nftables") else {
        return;
    };
    let pod = lab.host.pod("one");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let nonsense = std::thread::spawn(move || {
        for answer in [
            "HTTP/1.1 400\r\n",
            "OK 1234\r\nnonsense",
            "OK 1\r\nl\u{2}\u{0}\u{1}\u{7f}",
        ] {
            let (mut stream, _) = listener.accept().unwrap();
            std::io::Write::write_all(&mut stream, answer.as_bytes()).unwrap();
            // Until the other end has said its part, or it would not hear ours.
            let _ = std::io::Read::read(&mut stream, &mut [0; 256]);
        }
    });
    let conf = conf("firewalld", &result(5), json!({}));
    for _ in 0..3 {
        let call = lab.firewall.call("ADD", &conf).pod(&pod);
        let call = call.env(
            "DBUS_SYSTEM_BUS_ADDRESS",
            format!("unix:path={}", path.display()),
        );
        call.run().fails().names(&["failed to reach firewalld"]);
    }
    nonsense.join().unwrap();
}

#[test]
fn an_add_to_firewalld_that_fails_anywhere_leaves_no_source() {
    let Some((lab, bus)) = lab() else { return };
    let pod = lab.host.pod("one");
    let conf = conf("firewalld", &result(5), json!({}));
    let (add, del) = ["ADD", "DEL"]
        .map(|name| bus.call(&lab.firewall, name, &conf, &pod))
        .into();
    let Some(faults) = Faults::points(&add) else {
        return;
    };
    del.run().succeeds_silently();
    let (mut failed, mut killed) = (0, 0);
    for k in faults.fallible() {
        let struck = faults.fail_at(k, faults.list()[k].likely_errno());
        if struck.outcome.is_success() {
            del.run().succeeds_silently();
        }
        assert_eq!(bus.sources(), "", "failed at {}", faults.list()[k]);
        failed += 1;
    }
    for k in faults.mortal() {
        let _ = faults.kill_at(k);
        del.run().succeeds_silently();
        assert_eq!(bus.sources(), "", "killed at {}", faults.list()[k]);
        killed += 1;
    }
    println!("firewalld: {failed} failed, {killed} killed");
    assert!(
        failed > 10 && killed >= 3,
        "too few points: {failed}, {killed}"
    );
}
