//! What the tests and the bench need from the machine, and how Debian calls it.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process;

/// Something that must be there: found by a program's name or by an absolute path.
pub(crate) struct Need {
    probe: &'static str,
    package: &'static str,
    what_for: &'static str,
}

const fn need(probe: &'static str, package: &'static str, what_for: &'static str) -> Need {
    Need {
        probe,
        package,
        what_for,
    }
}

/// Other people's plugins, for mixed operation and as the bench's peer.
pub(crate) const PEER: Need = need(
    "/usr/lib/cni/bridge",
    "containernetworking-plugins",
    "the Go plugins beside ours",
);

/// What a release is linked with.
const MUSL: Need = need("musl-gcc", "musl-tools", "a small release that starts fast");

/// libFuzzer is C++.
const COMPILER: Need = need("g++", "g++", "the fuzz targets");

/// What the fuzz targets are built with.
pub(crate) const FOR_FUZZING: &[Need] = &[COMPILER];

/// What the whole of the tests uses.
pub(crate) const FOR_TESTS: &[Need] = &[
    MUSL,
    COMPILER,
    need(
        "ip",
        "iproute2",
        "namespaces and a second view of the kernel's state",
    ),
    need("iptables-restore", "iptables", "the iptables masquerade"),
    need("nft", "nftables", "a second view of nf_tables"),
    need(
        "strace",
        "strace",
        "fault injection and counting system calls",
    ),
    need("time", "time", "measuring a plugin's memory"),
    need("ping", "iputils-ping", "reaching a pod"),
    need("sysctl", "procps", "settings of a host"),
    need("conntrack", "conntrack", "connection tracking"),
    need("jq", "jq", "the tutorials' shell plugins"),
    need("python3", "python3", "plugins in Python"),
    need("dbus-daemon", "dbus-daemon", "a bus for firewalld"),
    need(
        "/usr/lib/python3/dist-packages/dbus",
        "python3-dbus",
        "a stand-in for firewalld",
    ),
    need(
        "/usr/lib/python3/dist-packages/gi",
        "python3-gi",
        "a stand-in for firewalld",
    ),
    PEER,
    need("busybox", "busybox-static", "images for real runtimes"),
    need("dnsmasq", "dnsmasq-base", "a DHCP server"),
    need("tcpdump", "tcpdump", "what goes over a link"),
    need(
        "slirp4netns",
        "slirp4netns",
        "the way out of pods that are made without root",
    ),
    need("pasta", "passt", "the same by pasta"),
    need("runc", "runc", "real runtimes"),
    need("podman", "podman", "podman with its CNI backend"),
    need("containerd", "containerd", "ctr run --cni"),
    need("dpkg-deb", "dpkg", "the packages for Debian"),
    need("rpmbuild", "rpm", "the RPM packages"),
    need(
        "ansible-playbook",
        "ansible-core",
        "the role and its playbooks",
    ),
];

/// What a run that leaves no test out uses beside that: 80 MB to fetch.
pub(crate) const FOR_ALL_TESTS: &[Need] = &[
    need("chromium", "chromium", "looking at pictures in a browser"),
    need(
        "/usr/share/fonts/truetype/dejavu",
        "fonts-dejavu-core",
        "letters in a browser",
    ),
];

const PROTOC: Need = need("protoc", "protobuf-compiler", "building the client of etcd");
const PROTOBUF: Need = need(
    "/usr/include/google/protobuf/empty.proto",
    "libprotobuf-dev",
    "building the client of etcd",
);

/// What the cluster's daemon is built with.
pub(crate) const FOR_DAEMON: &[Need] = &[PROTOC, PROTOBUF];

/// What the tests of the cluster's daemon use.
pub(crate) const FOR_CLUSTER: &[Need] = &[
    PROTOC,
    PROTOBUF,
    need("etcd", "etcd-server", "a store"),
    need("etcdctl", "etcd-client", "a second view of the store"),
    need("openssl", "openssl", "certificates"),
    need("curl", "curl", "what the daemon tells probes"),
];

