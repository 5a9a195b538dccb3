//! A store that wants to know who asks: certificates, and passwords.

use crate::lab::{Etcd, Lab, Machine, network};

/// An authority, a server's certificate, and one of the user `m1`.
const CERTIFICATES: &str = "set -e; cd /run/lab
    new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -out $1.csr -subj /CN=$1 2>/dev/null; chmod 600 $1.key; }
    new ca; openssl x509 -req -in ca.csr -signkey ca.key -days 2 -out ca.pem -extfile /dev/stdin 2>/dev/null <<X
basicConstraints=critical,CA:TRUE
X
    for name in server m1 root; do
        new $name
        echo 'subjectAltName=IP:127.0.0.1,IP:192.0.2.254' |
            openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out $name.pem -extfile /dev/stdin 2>/dev/null
    done";

fn secured(lab: &Lab) -> Etcd {
    lab.host.sh(CERTIFICATES);
    let mut etcd = Etcd::member(1, 1).with(
        &[
            "--cert-file=/run/lab/server.pem",
            "--key-file=/run/lab/server.key",
            "--trusted-ca-file=/run/lab/ca.pem",
            "--client-cert-auth",
        ],
        &[
            "--endpoints=https://127.0.0.1:2389",
            "--cacert=/run/lab/ca.pem",
            "--cert=/run/lab/root.pem",
            "--key=/run/lab/root.key",
        ],
    );
    etcd.begin();
    etcd.put("/coreos.com/network/config", &network("auto"));
    // The shipped role: read all, write what a node writes.
    etcd.ctl(&["role", "add", "node"]);
    etcd.ctl(&[
        "role",
        "grant-permission",
        "node",
        "--prefix=true",
        "read",
        "/",
    ]);
    for own in ["/coreos.com/network/subnets/", "/netloom/v1/"] {
        etcd.ctl(&[
            "role",
            "grant-permission",
            "node",
            "--prefix=true",
            "readwrite",
            own,
        ]);
    }
    for user in ["root", "m1"] {
        etcd.ctl(&["user", "add", user, "--new-user-password=of-that-user"]);
    }
    etcd.ctl(&["user", "grant-role", "root", "root"]);
    etcd.ctl(&["user", "grant-role", "m1", "node"]);
    etcd.ctl(&["auth", "enable"]);
    etcd
}

const WITH_CERTIFICATE: [&str; 6] = [
    "--etcd-cafile",
    "/run/lab/ca.pem",
    "--etcd-certfile",
    "/run/lab/m1.pem",
    "--etcd-keyfile",
    "/run/lab/m1.key",
];

fn joins(machine: &Machine, etcd: &Etcd, arguments: &[&str]) {
    let _daemon = machine.joined(&etcd.url(), arguments);
    assert_eq!(machine.told("/store/connected"), true);
    assert_eq!(etcd.subnets().len(), 1);
}

#[test]
fn a_node_is_known_by_its_certificate_and_needs_no_more_than_the_shipped_role() {
    let Some(lab) = Lab::new() else { return };
    let etcd = secured(&lab);
    joins(&lab.machine(1, 1), &etcd, &WITH_CERTIFICATE);
}

#[test]
fn a_node_is_known_by_its_password() {
    let Some(lab) = Lab::new() else { return };
    let etcd = secured(&lab);
    // The server asks for a certificate all the same; its name is not what counts.
    lab.host
        .sh("echo of-that-user > /run/lab/password; chmod 600 /run/lab/password");
    let password = [
        "--etcd-username",
        "m1",
        "--etcd-password-file",
        "/run/lab/password",
    ];
    let arguments = [&WITH_CERTIFICATE[..], &password].concat();
    joins(&lab.machine(1, 1), &etcd, &arguments);
}

#[test]
fn whoever_is_not_known_is_refused_and_says_why() {
    let Some(lab) = Lab::new() else { return };
    let etcd = secured(&lab);
    let one = lab.machine(1, 1);
    let mut stranger = one.daemon(&etcd.url(), &["--etcd-cafile", "/run/lab/ca.pem"]);
    let line = stranger.until("the store does not answer");
    assert!(line.to_lowercase().contains("certificate"), "{line}");
    lab.host
        .sh("echo wrong > /run/lab/wrong; chmod 600 /run/lab/wrong");
    drop(stranger);
    let wrong = [
        "--etcd-username",
        "m1",
        "--etcd-password-file",
        "/run/lab/wrong",
    ];
    let mut stranger = one.daemon(&etcd.url(), &[&WITH_CERTIFICATE[..], &wrong].concat());
    let line = stranger.until("the store does not answer");
    assert!(line.contains("authentication failed"), "{line}");
    assert!(
        !one.try_sh("test -e /etc/cni/net.d/10-netloom.conflist")
            .status
            .success()
    );
}
