//! Faults strike where they should, and the harness sees what they leave behind.

use netloom_testkit::{
    Call, Faults, Host, Plugin, Scene, Trace, assert_del_completes, assert_no_residue, peak_memory,
};
use serde_json::json;

/// A program that writes two files one after the other and says so, or removes what it did.
const SCRIPT: &str = r#"read line
trap '[ $done ] || { [ "$CAREFUL" ] && rm -f /run/first /run/second; echo "{\"code\": 5, \"msg\": \"x\"}"; exit 1; }' EXIT
[ "$CNI_COMMAND" = DEL ] && { rm -f /run/first /run/second; done=1; exit 0; }
/usr/bin/install -m 644 /etc/hostname /run/first || exit 1
echo 1 > /run/second || exit 1
echo '{}' || exit 1
done=1
"#;

fn script(command: &str) -> Call {
    let call = Call::new("/bin/sh").arg("-c").arg(SCRIPT).stdin("{}\n");
    call.env("CNI_COMMAND", command)
}

fn find(faults: &Faults, name: &str, words: &str) -> Option<usize> {
    let found = |point: &netloom_testkit::Point| point.name == name && point.text.contains(words);
    faults.list().iter().position(found)
}

fn position(faults: &Faults, name: &str, words: &str) -> usize {
    let position = find(faults, name, words);
    position.unwrap_or_else(|| panic!("no {name} with {words} in {:#?}", faults.list()))
}

#[test]
fn the_chosen_system_call_fails_and_only_that() {
    let Some(host) = Host::new() else { return };
    let Some(faults) = Faults::points(&script("ADD")) else {
        return;
    };
    host.sh("rm /run/first /run/second");
    let k = position(&faults, "openat", "/run/second");
    assert!(faults.list()[k].may_fail && faults.list()[k].may_change);
    let struck = faults.fail_at(k, "ENOSPC");
    assert!(
        struck.hit && struck.outcome.stderr.contains("No space left"),
        "{struck:?}"
    );
    assert_eq!(
        host.sh("ls /run/first /run/second 2>&1 || true")
            .matches("No such")
            .count(),
        1
    );
}

#[test]
fn a_killed_program_got_no_further_than_the_point() {
    let Some(host) = Host::new() else { return };
    let Some(faults) = Faults::points(&script("ADD")) else {
        return;
    };
    host.sh("rm /run/first /run/second");
    let k = position(&faults, "openat", "/run/second");
    let struck = faults.kill_at(k);
    assert!(struck.hit && struck.outcome.code().is_none(), "{struck:?}");
    host.sh("test -e /run/first && ! test -e /run/second");
}

#[test]
fn the_start_up_of_the_loader_is_no_point_to_fail() {
    let Some(_host) = Host::new() else { return };
    let Some(faults) = Faults::points(&script("ADD")) else {
        return;
    };
    let early = position(&faults, "openat", "/etc/ld.so.cache");
    assert!(faults.fallible().all(|k| k > early));
    assert!(!faults.mortal().any(|k| k == early));
    assert!(faults.fallible().count() > 5);
}

#[test]
fn a_fault_can_be_put_into_a_child() {
    let Some(host) = Host::new() else { return };
    let call = script("ADD");
    let bare = Call::new("/bin/sh")
        .arg("-c")
        .arg("read x; install /etc/hostname /run/first");
    let bare = bare.stdin("{}\n");
    let Some(faults) = Faults::points_within(&bare, "install") else {
        return;
    };
    host.sh("test -s /run/first && rm /run/first");
    let k = position(&faults, "openat", "/run/first\", O_WRONLY");
    let struck = faults.fail_at(k, "EROFS");
    assert!(
        struck.hit && struck.outcome.stderr.contains("Read-only"),
        "{struck:?}"
    );
    // The parent's system calls are none of the child's, and the reverse.
    let outer = Faults::points(&call).unwrap();
    assert!(
        !outer
            .list()
            .iter()
            .any(|point| point.text.contains("/run/first\", O_"))
    );
}

