//! The plugins in a directory: a file for each name, what they replace, and what they answer as.

use crate::{CONF_DIR, NETLOOM, PLUGINS, Words, called, configure, mynet, path};
use netloom_plugins::registry::PLUGINS as PLUGINS_THERE_ARE;
use netloom_testkit::{Call, Host, Outcome, product};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// The names of all plugins, in alphabetical order.
fn plugin_names() -> Vec<&'static str> {
    let usual = PLUGINS_THERE_ARE
        .iter()
        .filter(|plugin| !plugin.is_installed_only_when_asked_for());
    let mut names: Vec<_> = usual.map(|plugin| plugin.name()).collect();
    names.sort_unstable();
    names
}

/// The plugin that a program says it is.
fn answers_as(program: &Path) -> String {
    let about = Call::new(program).run();
    let first = about.stderr.lines().next().unwrap_or_default();
    let words: Vec<_> = first.split_whitespace().collect();
    match words.as_slice() {
        ["CNI", "Plugin", name, ..] | ["CNI", name, "plugin", ..] => (*name).to_owned(),
        _ => panic!("{}: {about}", program.display()),
    }
}

/// What tells that a file was touched: inode, size, time of its content, target as a link.
type Entry = (u64, u64, (i64, i64), Option<PathBuf>);

/// Every name in the directory.
fn listing(dir: &Path) -> BTreeMap<String, Entry> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let it = entry.metadata().unwrap();
        let name = entry.file_name().into_string().unwrap();
        (
            name,
            (
                it.ino(),
                it.len(),
                (it.mtime(), it.mtime_nsec()),
                fs::read_link(entry.path()).ok(),
            ),
        )
    });
    entries.collect()
}

/// The command without symbols, whose twenty copies fit into a host's `/run`, and alone in its
/// directory, so that it installs itself.
const PROGRAM: &str = "/run/bin/netloom";

fn netloom(arguments: &[&str]) -> Call {
    called(Path::new(PROGRAM), arguments)
}

/// A host with nothing installed.
fn bare() -> Option<Host> {
    let host = Host::new()?;
    fs::create_dir_all(CONF_DIR).unwrap();
    fs::create_dir_all("/run/bin").unwrap();
    host.sh(&format!(
        "strip -s -o {PROGRAM} {}",
        product(NETLOOM).display()
    ));
    Some(host)
}

/// A host with every plugin installed.
fn host() -> Option<Host> {
    let host = bare()?;
    install(&[]);
    Some(host)
}

fn run(arguments: &[&str]) -> Outcome {
    netloom(&[arguments, &["--bin-dir", PLUGINS]].concat()).run()
}

fn in_plugins(name: &str) -> PathBuf {
    Path::new(PLUGINS).join(name)
}

fn install(arguments: &[&str]) -> String {
    run(&[&["install"], arguments].concat()).succeeds_with_words()
}

/// Programs that are not ours, under two of the names.
fn with_strangers() -> Option<Host> {
    let host = bare()?;
    fs::create_dir_all(PLUGINS).unwrap();
    fs::write(in_plugins("bridge"), "#!/bin/sh\n# a stranger\n").unwrap();
    symlink("/bin/true", in_plugins("tuning")).unwrap();
    fs::write(in_plugins("weave"), "nothing of ours").unwrap();
    Some(host)
}

#[test]
fn writing_over_a_name_in_any_way_changes_that_name_only() {
    let Some(host) = host() else { return };
    host.sh(
        "printf '#!/bin/sh\\necho other >&2\\n' >/run/other; chmod 755 /run/other; mkdir /run/tar",
    );
    host.sh(&format!("cp -r {PLUGINS} /run/saved"));
    let ways = [
        "cp -f /run/other $P",
        "cat /run/other >$P",
        "dd if=/run/other of=$P conv=notrunc status=none; truncate -s 25 $P",
        "cp /run/other /run/tar/$N; tar -C /run/tar -c $N | tar -C $D -x",
        "cp /run/other $D/next; mv $D/next $P",
        "install -m 755 /run/other $P",
        "rm $P; cp /run/other $P",
    ];
    for name in plugin_names() {
        for way in ways {
            let others = || {
                let mut all = listing(Path::new(PLUGINS));
                all.remove(name).unwrap();
                all
            };
            let before = others();
            host.sh(&format!("N={name} D={PLUGINS} P={PLUGINS}/{name}; {way}"));
            let said = Call::new(in_plugins(name)).run().stderr;
            assert_eq!(said, "other\n", "{way}");
            assert_eq!(others(), before, "{way} over {name}");
            host.sh(&format!(
                "rm {PLUGINS}/{name}; cp /run/saved/{name} {PLUGINS}/{name}"
            ));
        }
    }
    for name in plugin_names() {
        assert_eq!(answers_as(&in_plugins(name)), name);
    }
}

