//! Network namespaces and throw-away hosts.

mod host;

use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use netloom_kernel::netns::{self, Netns, OpenError};
use netloom_kernel::rtnl::{LinkSpec, PeerSpec, Socket};

#[test]
fn opening_tells_what_is_not_there_from_what_is_no_namespace() {
    if !host::enter() {
        return;
    }
    let error = Netns::open("/run/nothing").unwrap_err();
    assert!(matches!(&error, OpenError::NotFound { path } if path.as_os_str() == "/run/nothing"));
    assert_eq!(
        error.to_string(),
        "network namespace \"/run/nothing\" does not exist"
    );
    std::fs::write("/run/file", "").unwrap();
    let error = Netns::open("/run/file").unwrap_err();
    assert!(matches!(error, OpenError::NotANetns { .. }));
    assert_eq!(
        error.to_string(),
        "unknown FS magic on \"/run/file\": 1021994: it is no network namespace"
    );
    assert!(matches!(
        Netns::open("/run").unwrap_err(),
        OpenError::NotANetns { .. }
    ));
    assert!(matches!(
        Netns::open("/run/file/below").unwrap_err(),
        OpenError::Io(_)
    ));
    let error = Netns::open("/proc/self/ns/mnt").unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"/proc/self/ns/mnt\" is a namespace, but not a network namespace"
    );
    let error = Netns::open("/proc/self/status").unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown FS magic on \"/proc/self/status\": 9fa0: it is no network namespace"
    );
}

#[test]
fn a_fifo_at_the_path_does_not_hang() {
    if !host::enter() {
        return;
    }
    host::run("mkfifo", &["/run/fifo"]);
    assert!(matches!(
        Netns::open("/run/fifo").unwrap_err(),
        OpenError::NotANetns { .. }
    ));
}

#[test]
fn a_closure_runs_inside_and_the_thread_comes_back() {
    if !host::enter() {
        return;
    }
    let home = Netns::current().unwrap();
    let (pod, _) = host::pod();
    assert!(!pod.is_same(&home).unwrap());
    let inside = pod.run(|| Netns::current().unwrap()).unwrap();
    assert!(inside.is_same(&pod).unwrap());
    assert!(Netns::current().unwrap().is_same(&home).unwrap());
}

#[test]
fn a_panic_inside_comes_back_too() {
    if !host::enter() {
        return;
    }
    let home = Netns::current().unwrap();
    let (pod, _) = host::pod();
    let outcome = catch_unwind(AssertUnwindSafe(|| pod.run(|| panic!("on purpose"))));
    assert!(outcome.is_err());
    assert!(Netns::current().unwrap().is_same(&home).unwrap());
}

#[test]
fn a_bound_namespace_is_made_and_removed() {
    if !host::enter() {
        return;
    }
    let made = netns::create_at("/run/netns/a/b").unwrap();
    assert!(
        made.is_same(&Netns::open("/run/netns/a/b").unwrap())
            .unwrap()
    );
    assert!(netns::create_at("/run/netns/a/b").unwrap_err().is_exists());
    // The failure did not take the first one away.
    assert!(
        made.is_same(&Netns::open("/run/netns/a/b").unwrap())
            .unwrap()
    );
    assert!(netns::remove_at("/run/netns/a/b").unwrap());
    assert!(!netns::remove_at("/run/netns/a/b").unwrap());
    assert!(!std::path::Path::new("/run/netns/a/b").exists());
    std::fs::write("/run/left-over", "").unwrap();
    assert!(netns::remove_at("/run/left-over").unwrap());
    // `ip netns` sees the same.
    netns::create_at("/run/netns/pod-of-ip").unwrap();
    assert!(host::run("ip", &["netns", "list"]).contains("pod-of-ip"));
}

