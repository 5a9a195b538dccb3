//! Pods of an ordinary user: in a host of the user's own, which ends with the last of them.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use netloom_testkit::{Call, Host, Outcome, link_plugins, product, skip};

use crate::{CONF_DIR, NETLOOM, busybox_root, configure, mynet, succeeds};

/// Nobody in particular, whom no file gives more ids.
const USER: u32 = 61500;
const RUNTIME: &str = "/run/user/61500";

/// A user, with programs that it may execute, on a host with a world outside.
struct User {
    host: Host,
    dir: tempfile::TempDir,
}

impl User {
    fn new() -> Option<Self> {
        let host = Host::new()?;
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = dir.path().join("netloom");
        fs::copy(product(NETLOOM), &program).unwrap();
        link_plugins(NETLOOM, dir.path().join("plugins"));
        for owned in [Path::new(RUNTIME), &dir.path().join("data")] {
            fs::create_dir_all(owned).unwrap();
            chown(owned, Some(USER), Some(USER)).unwrap();
        }
        fs::create_dir_all(CONF_DIR).unwrap();
        configure("10-mynet.conflist", &mynet());
        // Here the device may be root's alone; elsewhere it is everybody's.
        host.sh("mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200");
        host.sh(
            "ip link add up0 type veth peer name out0; ip link set up0 up; ip link set out0 up",
        );
        host.sh("ip addr add 203.0.113.2/24 dev up0; ip route add default via 203.0.113.1");
        Some(Self { host, dir })
    }

    fn calls(&self, arguments: &[&str]) -> Outcome {
        self.call(arguments).run()
    }

    fn call(&self, arguments: &[&str]) -> Call {
        let id = USER.to_string();
        let call = Call::new("setpriv")
            .arg("--reuid")
            .arg(&id)
            .arg("--regid")
            .arg(&id);
        let call = call.arg("--clear-groups").arg("--");
        let call = call.arg(self.dir.path().join("netloom"));
        let call = arguments.iter().fold(call, |call, it| call.arg(it));
        let (plugins, data) = (
            self.dir.path().join("plugins"),
            self.dir.path().join("data"),
        );
        call.env("XDG_RUNTIME_DIR", RUNTIME)
            .env("XDG_DATA_HOME", &*data.to_string_lossy())
            .env("CNI_PATH", &*plugins.to_string_lossy())
    }

    fn has(&self, name: &str) -> bool {
        Path::new(RUNTIME).join("netloom").join(name).exists()
    }

    /// The keeper's number, if there is one.
    fn keeper(&self) -> Option<i32> {
        let text = fs::read_to_string(format!("{RUNTIME}/netloom/keeper")).ok()?;
        let keeper: serde_json::Value = serde_json::from_str(&text).unwrap();
        keeper["pid"].as_i64()?.try_into().ok()
    }

    /// Waits until the last keeper has ended.
    fn is_alone(&self) {
        let Some(keeper) = self.keeper() else { return };
        if let Some(fd) =
            Pid::from_raw(keeper).and_then(|it| pidfd_open(it, PidfdFlags::empty()).ok())
        {
            poll(&mut [PollFd::new(&fd, PollFlags::IN)], None).unwrap();
        }
        assert!(!self.has("keeper"), "it ends by itself");
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // After a failure: all that is the user's ends with the keeper.
        if let Some(keeper) = self.keeper().and_then(Pid::from_raw) {
            let _ = kill_process(keeper, Signal::KILL);
        }
    }
}

