//! What a call may cost: the size of the program, memory, programs executed, time slept away.

use std::path::{Path, PathBuf};

use netloom_testkit::{Call, Host, Plugin, PluginDir, Pod, Trace, peak_memory, probe, skip};
use serde_json::{Value, json};

/// The binary of this test's own build.
const PROGRAM: &str = env!("CARGO_BIN_EXE_netloom-plugins");
/// Bytes; 3.5 MB.
const MOST_BYTES: u64 = 3_500_000;
/// KiB; 6 MB.
const MOST_MEMORY: u64 = 6_000_000 / 1024;

fn conf(backend: &str) -> Value {
    json!({
        "cniVersion": "1.1.0", "name": "net", "type": "bridge", "bridge": "br0",
        "isDefaultGateway": true, "ipMasq": true, "ipMasqBackend": backend, "hairpinMode": true,
        "macspoofchk": true,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": "10.1.0.0/16"}], [{"subnet": "fd00:1::/64"}]],
        }
    })
}

/// The release build beside this one's, as `cargo xtask dist` leaves it; `None` if there is none
/// that is as new as this one.
fn release() -> Option<PathBuf> {
    if !cfg!(debug_assertions) {
        return Some(PROGRAM.into());
    }
    let target = Path::new(PROGRAM).ancestors().nth(2)?;
    let modified = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    let own = modified(Path::new(PROGRAM));
    let directories = std::fs::read_dir(target).ok()?.flatten();
    let directories = directories.flat_map(|entry| [entry.path(), entry.path().join("release")]);
    directories
        .filter(|directory| directory.ends_with("release"))
        .map(|directory| directory.join("netloom-plugins"))
        .filter(|program| modified(program) >= own && own.is_some())
        .max_by_key(|program| modified(program))
}

#[test]
fn the_release_binary_is_under_two_and_a_half_megabytes() {
    let Some(path) = release() else {
        return skip("no new release build to look at: cargo xtask dist makes one");
    };
    let bytes = path.metadata().map_or(0, |file| file.len());
    println!("{}: {bytes} bytes", path.display());
    assert!(bytes < MOST_BYTES, "{} has {bytes} bytes", path.display());
}

/// The program whose memory is measured, and KiB that it may take: the promise holds for a
/// release; a debug build carries a heavier program.
fn measured() -> (PathBuf, u64) {
    match release() {
        Some(path) => (path, MOST_MEMORY),
        None => (PROGRAM.into(), 2 * MOST_MEMORY),
    }
}

/// Asserts success and a peak of resident memory under `most` KiB.
#[track_caller]
fn is_modest(what: &str, call: &Call, most: u64) {
    let Some((kib, outcome)) = peak_memory(call) else {
        return;
    };
    outcome.succeeds();
    println!("{what}: {kib} KiB");
    assert!(kib < most, "{what} takes {kib} KiB, more than {most}");
}

#[test]
fn add_and_del_take_less_than_six_megabytes_of_memory() {
    let Some(host) = Host::new() else { return };
    let (program, most) = measured();
    let plugins = PluginDir::of(program);
    let pod = host.pod("one");
    let bridge = Plugin::ours(&plugins, "bridge");
    for name in ["ADD", "DEL"] {
        is_modest(name, &bridge.call(name, &conf("nftables")).pod(&pod), most);
    }
}

#[test]
fn memory_does_not_grow_with_the_pool() {
    let Some(host) = Host::new() else { return };
    let (program, most) = measured();
    let plugins = PluginDir::of(program);
    let host_local = Plugin::ours(&plugins, "host-local");
    host.sh(
        "mkdir -p /var/lib/cni/networks/net; cd /var/lib/cni/networks/net
         for a in $(seq 1 78); do for b in $(seq 0 255); do
            printf 'id-%s-%s\\r\\neth0' $a $b > 10.1.$a.$b; done; done",
    );
    // The first call reads what another program has written, all of it, and that once.
    let (first, second) = (host.pod("one"), host.pod("two"));
    host_local.add(&conf("nftables"), &first).succeeds();
    for name in ["ADD", "DEL"] {
        let call = host_local.call(name, &conf("nftables")).pod(&second);
        is_modest(&format!("{name} beside 20,000 others"), &call, most);
    }
}

/// Every command as a runtime gives it to a pod of its own, in order. ADD must be made for the
/// others to have something to do, so each call is made when it is asked for.
fn all_commands(
    plugin: &Plugin,
    conf: &Value,
    pod: &Pod,
    look: &mut dyn FnMut(&str, &Call) -> Value,
) {
    let added = look("ADD", &plugin.call("ADD", conf).pod(pod));
    let mut told = conf.clone();
    told["prevResult"] = added;
    look("CHECK", &plugin.call("CHECK", &told).pod(pod));
    let mut valid = conf.clone();
    valid["cni.dev/valid-attachments"] =
        json!([{"containerID": pod.container_id(), "ifname": "eth0"}]);
    look("GC", &plugin.call("GC", &valid));
    look("STATUS", &plugin.call("STATUS", conf));
    look("DEL", &plugin.call("DEL", &told).pod(pod));
    look("VERSION", &plugin.call("VERSION", conf));
}

#[test]
fn no_command_executes_a_program_or_sleeps() {
    if !probe::has_program("strace") {
        return skip("no program strace");
    }
    let Some(host) = Host::new() else { return };
    let plugins = PluginDir::of(PROGRAM);
    // The second pod finds everything there; the first makes it.
    for pod in [host.pod("first"), host.pod("second")] {
        for name in ["bridge", "host-local", "loopback"] {
            let plugin = Plugin::ours(&plugins, name);
            all_commands(&plugin, &conf("nftables"), &pod, &mut |command, call| {
                let Some(trace) = Trace::of(call) else {
                    return Value::Null;
                };
                let result = trace.outcome.succeeds();
                println!("{name} {command}: {} system calls", trace.calls.len());
                assert!(
                    trace.executions().is_empty(),
                    "{name} {command}: {:#?}",
                    trace.executions()
                );
                assert!(
                    trace.sleeps().is_empty(),
                    "{name} {command}: {:#?}",
                    trace.sleeps()
                );
                result
            });
        }
    }
}

#[test]
fn an_iptables_masquerade_is_one_transaction_for_each_family() {
    if !probe::has_program("strace") {
        return skip("no program strace");
    }
    let Some(host) = Host::new() else { return };
    if !probe::has_iptables() {
        return skip("no iptables on this machine");
    }
    let plugins = PluginDir::of(PROGRAM);
    let bridge = Plugin::ours(&plugins, "bridge");
    let pod = host.pod("one");
    let call = bridge.call("ADD", &conf("iptables")).pod(&pod);
    let Some(trace) = Trace::of(&call) else {
        return;
    };
    trace.outcome.succeeds();
    let mut executed: Vec<&str> = trace
        .executions()
        .iter()
        .filter(|call| !call.text.contains("= -1 ENOENT"))
        .filter_map(|call| call.text.split('"').nth(1))
        .filter_map(|program| program.rsplit('/').next())
        .collect();
    executed.sort_unstable();
    assert_eq!(executed, ["ip6tables-restore", "iptables-restore"]);
    assert!(trace.sleeps().is_empty(), "{:#?}", trace.sleeps());
}