/// What building the VM tier's kernel uses.
pub(crate) const FOR_KERNEL: &[Need] = &[
    need("apt-get", "apt", "finding the kernel's source"),
    need("dpkg-deb", "dpkg", "unpacking the kernel's source"),
    need("xz", "xz-utils", "unpacking the kernel's source"),
    need("gcc", "gcc", "compiling the kernel"),
    need(
        "/usr/include/stdio.h",
        "libc6-dev",
        "compiling the kernel, which is static",
    ),
    need("make", "make", "compiling the kernel"),
    need("flex", "flex", "configuring the kernel"),
    need("bison", "bison", "configuring the kernel"),
    need("bc", "bc", "configuring the kernel"),
];

/// What building the server of the Kubernetes API uses.
pub(crate) const FOR_APISERVER: &[Need] = &[
    need("apt-get", "apt", "finding Kubernetes' source"),
    need("dpkg-source", "dpkg-dev", "unpacking Kubernetes' source"),
    need(
        "/usr/lib/go-1.19/bin/go",
        "golang-1.19-go",
        "compiling the Kubernetes API server",
    ),
    need(
        "/usr/share/gocode/src/github.com/modern-go/reflect2",
        "golang-github-modern-go-reflect2-dev",
        "compiling the Kubernetes API server",
    ),
];

/// What the bench uses.
pub(crate) const FOR_BENCH: &[Need] = &[
    MUSL,
    need("ip", "iproute2", "pods"),
    need("iptables-restore", "iptables", "the iptables masquerade"),
    need("nft", "nftables", "the nftables rules of the floor"),
    PEER,
];

impl Need {
    fn is_there(&self) -> bool {
        match self.probe.starts_with('/') {
            true => Path::new(self.probe).exists(),
            false => process::find_program(self.probe).is_some(),
        }
    }
}

/// The packages of what is not there.
pub(crate) fn missing(needs: &[Need]) -> Vec<&'static str> {
    let missing = needs.iter().filter(|need| !need.is_there());
    missing.map(|need| need.package).collect()
}

/// Installs what is missing where that is possible; says what stays missing.
///
/// # Errors
/// When apt-get is there and fails: the tests would silently be fewer.
pub(crate) fn ensure(needs: &[Need], install: bool) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !need.is_there()).collect();
    if missing.is_empty() {
        println!("packages: all {} are there", needs.len());
        return Ok(());
    }
    let hindrance = match (
        install,
        process::is_root(),
        process::find_program("apt-get"),
    ) {
        (false, ..) => "not installed, as asked",
        (_, false, _) => "not installed: not root",
        (.., None) => "not installed: no apt-get here",
        (true, true, Some(_)) => return install_all(&missing),
    };
    for need in missing {
        println!(
            "packages: {} ({}) is missing, {hindrance}",
            need.package, need.what_for
        );
    }
    Ok(())
}

fn install_all(missing: &[&Need]) -> Result<()> {
    let names: Vec<&str> = missing.iter().map(|need| need.package).collect();
    println!("packages: installing {}", names.join(" "));
    apt_get(&["update"])?;
    apt_get(&[&["install", "--yes", "--no-install-recommends"][..], &names].concat())?;
    match missing.iter().find(|need| !need.is_there()) {
        None => Ok(()),
        Some(need) => bail!(
            "{} is installed, but {} is not there",
            need.package,
            need.probe
        ),
    }
}

/// Quiet when all is well; the whole output when not.
fn apt_get(arguments: &[&str]) -> Result<()> {
    let output = Command::new("apt-get")
        .args(["-qq", "-o", "Dpkg::Use-Pty=0", "-o", "Acquire::Retries=3"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .context("cannot run apt-get")?;
    if !output.status.success() {
        print!("{}", String::from_utf8_lossy(&output.stdout));
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        bail!(
            "apt-get {} failed ({}); --no-install goes on without it",
            arguments[0],
            output.status
        );
    }
    Ok(())
}
