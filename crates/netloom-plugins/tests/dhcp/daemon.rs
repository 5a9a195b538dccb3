//! The daemon as a service, and the plugin without one.

use crate::acquire::wait_until;
use crate::lan::{Lan, conf, configure};
use crate::running::{LEASES, Running, SOCKET};
use netloom_plugin::Survey;
use netloom_plugins::registry::PLUGINS;
use netloom_spec::{Attachment, NetworkName, PluginConf};
use netloom_testkit::{Call, Host, Plugin, PluginDir};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_netloom-plugins");

#[test]
fn socket_and_pidfile_come_and_go_with_the_daemon() {
    let Some(_host) = Host::new() else { return };
    let bin = PluginDir::of(PROGRAM);
    let daemon = Running::start(&bin, &["-pidfile", "/run/dhcp.pid"]);
    let socket = std::fs::metadata(SOCKET).unwrap();
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.permissions().mode() & 0o7777, 0o600);
    let leases = std::fs::metadata(LEASES).unwrap();
    assert_eq!(leases.permissions().mode() & 0o7777, 0o700);
    let pid = std::fs::read_to_string("/run/dhcp.pid").unwrap();
    assert_eq!(pid, daemon.pid().to_string());
    // A second one changes nothing.
    let second = Call::new(bin.path().join("dhcp")).arg("daemon").run();
    assert_eq!(second.code(), Some(1));
    assert!(
        second
            .stderr
            .contains("another daemon listens at /run/cni/dhcp.sock"),
        "{second}"
    );
    daemon.signal(Signal::INT);
    assert!(
        {
            let mut daemon = daemon;
            daemon.wait()
        }
        .success()
    );
    assert!(!Path::new(SOCKET).exists() && !Path::new("/run/dhcp.pid").exists());
    // What a killed one leaves does not stop the next.
    Running::start(&bin, &[]).kill();
    assert!(Path::new(SOCKET).exists());
    let daemon = Running::start(&bin, &[]);
    assert!(daemon.terminate().success());
}

