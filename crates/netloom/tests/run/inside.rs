//! What a pod sees of its host, and what it may: looked at from inside.

use std::fs::File;
use std::os::fd::AsRawFd;

use netloom_testkit::{Call, product};

use crate::{NETLOOM, busybox_root, host, run, succeeds};

fn inside(arguments: &[&str], line: &str) -> String {
    let all = [&["--rm"], arguments, &["--", "sh", "-c", line]].concat();
    succeeds(&run(&all))
}

#[test]
fn privileges_are_the_list_and_none_comes_back() {
    let Some(_host) = host() else { return };
    let status = inside(
        &[],
        "grep -E 'NoNewPrivs|Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status",
    );
    let expected = "CapInh:\t0000000000000000\nCapPrm:\t00000000a00425fb\nCapEff:\t00000000a00425fb\n\
                    CapBnd:\t00000000a00425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1";
    assert_eq!(status, expected);
    let user = inside(
        &["-u", "65534:65534"],
        "grep -E 'CapEff|NoNewPrivs' /proc/self/status; id -u",
    );
    assert_eq!(user, "CapEff:\t0000000000000000\nNoNewPrivs:\t1\n65534");
    let chosen = ["--cap-drop", "all", "--cap-add", "net_admin"];
    let bounding = inside(&chosen, "grep CapBnd /proc/self/status");
    assert_eq!(bounding, "CapBnd:\t0000000000001000");
}

#[test]
fn no_mount_of_the_host_is_there_but_what_was_given() {
    let Some(_host) = host() else { return };
    let Some(root) = busybox_root("root") else {
        return;
    };
    let root = root.to_str().unwrap();
    let mounts = inside(
        &["--net", "mynet", "--rootfs", root],
        "cat /proc/self/mountinfo",
    );
    let points: Vec<_> = mounts
        .lines()
        .filter_map(|line| line.split_whitespace().nth(4))
        .collect();
    let ours = |point: &&str| {
        *point == "/"
            || ["/etc/resolv.conf", "/etc/hosts", "/etc/hostname"].contains(point)
            || ["/proc", "/sys", "/dev"]
                .iter()
                .any(|dir| point.starts_with(dir))
    };
    let strange: Vec<_> = points.iter().filter(|it| !ours(it)).collect();
    assert!(strange.is_empty(), "{strange:?}\n{mounts}");
    assert!(points.len() > 10, "{mounts}");
}

#[test]
fn what_tells_of_the_host_is_masked_and_what_changes_it_is_read_only() {
    let Some(_host) = host() else { return };
    let line = "for it in /proc/kcore /proc/keys /proc/timer_list /proc/interrupts; do \
                [ -e $it ] && wc -c < $it; done; ls /sys/firmware | wc -l";
    let sizes = inside(&[], line);
    assert!(sizes.lines().all(|size| size.trim() == "0"), "{sizes}");
    let writes = "for it in /proc/sys/net/ipv4/ip_forward /proc/sysrq-trigger /proc/irq/default_smp_affinity \
                  /sys/kernel/mm/ksm/run; do [ -e $it ] || continue; \
                  (echo 0 > $it) 2>/dev/null && echo wrote $it; done; true";
    assert_eq!(inside(&["--cap-add", "all"], writes), "");
}

#[test]
fn a_device_that_the_pod_makes_cannot_be_opened() {
    let Some(_host) = host() else { return };
    let line = "for dir in / /dev /tmp /dev/shm; do mknod $dir/zero1 c 1 5 && \
                head -c1 $dir/zero1 2>/dev/null | wc -c; done; head -c3 /dev/zero | wc -c";
    assert_eq!(inside(&["--cap-add", "mknod"], line), "0\n0\n0\n0\n3");
    let denied = run(&["--rm", "--", "mknod", "/tmp/x", "c", "1", "5"]);
    assert!(!denied.is_success(), "{denied}");
}

#[test]
fn processes_of_the_host_are_out_of_sight() {
    let Some(_host) = host() else { return };
    let count = inside(&[], "ls -d /proc/[0-9]* | wc -l");
    assert!(count.parse::<u32>().unwrap() <= 4, "{count}");
    assert_eq!(inside(&[], "echo $$"), "1");
}

#[test]
fn no_descriptor_of_the_caller_comes_along() {
    let Some(_host) = host() else { return };
    let file = File::open("/etc").unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    let number = file.as_raw_fd().to_string();
    let open = inside(&["--net", "mynet"], "ls /proc/self/fd");
    assert!(!open.lines().any(|it| it == number), "{open}");
}

#[test]
fn an_image_that_is_all_links_leads_nowhere() {
    let Some(_host) = host() else { return };
    let Some(root) = busybox_root("root") else {
        return;
    };
    std::fs::remove_dir(root.join("etc")).unwrap();
    let out = "../../../../run/out";
    std::fs::create_dir_all("/run/out").unwrap();
    for name in ["etc", "dev", "proc", "sys"] {
        std::os::unix::fs::symlink(out, root.join(name)).unwrap();
    }
    let _ = run(&["--rm", "--rootfs", root.to_str().unwrap(), "--", "true"]);
    let _ = run(&[
        "--rm",
        "--rw",
        "--rootfs",
        root.to_str().unwrap(),
        "--",
        "true",
    ]);
    assert_eq!(std::fs::read_dir("/run/out").unwrap().count(), 0);
}

/// netloom itself runs in a changed root, a mount of its own or a plain directory; behind it is the machine's.
#[test]
fn from_a_changed_root_a_pod_sees_nothing_of_the_root_behind_it() {
    let Some(host) = host() else { return };
    let Some(root) = busybox_root("jail") else {
        return;
    };
    std::fs::write("/run/outside", "").unwrap();
    std::fs::copy(product(NETLOOM), root.join("bin/netloom")).unwrap();
    std::fs::create_dir_all(root.join("image/bin")).unwrap();
    std::fs::copy(root.join("bin/busybox"), root.join("image/bin/busybox")).unwrap();
    for dir in ["usr", "lib", "lib64", "dev", "proc", "sys"] {
        host.sh(&format!(
            "mkdir -p /run/jail/{dir}; [ ! -d /{dir} ] || mount --rbind /{dir} /run/jail/{dir}"
        ));
    }
    let jailed = |arguments: &[&str]| {
        let call = Call::new("chroot").arg("/run/jail").arg("/bin/netloom");
        succeeds(&arguments.iter().fold(call, |call, it| call.arg(it)).run())
    };
    for is_mount in [false, true] {
        if is_mount {
            host.sh("mount --rbind /run/jail /run/jail");
        }
        let image = ["run", "-d", "--rootfs", "/image", "--", "/bin/busybox"];
        let id = jailed(&[&image[..], &["sleep", "1000"]].concat());
        let shown = jailed(&["exec", &id, "/bin/busybox", "ls", "/"]);
        assert_eq!(shown, "bin\ndev\netc\nproc\nsys", "exec");
        let mounts = jailed(&["exec", &id, "/bin/busybox", "cat", "/proc/1/mountinfo"]);
        let is_behind = |line: &str| {
            let at = line.split_whitespace().nth(4);
            at.is_some_and(|at| ["/run", "/usr", "/image", "/jail"].contains(&at))
        };
        assert!(!mounts.lines().any(is_behind), "{mounts}");
        jailed(&["rm", "-f", &id]);
        let shown = jailed(&["run", "--rm", "--", "/bin/ls", "/"]);
        assert!(shown.contains("image"), "the changed root itself: {shown}");
        assert!(!shown.contains("boot"), "{shown}");
    }
}