#[test]
fn pods_of_a_user_without_root_reach_each_other_and_end_with_all_that_was_made() {
    let Some(user) = User::new() else { return };
    let links = user.host.sh("ip -br link");
    let id = succeeds(&user.calls(&[
        "run", "-d", "--name", "one", "--net", "mynet", "sleep", "1000",
    ]));
    assert!(user.has("keeper"));
    let reached = user.calls(&["run", "--rm", "--net", "mynet", "ping", "-c1", "-W5", "one"]);
    assert!(reached.is_success(), "{reached}");
    let inside = user.calls(&["exec", "one", "id", "-u"]);
    assert_eq!(succeeds(&inside), "0");
    assert!(succeeds(&user.calls(&["ps"])).contains(&id[..8]));
    assert_eq!(
        user.calls(&["run", "--rm", "sh", "-c", "exit 7"]).code(),
        Some(7)
    );
    for (needs_root, words) in [
        (&["run", "--runtime", "runc", "true"][..], "--runtime"),
        (&["docker-run", "box", "true"], "docker-run needs root"),
    ] {
        let refused = user.calls(needs_root);
        assert_eq!(refused.code(), Some(125), "{refused}");
        assert!(refused.stderr.contains(words), "{refused}");
    }
    // What is root's stays so.
    let denied = user.calls(&[
        "run",
        "--rm",
        "sh",
        "-c",
        "echo x > /etc/x || echo x > /usr/x",
    ]);
    assert!(!denied.is_success(), "{denied}");
    succeeds(&user.calls(&["rm", "-f", "one"]));
    user.is_alone();
    // What a pod said outlives the host that it was the last of.
    let said = succeeds(&user.calls(&["run", "-d", "--net", "mynet", "echo", "words"]));
    assert_eq!(succeeds(&user.calls(&["wait", &said])), "0");
    user.is_alone();
    assert_eq!(succeeds(&user.calls(&["logs", &said])), "words");
    succeeds(&user.calls(&["rm", &said]));
    user.is_alone();
    assert_eq!(user.host.sh("ip -br link"), links);
}

#[test]
fn a_directory_that_others_may_write_to_is_refused() {
    let Some(user) = User::new() else { return };
    let dir = Path::new(RUNTIME).join("netloom");
    fs::create_dir(&dir).unwrap();
    for (owner, mode) in [(USER, 0o777), (0, 0o700)] {
        chown(&dir, Some(owner), Some(owner)).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
        let refused = user.calls(&["run", "--rm", "true"]);
        assert_eq!(refused.code(), Some(125), "{refused}");
        assert!(refused.stderr.contains("only its owner"), "{refused}");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
    }
}

#[test]
fn a_killed_keeper_takes_all_pods_of_its_user_along() {
    let Some(user) = User::new() else { return };
    let id = succeeds(&user.calls(&["run", "-d", "--net", "mynet", "sleep", "1000"]));
    crate::kill(user.keeper().unwrap().try_into().unwrap());
    let shown = user.calls(&["ps", "-a"]);
    assert!(shown.stderr.contains("shim was killed"), "{shown}");
    assert!(shown.stdout.contains("exited (137)"), "{shown}");
    succeeds(&user.calls(&["rm", &id]));
    assert_eq!(succeeds(&user.calls(&["ps", "-a", "-q"])), "");
    user.is_alone();
}

#[test]
fn a_user_without_root_publishes_ports_and_gets_out_by_slirp4netns() {
    let Some(user) = User::new() else { return };
    if !Path::new("/usr/bin/slirp4netns").exists() {
        return skip("no slirp4netns: install Debian's package slirp4netns");
    }
    let serve =
        "mkdir /tmp/w; echo page > /tmp/w/index.html; exec busybox httpd -f -p 80 -h /tmp/w";
    let id = succeeds(&user.calls(&[
        "run",
        "-d",
        "--net",
        "mynet",
        "-p",
        "127.0.0.1:8080:80",
        "sh",
        "-c",
        serve,
    ]));
    let page = (0..500).find_map(|_| {
        let mut page = String::new();
        // The server may not listen yet, of which nobody tells: each try asks the host once more.
        user.calls(&["ps"]);
        let mut stream = TcpStream::connect("127.0.0.1:8080").ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
        stream.read_to_string(&mut page).ok()?;
        page.ends_with("page\n").then_some(page)
    });
    assert!(page.is_some(), "the port leads nowhere");
    let taken = user.calls(&["run", "-p", "8080:80", "--net", "mynet", "true"]);
    assert_eq!(taken.code(), Some(125), "{taken}");
    let low = user.calls(&["run", "-p", "80:80", "--net", "mynet", "true"]);
    assert!(low.stderr.contains("below 1024"), "{low}");
    // The port is free again, as long as the host lasts.
    let other = succeeds(&user.calls(&["run", "-d", "sleep", "1000"]));
    succeeds(&user.calls(&["rm", "-f", &id]));
    let again = user.calls(&["run", "--rm", "-p", "8080:80", "--net", "mynet", "true"]);
    assert!(again.is_success(), "{again}");
    succeeds(&user.calls(&["rm", "-f", &other]));
    let listener = std::net::TcpListener::bind("203.0.113.2:9000").unwrap();
    let outward = std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"hello\n").unwrap();
        });
        user.calls(&[
            "run",
            "--rm",
            "--net",
            "mynet",
            "busybox",
            "nc",
            "203.0.113.2",
            "9000",
        ])
    });
    assert_eq!(succeeds(&outward), "hello");
    user.is_alone();
}