#[test]
fn the_harness_tells_the_careless_from_the_careful() {
    let scene = |careful: &'static str| {
        move || {
            let host = Host::new()?;
            let add = script("ADD").env("CAREFUL", careful);
            Some(Scene {
                pods: vec![],
                host,
                add,
                del: script("DEL"),
                bridges: vec![],
            })
        }
    };
    let Some(tally) = assert_no_residue("careful", None, scene("1")) else {
        return;
    };
    assert!(tally.has_points(5, 3) && tally.missed == 0, "{tally}");
    let careless = std::panic::catch_unwind(|| assert_no_residue("careless", None, scene("")));
    let message = careless.unwrap_err();
    let message = message.downcast_ref::<String>().unwrap();
    assert!(message.contains("+ host: file /run/first"), "{message}");
    assert!(message.contains("after the failed ADD"), "{message}");
    let tally = assert_del_completes("DEL", scene("1")).unwrap();
    assert!(tally.has_points(1, 1), "{tally}");
    // `cat` deletes nothing, and says that it did.
    let lying = || {
        let scene = scene("1")()?;
        let del = Call::new("/bin/cat").stdin("");
        Some(Scene { del, ..scene })
    };
    let lying = std::panic::catch_unwind(|| assert_del_completes("lying DEL", lying));
    let message = lying.unwrap_err();
    let message = message.downcast_ref::<String>().unwrap();
    assert!(message.contains("+ host: file /run/first"), "{message}");
}

/// Go moves work from thread to thread, and strace counts in each: a fault is not certain to hit.
const ATTEMPTS: usize = 20;

#[test]
fn debians_host_local_fails_and_dies_where_told() {
    let conf = json!({
        "cniVersion": "1.0.0", "name": "net", "type": "bridge",
        "ipam": {"type": "host-local", "subnet": "10.9.0.0/24"}
    });
    let lease = "/var/lib/cni/networks/net/10.9.0.2";
    for kill in [false, true] {
        let hit = (0..ATTEMPTS).any(|_| {
            let Some(host) = Host::new() else { return true };
            let Some(plugin) = Plugin::debian("host-local") else {
                return true;
            };
            let pod = host.pod("one");
            let add = plugin.call("ADD", &conf).pod(&pod).env("GOMAXPROCS", "1");
            let Some(faults) = Faults::points(&add) else {
                return true;
            };
            plugin.del(&conf, &pod).succeeds();
            host.sh("rm -r /var/lib/cni/networks");
            // Go may make the call in a thread that strace writes of elsewhere.
            let Some(k) = find(&faults, "openat", lease) else {
                return false;
            };
            let struck = if kill {
                faults.kill_at(k)
            } else {
                faults.fail_at(k, "EROFS")
            };
            let struck_here = !std::path::Path::new(lease).exists();
            if !struck.hit || !struck_here {
                return false;
            }
            if !kill {
                struck.outcome.fails().names(&["read-only file system"]);
            }
            plugin.add(&conf, &pod).succeeds();
            true
        });
        assert!(hit, "no fault hit in {ATTEMPTS} attempts");
    }
}

#[test]
fn executions_and_sleeps_are_counted() {
    let quiet = Call::new("/bin/true");
    let Some(trace) = Trace::of(&quiet) else {
        return;
    };
    assert_eq!(trace.calls[0].name, "execve");
    assert!(trace.executions().is_empty() && trace.sleeps().is_empty());
    assert_eq!(trace.count("exit_group"), 1);
    let busy = Call::new("/bin/sh")
        .arg("-c")
        .arg("sleep 0.01; /bin/true; exit 3");
    let trace = Trace::of(&busy).unwrap();
    assert_eq!(trace.executions().len(), 2);
    assert_eq!(trace.sleeps().len(), 1);
    assert_eq!(trace.outcome.code(), Some(3));
}

#[test]
fn peak_memory_is_that_of_the_program() {
    let Some((small, outcome)) = peak_memory(&Call::new("/bin/true")) else {
        return;
    };
    assert!(outcome.is_success());
    assert!((100..6000).contains(&small), "{small} KiB");
    let large = Call::new("/usr/bin/head")
        .arg("-c")
        .arg("20000000")
        .arg("/dev/zero");
    let tail = Call::new("/usr/bin/tail")
        .arg("-c")
        .arg("20000000")
        .stdin(large.run().stdout);
    let (large, _) = peak_memory(&tail).unwrap();
    assert!(large > 20_000, "{large} KiB");
}