#[test]
fn what_is_copied_moved_or_linked_answers_as_what_it_was_installed_as() {
    let Some(host) = host() else { return };
    host.sh(&format!(
        "cd {PLUGINS}; cp bridge bridge.real; ln -s bridge cnv-bridge; ln bridge hard; \
         cp host-local /run/moved; mv /run/moved /run/static"
    ));
    for name in ["bridge.real", "cnv-bridge", "hard"] {
        assert_eq!(answers_as(&in_plugins(name)), "bridge");
    }
    assert_eq!(answers_as(Path::new("/run/static")), "host-local");

    // And works so.
    let mut conf = mynet("1.0.0");
    conf["type"] = json!("cnv-bridge");
    configure("10-mynet.conf", &conf);
    let pod = host.pod("testing");
    netloom(&["add", "mynet", path(&pod)]).run().succeeds();
    netloom(&["del", "mynet", path(&pod)])
        .run()
        .succeeds_silently();
}

#[test]
fn a_link_by_hand_to_the_blank_program_answers_to_its_name() {
    let Some(_host) = host() else { return };
    symlink(product(NETLOOM), "/run/ptp").unwrap();
    symlink(product(NETLOOM), "/run/static").unwrap();
    assert_eq!(answers_as(Path::new("/run/ptp")), "ptp");
    assert_eq!(answers_as(Path::new("/run/static")), "static");
}