/// The gateway is the real one, and not what listens on the real host's loopback.
#[test]
fn a_user_without_root_gets_out_by_pasta_and_not_to_the_host_s_loopback() {
    let Some(user) = User::new() else { return };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<_> = std::env::split_paths(&path).collect();
    let mut all = dirs.iter().map(|dir| dir.join("pasta"));
    let Some(pasta) = all.find(|it| it.exists()) else {
        return skip("no pasta: install Debian's package passt");
    };
    // slirp4netns comes first where both are.
    let only = user.dir.path().join("only");
    fs::create_dir(&only).unwrap();
    std::os::unix::fs::symlink(pasta, only.join("pasta")).unwrap();
    std::os::unix::fs::symlink("/usr/bin/setpriv", only.join("setpriv")).unwrap();
    user.host.sh(
        "ip netns add outside; ip link set out0 netns outside; ip -n outside link set lo up; \
         ip -n outside addr add 203.0.113.1/24 dev out0; ip -n outside link set out0 up; \
         ip netns exec outside setsid busybox nc -ll -p 9000 -e echo hello > /dev/null 2>&1 & \
         until busybox nc -w 1 203.0.113.1 9000 < /dev/null 2> /dev/null; do :; done",
    );
    let inner = std::net::TcpListener::bind("127.0.0.1:9001").unwrap();
    inner.set_nonblocking(true).unwrap();
    // Not nc: it half closes when its input ends, and Debian 12's pasta forgets to tell the end of
    // an answer that meets a half-close.
    let get = |port| format!("bash -c 'cat < /dev/tcp/203.0.113.1/{port}'");
    let line = &format!(
        "timeout 9 {}; timeout 3 {} || echo refused",
        get(9000),
        get(9001)
    );
    let call = user.call(&["run", "--rm", "--net", "mynet", "--", "sh", "-c", line]);
    let shown = call.env("PATH", &only).run();
    user.host.sh("kill $(ip netns pids outside)");
    assert_eq!(succeeds(&shown), "hello\nrefused");
    assert!(inner.accept().is_err(), "the host's loopback was reached");
    user.is_alone();
}

#[test]
fn an_image_of_layers_with_whiteouts_runs_without_root() {
    let Some(user) = User::new() else { return };
    let Some(root) = busybox_root("root") else {
        return;
    };
    let archive = archive(&user.host, &root, user.dir.path());
    let loaded = user.calls(&["image", "load", archive.to_str().unwrap()]);
    assert!(succeeds(&loaded).contains("box:1"), "{loaded}");
    let line = "ls /etc /opaque; echo x > /etc/new && cat /etc/new";
    let shown = user.calls(&["run", "--rm", "docker://box:1", "sh", "-c", line]);
    let shown = succeeds(&shown);
    assert!(!shown.contains("gone"), "{shown}");
    assert!(!shown.contains("below"), "{shown}");
    assert!(shown.contains("above"), "{shown}");
    assert!(shown.ends_with("\nx"), "{shown}");
    let other = user.calls(&["run", "--rm", "-u", "33", "docker://box:1", "true"]);
    assert_eq!(other.code(), Some(125), "{other}");
    assert!(other.stderr.contains("/etc/subuid"), "{other}");
    user.is_alone();
}

/// As docker saves an image of two layers, of which the upper one removes what the lower one has.
fn archive(host: &Host, root: &Path, to: &Path) -> PathBuf {
    let archive = to.join("box.tar");
    let (root, file) = (root.display(), archive.display());
    host.sh(&format!(
        "cd /run && mkdir -p image up/etc up/opaque {root}/opaque && touch {root}/etc/gone {root}/opaque/below \
         up/etc/.wh.gone up/opaque/.wh..wh..opq up/opaque/above && \
         tar cf image/1.tar -C {root} . && tar cf image/2.tar -C up . && cd image && \
         echo '[{{\"Config\":\"c.json\",\"RepoTags\":[\"box:1\"],\"Layers\":[\"1.tar\",\"2.tar\"]}}]' > manifest.json && \
         echo \"{{\\\"rootfs\\\":{{\\\"diff_ids\\\":[\\\"sha256:$(sha256sum < 1.tar | cut -c1-64)\\\",\
         \\\"sha256:$(sha256sum < 2.tar | cut -c1-64)\\\"]}}}}\" > c.json && tar cf {file} *"
    ));
    archive
}