#[test]
fn only_root_can_speak_to_the_daemon() {
    let Some(_host) = Host::new() else { return };
    let bin = PluginDir::of(PROGRAM);
    let daemon = Running::start(&bin, &[]);
    let directory = std::fs::metadata("/run/cni").unwrap();
    assert_eq!(directory.permissions().mode() & 0o7777, 0o700);
    // Of root's group still.
    let greet_as_nobody = || {
        let greet = || {
            rustix::thread::set_thread_uid(rustix::fs::Uid::from_raw(65534)).unwrap();
            let mut stream = UnixStream::connect(SOCKET)?;
            stream.write_all(b"CONNECT /_goRPC_ HTTP/1.0\n\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map(|_| answer)
        };
        // Credentials are a thread's own.
        std::thread::spawn(greet).join().unwrap()
    };
    let allow = |path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let denied = |outcome: std::io::Result<String>| {
        assert_eq!(
            outcome.unwrap_err().kind(),
            std::io::ErrorKind::PermissionDenied
        );
    };
    denied(greet_as_nobody());
    allow("/run/cni", 0o755);
    denied(greet_as_nobody());
    // As an administrator or a unit of systemd may have made it.
    allow(SOCKET, 0o666);
    let answer = greet_as_nobody();
    assert!(
        answer.as_ref().is_ok_and(String::is_empty) || answer.is_err(),
        "{answer:?}"
    );
    daemon.wait_for(
        "a connection of uid 65534 is refused: the daemon serves root",
        1,
    );
    let mut ours = UnixStream::connect(SOCKET).unwrap();
    ours.write_all(b"CONNECT /_goRPC_ HTTP/1.0\n\n").unwrap();
    let mut answer = [0; 12];
    ours.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.0 200");
}

#[test]
fn links_and_files_planted_where_the_daemon_keeps_its_own_are_not_touched() {
    let Some(_host) = Host::new() else { return };
    let bin = PluginDir::of(PROGRAM);
    let victim = Path::new("/run/victim");
    let refused = |place: &str| {
        let mut daemon = Running::spawn(Command::new(bin.path().join("dhcp")).arg("daemon"));
        assert!(!daemon.wait().success(), "{place}");
        daemon.wait_for(place, 1);
        assert_eq!(std::fs::read_to_string(victim).unwrap(), "precious");
    };
    std::fs::create_dir_all(LEASES).unwrap();
    std::fs::write(victim, "precious").unwrap();
    // No socket of a daemon that is no more.
    std::fs::write(SOCKET, "somebody's file").unwrap();
    refused(SOCKET);
    assert_eq!(std::fs::read_to_string(SOCKET).unwrap(), "somebody's file");
    std::fs::remove_file(SOCKET).unwrap();
    symlink(victim, SOCKET).unwrap();
    refused(SOCKET);
    std::fs::remove_file(SOCKET).unwrap();
    let lock = Path::new(LEASES).join("lock");
    symlink(victim, &lock).unwrap();
    refused(LEASES);
    std::fs::remove_file(SOCKET).unwrap_or_default();
    std::fs::remove_dir_all(LEASES).unwrap();
    symlink("/run", LEASES).unwrap();
    refused(LEASES);
    assert!(!Path::new("/run/lock").exists());
    std::fs::remove_file(LEASES).unwrap();
    // Leases and the pidfile are not the links' targets.
    std::fs::create_dir(LEASES).unwrap();
    for place in [
        &format!("{LEASES}/x.json"),
        "/run/dhcp.pid",
        "/run/dhcp.pid.draft",
    ] {
        symlink(victim, place).unwrap();
    }
    let daemon = Running::start(&bin, &["-pidfile", "/run/dhcp.pid"]);
    let pid = std::fs::read_to_string("/run/dhcp.pid").unwrap();
    assert_eq!(pid, daemon.pid().to_string());
    assert!(daemon.terminate().success());
    assert_eq!(std::fs::read_to_string(victim).unwrap(), "precious");
}

#[test]
fn the_program_of_many_names_takes_the_daemon_too() {
    let Some(_host) = Host::new() else { return };
    let help = Call::new(PROGRAM).arg("dhcp").arg("daemon").arg("-h").run();
    assert!(
        help.is_success() && help.stderr.contains("-resendtimeout"),
        "{help}"
    );
    let wrong = Call::new(PROGRAM)
        .arg("dhcp")
        .arg("daemon")
        .arg("-pidfile=x")
        .run();
    assert_eq!(wrong.code(), Some(2));
    assert!(wrong.stderr.contains("path not absolute"), "{wrong}");
}

#[test]
fn a_socket_passed_by_systemd_is_used_and_left_alone() {
    let Some(host) = Host::new() else { return };
    let Some(lan) = Lan::served(&host, &[]) else {
        return;
    };
    let (pod, bin) = (lan.pod("one"), PluginDir::of(PROGRAM));
    let Ok(_) = Command::new("python3").arg("--version").output() else {
        return netloom_testkit::skip("no python3 to pass a socket as systemd does");
    };
    let pass = "import os,socket,sys\n\
        s=socket.socket(socket.AF_UNIX); s.bind('/run/passed.sock'); s.listen(5)\n\
        os.dup2(s.fileno(),3); os.set_inheritable(3,True)\n\
        os.environ.update(LISTEN_PID=str(os.getpid()),LISTEN_FDS=sys.argv[2])\n\
        os.execv(sys.argv[1],['dhcp','daemon'])";
    let dhcp = bin.path().join("dhcp");
    let start = |count| {
        Running::spawn(
            Command::new("python3")
                .args(["-c", pass])
                .arg(&dhcp)
                .arg(count),
        )
    };
    let daemon = start("1");
    daemon.wait_for("listening at /run/passed.sock", 1);
    let conf = conf(&json!({"daemonSocketPath": "/run/passed.sock"}));
    Plugin::ours(&bin, "dhcp").add(&conf, &pod).succeeds();
    assert!(Path::new("/run/passed.sock.leases/lock").exists());
    assert!(daemon.terminate().success());
    assert!(Path::new("/run/passed.sock").exists());
    std::fs::remove_file("/run/passed.sock").unwrap();
    let mut daemon = start("2");
    assert_eq!(daemon.wait().code(), Some(1));
    daemon.wait_for("Too many (2) FDs passed through socket activation", 1);
}

#[test]
fn without_a_daemon_only_add_check_and_status_fail() {
    let Some(host) = Host::new() else { return };
    let (pod, bin) = (host.pod("one"), PluginDir::of(PROGRAM));
    let (dhcp, conf) = (Plugin::ours(&bin, "dhcp"), conf(&json!({})));
    let error = dhcp.status(&conf).fails_with(50);
    error.names(&["error dialing DHCP daemon", SOCKET]);
    dhcp.add(&conf, &pod)
        .fails_with(11)
        .names(&["error dialing DHCP daemon"]);
    dhcp.check(&conf, &json!({"cniVersion": "1.1.0"}), &pod)
        .fails_with(11);
    dhcp.gc(&conf, &[]).succeeds_silently();
    for _ in 0..2 {
        dhcp.del(&conf, &pod).succeeds_silently();
    }
    let daemon = Running::start(&bin, &[]);
    dhcp.status(&conf).succeeds_silently();
    drop(daemon);
}

#[test]
fn del_gives_the_lease_back_without_a_daemon() {
    let Some(host) = Host::new() else { return };
    let Some(lan) = Lan::served(&host, &[]) else {
        return;
    };
    let (one, two, bin) = (lan.pod("one"), lan.pod("two"), PluginDir::of(PROGRAM));
    let (dhcp, conf) = (Plugin::ours(&bin, "dhcp"), conf(&json!({})));
    let daemon = Running::start(&bin, &[]);
    for pod in [&one, &two] {
        configure(pod, &dhcp.add(&conf, pod).succeeds());
    }
    daemon.kill();
    dhcp.del(&conf, &one).succeeds_silently();
    wait_until("one lease to go", || lan.leases().len() == 1);
    // GC does the same for what is not valid any more, and doctor names it before.
    assert_eq!(named(&conf, "id-of-two"), Vec::<String>::new());
    let leases = named(&conf, "id-of-one");
    assert!(
        matches!(leases.as_slice(), [lease] if lease.starts_with(LEASES)),
        "{leases:?}"
    );
    dhcp.gc(&conf, &[("id-of-two", "eth0")]).succeeds_silently();
    assert_eq!(lan.leases().len(), 1);
    dhcp.gc(&conf, &[("id-of-one", "eth0")]).succeeds_silently();
    wait_until("the other lease to go", || lan.leases().is_empty());
    assert_eq!(
        std::fs::read_dir(LEASES).unwrap().count(),
        1,
        "only the lock is left"
    );
}

#[test]
fn a_lease_that_a_stuck_daemon_has_is_not_told_to_be_given_back() {
    let Some(host) = Host::new() else { return };
    let Some(lan) = Lan::served(&host, &[]) else {
        return;
    };
    let (pod, bin) = (lan.pod("one"), PluginDir::of(PROGRAM));
    let (dhcp, conf) = (Plugin::ours(&bin, "dhcp"), conf(&json!({})));
    let daemon = Running::start(&bin, &[]);
    dhcp.add(&conf, &pod).succeeds();
    let refused = |call: &str| {
        let pid = format!("process {}", daemon.pid());
        for outcome in [dhcp.del(&conf, &pod), dhcp.gc(&conf, &[])] {
            outcome.fails_with(11).names(&[call, LEASES, &pid]);
        }
        assert_eq!(std::fs::read_dir(LEASES).unwrap().count(), 2);
    };
    daemon.signal(Signal::STOP);
    // The socket itself would let each call wait for its time limit.
    let elsewhere = format!("{SOCKET}.away");
    std::fs::rename(SOCKET, &elsewhere).unwrap();
    refused("error dialing DHCP daemon");
    let mute = UnixListener::bind(SOCKET).unwrap();
    std::thread::spawn(move || {
        for mut call in mute.incoming().map_while(Result::ok) {
            drop(call.read(&mut [0; 64]));
            drop(call.write_all(b"HTTP/1.0 200 Connected to Go RPC\n\n"));
        }
    });
    refused("error calling DHCP.");
    std::fs::rename(elsewhere, SOCKET).unwrap();
    daemon.signal(Signal::CONT);
    dhcp.del(&conf, &pod).succeeds_silently();
    wait_until("the lease to go", || lan.leases().is_empty());
}

#[test]
fn without_a_daemon_all_pods_at_once_give_their_leases_back() {
    let Some(host) = Host::new() else { return };
    let Some(lan) = Lan::served(&host, &[]) else {
        return;
    };
    let pods = [1, 2, 3, 4, 5, 6].map(|number| lan.pod(&format!("pod{number}")));
    let bin = PluginDir::of(PROGRAM);
    let (dhcp, conf) = (Plugin::ours(&bin, "dhcp"), conf(&json!({})));
    let daemon = Running::start(&bin, &[]);
    for pod in &pods {
        configure(pod, &dhcp.add(&conf, pod).succeeds());
    }
    daemon.kill();
    netloom_testkit::parallel(pods.len(), pods.len(), |number| {
        dhcp.del(&conf, &pods[number]).succeeds_silently();
    });
    wait_until("all leases to go", || lan.leases().is_empty());
}

/// The leases that doctor names if this container alone is valid.
fn named(conf: &Value, valid: &str) -> Vec<String> {
    let plugin = PluginConf::parse(conf.to_string().as_bytes()).unwrap();
    let survey = Survey {
        registry: PLUGINS,
        network: &NetworkName::new(plugin.name()).unwrap(),
        plugins: &[plugin],
    };
    let (found, errors) = survey.orphans(&[Attachment {
        container_id: valid.to_owned(),
        if_name: "eth0".to_owned(),
    }]);
    assert!(errors.is_empty(), "{errors:?}");
    let leases = found.into_iter().filter(|it| it.kind == "DHCP lease");
    leases.map(|it| it.what).collect()
}

#[test]
fn gc_gives_back_what_is_not_valid_and_nothing_else() {
    let Some(host) = Host::new() else { return };
    let Some(lan) = Lan::served(&host, &[]) else {
        return;
    };
    let pods = ["one", "two", "three"].map(|name| lan.pod(name));
    let bin = PluginDir::of(PROGRAM);
    let (dhcp, conf) = (Plugin::ours(&bin, "dhcp"), conf(&json!({})));
    let mut other = conf.clone();
    other["name"] = json!("other");
    let _daemon = Running::start(&bin, &[]);
    dhcp.add(&conf, &pods[0]).succeeds();
    dhcp.add(&conf, &pods[1]).succeeds();
    dhcp.add(&other, &pods[2]).succeeds();
    let unlisted = dhcp.call("GC", &conf).run();
    unlisted.succeeds_silently();
    assert_eq!(lan.leases().len(), 3);
    dhcp.gc(&conf, &[("id-of-two", "eth0"), ("id-of-one", "eth1")])
        .succeeds_silently();
    wait_until("one lease to go", || lan.leases().len() == 2);
    dhcp.gc(&conf, &[]).succeeds_silently();
    wait_until("the next lease to go", || lan.leases().len() == 1);
}

#[test]
fn del_succeeds_whatever_is_left_of_the_pod() {
    let Some(host) = Host::new() else { return };
    let Some(lan) = Lan::served(&host, &[]) else {
        return;
    };
    let bin = PluginDir::of(PROGRAM);
    let (dhcp, conf) = (Plugin::ours(&bin, "dhcp"), conf(&json!({})));
    let mut daemon = Some(Running::start(&bin, &[]));
    for with_daemon in [true, false] {
        let pods = ["empty", "gone", "plain", "nolink", "badprev"]
            .map(|name| lan.pod(&format!("{name}{}", u8::from(with_daemon))));
        let [empty, gone, plain, no_link, bad_prev] = &pods;
        daemon.get_or_insert_with(|| Running::start(&bin, &[]));
        for pod in &pods {
            dhcp.add(&conf, pod).succeeds();
        }
        gone.remove();
        plain.unmount();
        no_link.ip("link delete eth0");
        if !with_daemon {
            daemon.take().unwrap().kill();
        }
        for _ in 0..2 {
            for pod in [gone, plain, no_link] {
                dhcp.del(&conf, pod).succeeds_silently();
            }
            let call = dhcp.call("DEL", &conf).pod(empty).without("CNI_NETNS");
            call.run().succeeds_silently();
            let mut unreadable = conf.clone();
            unreadable["prevResult"] = json!({"cniVersion": "1.1.0", "ips": "?"});
            unreadable["ipam"]["provide"] = json!(7);
            dhcp.del(&unreadable, bad_prev).succeeds_silently();
        }
        let left = std::fs::read_dir(LEASES).unwrap().count();
        assert_eq!(left, 1, "only the lock is left");
        // Those whose link is still there were given back.
        wait_until("the leases to go", || {
            !lan.leases()
                .iter()
                .any(|lease| lease.contains(&hex_of(bad_prev)))
        });
        assert!(
            !lan.leases()
                .iter()
                .any(|lease| lease.contains(&hex_of(empty)))
        );
    }
}

fn hex_of(pod: &netloom_testkit::Pod) -> String {
    let id: Vec<String> = (pod.container_id().bytes())
        .map(|b| format!("{b:02x}"))
        .collect();
    id.join(":")
}

#[test]
fn the_daemon_survives_whatever_is_written_to_its_socket() {
    let Some(_host) = Host::new() else { return };
    let bin = PluginDir::of(PROGRAM);
    let daemon = Running::start(&bin, &[]);
    let dhcp = Plugin::ours(&bin, "dhcp");
    let answers = || {
        dhcp.status(&conf(&json!({}))).succeeds_silently();
    };
    // After an answer it no longer reads the leases of its start.
    answers();
    let idle = daemon.descriptors();
    let connect = b"CONNECT /_goRPC_ HTTP/1.0\n\n".to_vec();
    let long = [connect.as_slice(), &[0xfc, 0x00, 0x10, 0x00, 0x01]].concat();
    for bytes in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![b'x'; 100_000],
        [connect.as_slice(), &[0xf0; 100]].concat(),
        long,
        [connect.as_slice(), &[3, 0xff, 0x81, 0]].concat(),
    ] {
        let mut stream = UnixStream::connect(SOCKET).unwrap();
        // It may hang up before everything is written.
        let _ = stream.write_all(&bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
    }
    // One that says nothing does not keep others waiting.
    let _silent = UnixStream::connect(SOCKET).unwrap();
    answers();
    wait_until("the connections to end", || {
        daemon.descriptors() == idle + 1
    });
}

#[test]
fn bad_configuration_is_refused_before_the_daemon_is_asked() {
    let Some(host) = Host::new() else { return };
    let (pod, bin) = (host.pod("one"), PluginDir::of(PROGRAM));
    let dhcp = Plugin::ours(&bin, "dhcp");
    let mut conf = conf(&json!({"provide": [{"option": "hostname", "value": "x"}]}));
    dhcp.add(&conf, &pod)
        .fails_with(7)
        .names(&["Can not parse option \"hostname\""]);
    dhcp.status(&conf).fails_with(7);
    conf.as_object_mut().unwrap().remove("ipam");
    dhcp.add(&conf, &pod).fails_with(7).names(&["ipam"]);
}