#[test]
fn an_installed_plugin_executes_no_sibling_of_its_build() {
    let Some(host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.0.0"));
    let add = |pod: &str| {
        let trace = host.sh(&format!(
            "ip netns add {pod}; CNI_PATH={PLUGINS} strace -f -qq -e trace=execve {PROGRAM} add mynet \
             /run/netns/{pod} 2>&1 >/dev/null || true"
        ));
        let begun = |name: &str| {
            trace
                .matches(&format!("execve(\"{PLUGINS}/{name}\""))
                .count()
        };
        assert!(begun("bridge") == 1, "{trace}");
        begun("host-local")
    };
    if host.sh("command -v strace || true").is_empty() {
        return netloom_testkit::skip("strace is not installed");
    }
    assert_eq!(add("one"), 0, "in process");
    // Of another name: it is what it was installed as.
    host.sh(&format!("cp -f {PLUGINS}/static {PLUGINS}/host-local"));
    assert_ne!(
        add("two"),
        0,
        "executed, and fails, since static wants addresses"
    );
    // Of another build.
    install(&["host-local", "--force"]);
    assert_eq!(add("three"), 0);
    let mut other = fs::read(in_plugins("host-local")).unwrap();
    let build = stamp_at(&other) + 24;
    other[build] ^= 1;
    fs::remove_file(in_plugins("host-local")).unwrap();
    fs::write(in_plugins("host-local"), other).unwrap();
    host.sh(&format!("chmod 755 {PLUGINS}/host-local"));
    assert_eq!(add("four"), 1);
}

fn stamp_at(content: &[u8]) -> usize {
    let mark = b"\x7fnetloom\0stamp\0";
    let found = content
        .windows(mark.len())
        .step_by(256)
        .position(|it| it == mark);
    found.unwrap() * 256
}

#[test]
fn every_name_is_a_file_of_its_own_that_can_be_executed() {
    let Some(_host) = host() else { return };
    let files = listing(Path::new(PLUGINS));
    let names: Vec<_> = files.keys().filter(|it| *it != ".netloom").collect();
    assert_eq!(names, plugin_names(), "no cnitool unless it is asked for");
    let inodes: std::collections::BTreeSet<_> = files.values().map(|it| it.0).collect();
    assert_eq!(inodes.len(), files.len());
    for name in plugin_names() {
        let it = fs::symlink_metadata(in_plugins(name)).unwrap();
        assert!(
            it.is_file() && it.permissions().mode() & 0o777 == 0o755,
            "{name}"
        );
        assert_eq!(answers_as(&in_plugins(name)), name);
    }
    let kept = fs::read_dir(in_plugins(".netloom")).unwrap();
    let kept: Vec<_> = kept.map(|it| it.unwrap().file_name()).collect();
    assert!(!kept.iter().any(|it| it == "draft"), "{kept:?}");
}

#[test]
fn a_second_install_changes_nothing() {
    let Some(_host) = host() else { return };
    let before = listing(Path::new(PLUGINS));
    assert!(install(&[]).contains("already"));
    assert_eq!(listing(Path::new(PLUGINS)), before);
}

#[test]
fn what_install_replaced_comes_back_by_uninstall() {
    let Some(_host) = with_strangers() else {
        return;
    };
    let before = listing(Path::new(PLUGINS));
    let refused = run(&["install"]);
    refused.fails_with_words(&["(bridge, tuning)", "--force"]);
    assert_eq!(listing(Path::new(PLUGINS)), before);

    install(&["--force"]);
    assert_eq!(answers_as(&in_plugins("bridge")), "bridge");
    // What is there before uninstall is not what the last installation replaced.
    fs::remove_file(in_plugins("vlan")).unwrap();
    install(&[]);

    let told = run(&["uninstall", "--dry-run"]);
    assert!(told.succeeds_with_words().contains("bridge"));
    assert_eq!(answers_as(&in_plugins("vlan")), "vlan");
    let words = run(&["uninstall"]).succeeds_with_words();
    assert!(words.contains("brought back: bridge, tuning"), "{words}");
    assert_eq!(listing(Path::new(PLUGINS)), before);
    let again = run(&["uninstall"]);
    again.fails_with_words(&["no plugin of netloom's"]);
    assert_eq!(listing(Path::new(PLUGINS)), before);
}

#[test]
fn uninstall_leaves_what_somebody_else_put_there_since() {
    let Some(host) = with_strangers() else { return };
    install(&["--force"]);
    host.sh(&format!(
        "cp -f /bin/true {PLUGINS}/flannel; cp -f {PLUGINS}/ptp {PLUGINS}/vrf"
    ));
    let uninstalled = run(&["uninstall"]);
    uninstalled.succeeds_with_words();
    let left: Vec<_> = listing(Path::new(PLUGINS)).into_keys().collect();
    assert_eq!(left, ["bridge", "flannel", "tuning", "vrf", "weave"]);
    assert!(
        uninstalled.stderr.contains("netloom's: flannel"),
        "{uninstalled}"
    );
    assert_eq!(
        answers_as(&in_plugins("vrf")),
        "ptp",
        "a copy that somebody made"
    );
}

#[test]
fn rollback_brings_back_what_the_last_installation_replaced_and_no_more() {
    let Some(_host) = with_strangers() else {
        return;
    };
    let before = listing(Path::new(PLUGINS));
    install(&["--force"]);
    let told = install(&["--rollback", "--dry-run"]);
    assert!(told.contains("bridge"), "{told}");
    assert_eq!(answers_as(&in_plugins("bridge")), "bridge");
    install(&["--rollback"]);
    let mut after = listing(Path::new(PLUGINS));
    after.remove(".netloom");
    assert_eq!(after, before);
    let again = run(&["install", "--rollback"]);
    again.fails_with_words(&["taken back already"]);

    // What somebody put there since is left alone.
    install(&["--force"]);
    fs::write(in_plugins("bridge"), "#!/bin/sh\n# another\n").unwrap();
    let back = run(&["install", "--rollback"]);
    back.succeeds_with_words();
    assert!(back.stderr.contains("netloom's: bridge"), "{back}");
    let bridge = fs::read_to_string(in_plugins("bridge")).unwrap();
    assert_eq!(bridge, "#!/bin/sh\n# another\n");
}

#[test]
fn the_links_of_former_releases_become_files_and_come_back() {
    let Some(_host) = bare() else { return };
    fs::create_dir_all(PLUGINS).unwrap();
    fs::write(in_plugins("netloom-plugins"), "of a former release").unwrap();
    for name in plugin_names() {
        symlink("netloom-plugins", in_plugins(name)).unwrap();
    }
    let before = listing(Path::new(PLUGINS));
    install(&[]);
    for name in plugin_names() {
        assert!(fs::symlink_metadata(in_plugins(name)).unwrap().is_file());
        assert_eq!(answers_as(&in_plugins(name)), name);
    }
    // Links by hand may lead to it.
    symlink(in_plugins("netloom-plugins"), "/run/sbr").unwrap();
    assert_eq!(answers_as(Path::new("/run/sbr")), "sbr");

    install(&["--rollback"]);
    let mut after = listing(Path::new(PLUGINS));
    after.remove(".netloom");
    assert_eq!(after, before);
    run(&["uninstall"]).succeeds_with_words();
    assert_eq!(listing(Path::new(PLUGINS)), BTreeMap::new());
}

#[test]
fn dry_run_tells_and_changes_nothing() {
    let Some(_host) = with_strangers() else {
        return;
    };
    let before = listing(Path::new(PLUGINS));
    let told = install(&["--dry-run", "--force"]);
    assert!(
        told.contains("bridge: would replace another program"),
        "{told}"
    );
    assert!(told.contains("vlan: would be new"), "{told}");
    let refused = run(&["install", "--dry-run"]);
    refused.fails_with_words(&["(bridge, tuning)"]);
    netloom(&["install", "--bin-dir", "/run/none", "--dry-run"])
        .run()
        .succeeds_with_words();
    assert!(!Path::new("/run/none").exists());
    assert_eq!(listing(Path::new(PLUGINS)), before);
}

#[test]
fn names_are_chosen_and_cnitool_and_koko_come_only_by_their_names() {
    let Some(_host) = bare() else { return };
    install(&["cnitool", "koko", "loopback"]);
    let names: Vec<_> = listing(Path::new(PLUGINS)).into_keys().collect();
    assert_eq!(names, [".netloom", "cnitool", "koko", "loopback"]);
    // It answers as cnitool under another name too.
    fs::rename(in_plugins("cnitool"), "/run/tool").unwrap();
    let help = called(Path::new("/run/tool"), &["--help"]).run();
    assert!(help.is_success(), "{help}");
    fs::rename(in_plugins("koko"), "/run/links").unwrap();
    let version = called(Path::new("/run/links"), &["-v"]).run();
    assert!(version.stdout.starts_with("koko of netloom"), "{version}");
    let unknown = run(&["install", "frobnicate"]);
    unknown.fails_with_words(&["frobnicate", "loopback", "cnitool and koko"]);
}

#[test]
fn an_installation_that_fails_takes_back_what_it_wrote() {
    let Some(host) = bare() else { return };
    // Room for a few of the files.
    host.sh(&format!(
        "mkdir {PLUGINS}; mount -t tmpfs -o size=64m tmpfs {PLUGINS}"
    ));
    fs::write(in_plugins("bandwidth"), "a stranger").unwrap();
    let before = listing(Path::new(PLUGINS));
    let failed = run(&["install", "--force"]);
    failed.fails_with_words(&["No space left on device", "install /run/plugins/"]);
    let mut after = listing(Path::new(PLUGINS));
    after.remove(".netloom");
    assert_eq!(after, before);
}

#[test]
fn a_directory_in_the_place_of_a_plugin_is_named_before_anything_is_done() {
    let Some(_host) = with_strangers() else {
        return;
    };
    fs::create_dir(in_plugins("vlan")).unwrap();
    let before = listing(Path::new(PLUGINS));
    let failed = run(&["install", "--force"]);
    failed.fails_with_words(&["/run/plugins/vlan is a directory"]);
    assert_eq!(listing(Path::new(PLUGINS)), before);
}

#[test]
fn doctor_tells_which_name_answers_as_something_else() {
    let Some(host) = host() else { return };
    let doctor = || netloom(&["doctor"]).run();
    doctor().succeeds_silently();
    host.sh(&format!(
        "cp -f {PLUGINS}/flannel {PLUGINS}/tuning; cp {PLUGINS}/bridge {PLUGINS}/cnv-bridge"
    ));
    let told = doctor();
    assert_eq!(told.code(), Some(1), "{told}");
    assert!(
        told.stdout
            .contains("/run/plugins/tuning answers as flannel"),
        "{told}"
    );
    assert_eq!(told.stdout.lines().count(), 2, "{told}");
    // Its command mends it.
    install(&["--force", "tuning"]);
    doctor().succeeds_silently();

    let mut other = fs::read(in_plugins("ptp")).unwrap();
    let build = stamp_at(&other) + 24;
    other[build] ^= 1;
    fs::write(in_plugins("ptp"), other).unwrap();
    let told = doctor();
    assert!(told.stdout.contains("several builds"), "{told}");
    install(&[]);
    doctor().succeeds_silently();
}
