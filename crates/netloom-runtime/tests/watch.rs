//! Directories that are watched: configurations and namespaces.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use netloom_runtime::netns::{self, Change};
use netloom_runtime::{CachedAttachment, RuntimeConf, load};

/// Long enough for a loaded machine; nothing here waits for it unless it fails.
const SOON: Option<Duration> = Some(Duration::from_secs(20));
const NOW: Option<Duration> = Some(Duration::ZERO);

fn put(dir: &Path, file: &str, name: &str) {
    let list = format!(r#"{{"cniVersion":"1.1.0","name":"{name}","plugins":[{{"type":"t"}}]}}"#);
    fs::write(dir.join("draft"), list).unwrap();
    fs::rename(dir.join("draft"), dir.join(file)).unwrap();
}

fn names(watcher: &load::Watcher) -> Vec<&str> {
    let networks = watcher.current().networks.iter();
    networks.map(|it| it.list.name.as_str()).collect()
}

#[test]
fn configurations_that_come_change_and_go_are_noticed() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("cni/net.d");
    let mut watcher = load::Watcher::new(&dir).unwrap();
    assert!(!watcher.wait(NOW).unwrap());
    // The directory itself comes later, and in two steps.
    fs::create_dir_all(&dir).unwrap();
    put(&dir, "10-a.conflist", "a");
    assert!(watcher.wait(SOON).unwrap());
    assert_eq!(names(&watcher), ["a"]);
    // Written anew, and the same: no change.
    put(&dir, "10-a.conflist", "a");
    assert!(!watcher.wait(NOW).unwrap());
    put(&dir, "20-b.conflist", "b");
    assert!(watcher.wait(SOON).unwrap());
    assert_eq!(names(&watcher), ["a", "b"]);
    fs::remove_file(dir.join("10-a.conflist")).unwrap();
    assert!(watcher.wait(SOON).unwrap());
    assert_eq!(names(&watcher), ["b"]);
    fs::write(dir.join("20-b.conflist"), "{").unwrap();
    while watcher.current().problems.is_empty() {
        assert!(watcher.wait(SOON).unwrap());
    }
    assert_eq!(names(&watcher), [""; 0]);
    fs::remove_dir_all(&dir).unwrap();
    assert!(watcher.wait(SOON).unwrap());
    fs::create_dir_all(&dir).unwrap();
    put(&dir, "10-c.conflist", "c");
    assert!(watcher.wait(SOON).unwrap());
    assert_eq!(names(&watcher), ["c"]);
}

#[test]
fn namespaces_that_come_and_go_are_noticed() {
    // Its own mount namespace is this thread's alone.
    if let Err(error) = netloom_kernel::unshare::host(netloom_kernel::unshare::Isolation {
        user: netloom_kernel::unshare::needs_user_namespace(),
        mounts: true,
        uts: false,
    }) {
        return netloom_testkit::skip(&format!("needs namespaces of its own: {error}"));
    }
    netloom_kernel::unshare::mount_tmpfs("/run").unwrap();
    let dir = Path::new("/run/netns");
    let (a, b) = (dir.join("a"), dir.join("b"));
    let mut watcher = netns::Watcher::new(dir).unwrap();
    netns::create(&a).unwrap();
    assert_eq!(watcher.wait(SOON).unwrap(), [Change::Appeared(a.clone())]);
    assert_eq!(watcher.wait(NOW).unwrap(), []);
    netns::create(&b).unwrap();
    netns::remove(&a).unwrap();
    netns::create(&a).unwrap();
    let changes = watcher.wait(SOON).unwrap();
    let expected = [
        Change::Gone(a.clone()),
        Change::Appeared(a.clone()),
        Change::Appeared(b.clone()),
    ];
    assert_eq!(changes, expected);
    assert_eq!(watcher.paths().collect::<Vec<_>>(), [&a, &b]);
    netns::remove(&b).unwrap();
    assert_eq!(watcher.wait(SOON).unwrap(), [Change::Gone(b)]);
}

#[test]
fn attachments_and_what_a_runtime_says_are_read_as_they_were_written() {
    let rt = RuntimeConf::new("c1", "/run/netns/c1", "eth0")
        .arg("K", "v")
        .capability("mac", "0a:00:00:00:00:01");
    let json = serde_json::to_value(&rt).unwrap();
    assert_eq!(json["containerId"], "c1");
    assert_eq!(serde_json::from_value::<RuntimeConf>(json).unwrap(), rt);
    let attachment = CachedAttachment {
        network: "net".into(),
        container_id: "c1".into(),
        if_name: "eth0".into(),
        config: b"{}".to_vec(),
        netns: rt.netns,
        args: rt.args,
        capability_args: rt.capability_args,
        is_of_earlier_boot: false,
    };
    let json = serde_json::to_value(&attachment).unwrap();
    assert_eq!(
        (&json["networkName"], &json["config"]),
        (&"net".into(), &"e30=".into())
    );
    let again = serde_json::from_value::<CachedAttachment>(json).unwrap();
    assert_eq!(again, attachment);
}