#[test]
fn a_socket_stays_in_the_namespace_it_was_opened_in() {
    if !host::enter() {
        return;
    }
    let host = Socket::open().unwrap();
    let (pod, inside) = host::pod();
    host.create_link(&LinkSpec::veth(
        "here",
        PeerSpec::new("there").in_netns(&pod),
    ))
    .unwrap();
    pod.run(|| {
        assert!(host.find_link("here").unwrap().is_some());
        assert!(host.find_link("there").unwrap().is_none());
    })
    .unwrap();
    assert!(inside.find_link("there").unwrap().is_some());
}

#[test]
fn a_namespace_has_an_id_only_where_a_link_leads_to_it() {
    if !host::enter() {
        return;
    }
    let host = Socket::open().unwrap();
    let (pod, _) = host::pod();
    assert_eq!(host.namespace_id(&pod).unwrap(), None);
    let veth = host
        .create_link(&LinkSpec::veth("v", PeerSpec::new("e").in_netns(&pod)))
        .unwrap();
    assert_eq!(host.namespace_id(&pod).unwrap(), veth.lower_netns);
    assert!(veth.lower_netns.is_some());
}

/// The example, next to the directory of this test program.
fn example() -> std::path::PathBuf {
    let mut path = std::env::current_exe().expect("/proc is mounted");
    path.pop();
    path.set_file_name("examples");
    path.join("attach")
}

#[test]
fn a_throw_away_host_needs_no_root() {
    let output = match Command::new(example()).uid(65534).gid(65534).output() {
        Ok(output) => output,
        Err(error) => return host::skip(&format!("cannot execute as nobody: {error}")),
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("PermissionDenied") || stderr.contains("errno: 1,") {
        return host::skip(&format!("user namespaces: {stderr}"));
    }
    assert!(output.status.success(), "{stderr}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.starts_with("veth0 is "), "{stdout}");
}

#[test]
fn a_namespace_keeps_its_cookie_and_no_later_one_has_it() {
    if !host::enter() {
        return;
    }
    let cookie_of = |pod: &Netns| Socket::open_in(pod).unwrap().namespace_cookie();
    let Some(own) = Socket::open().unwrap().namespace_cookie() else {
        return host::skip("Linux before 5.14");
    };
    let mut known = vec![own];
    for _ in 0..4 {
        // The inode of one that is gone is soon another's.
        let pod = netns::create_at("/run/netns/again").unwrap();
        let cookie = cookie_of(&pod).unwrap();
        assert_eq!(
            cookie_of(&Netns::open("/run/netns/again").unwrap()),
            Some(cookie)
        );
        assert!(!known.contains(&cookie), "{cookie} in {known:?}");
        known.push(cookie);
        drop(pod);
        netns::remove_at("/run/netns/again").unwrap();
    }
}

#[test]
fn the_namespace_of_a_process_is_its_own_for_as_long_as_it_lives() {
    if !host::enter() {
        return;
    }
    let (pod, _) = host::pod();
    let mut child = pod
        .run(|| {
            Command::new("cat")
                .stdin(std::process::Stdio::piped())
                .spawn()
        })
        .unwrap()
        .unwrap();
    assert!(
        Netns::of_process(child.id())
            .unwrap()
            .is_same(&pod)
            .unwrap()
    );
    child.kill().unwrap();
    child.wait().unwrap();
    for pid in [child.id(), 0, u32::MAX] {
        let error = Netns::of_process(pid).unwrap_err();
        assert!(
            matches!(error, OpenError::NotFound { .. }),
            "{pid}: {error}"
        );
    }
}

#[test]
fn a_namespace_that_cannot_be_prepared_leaves_nothing() {
    if !host::enter() {
        return;
    }
    let path = "/run/netns/new";
    let refused = netns::create_at_with(path, || Socket::open()?.get_link("nosuchlink").map(drop));
    assert!(refused.unwrap_err().is_absent());
    assert!(!std::path::Path::new(path).exists());
    netns::create_at_with(path, || Ok(())).unwrap();
    assert!(Netns::open(path).is_ok());
}
