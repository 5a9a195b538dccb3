//! A host with the chain's configuration.

use std::fs;
use std::path::Path;

use netloom_testkit::{Call, Host, Pod, link_plugins, product};
use serde_json::{Value, json};

pub(crate) const NETLOOM: &str = env!("CARGO_BIN_EXE_netloom");
pub(crate) const PLUGINS: &str = "/run/plugins";
pub(crate) const TYPES: [&str; 5] = ["bridge", "portmap", "firewall", "bandwidth", "tuning"];

/// A host with netloom's plugins, and the network `chain` on one of the packet filters.
pub(crate) fn host(backend: &str) -> Option<Host> {
    let host = Host::new()?;
    fs::create_dir_all("/etc/cni/net.d").unwrap();
    fs::write(
        "/etc/cni/net.d/10-chain.conflist",
        conf(backend).to_string(),
    )
    .unwrap();
    link_plugins(NETLOOM, PLUGINS);
    Some(host)
}

fn conf(backend: &str) -> Value {
    json!({ "cniVersion": "1.1.0", "name": "chain", "plugins": [
        {
            "type": "bridge", "bridge": "br0", "isDefaultGateway": true, "hairpinMode": true,
            "ipMasq": true, "ipMasqBackend": backend,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": "10.1.0.0/16"}], [{"subnet": "fd00:1::/64"}]],
            },
        },
        { "type": "portmap", "capabilities": {"portMappings": true}, "backend": backend },
        { "type": "firewall", "backend": backend },
        {
            "type": "bandwidth", "ingressRate": 100_000_000, "ingressBurst": 10_000_000,
            "egressRate": 100_000_000, "egressBurst": 10_000_000,
        },
        { "type": "tuning", "mtu": 1400, "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1"} },
    ]})
}

/// The command for a pod, with two ports of its own.
pub(crate) fn call(verb: &str, pod: &Pod, first_port: u16) -> Call {
    call_by(Path::new(NETLOOM), verb, pod, first_port)
}

/// The same by another build of the command.
pub(crate) fn call_by(command: &Path, verb: &str, pod: &Pod, first_port: u16) -> Call {
    let mapping =
        |port: u16, protocol| json!({"hostPort": port, "containerPort": 80, "protocol": protocol});
    let ports =
        json!({"portMappings": [mapping(first_port, "tcp"), mapping(first_port + 1, "udp")]});
    Call::new(command)
        .env("CNI_PATH", PLUGINS)
        .env("CAP_ARGS", ports.to_string())
        .arg("--json")
        .arg(verb)
        .arg("chain")
        .arg(pod.path())
}

/// What a runtime does: ADD, and DEL at once when that fails. The answer is that of ADD.
pub(crate) fn add_or_undo(pod: &Pod, first_port: u16) -> Call {
    let netns = pod.path().display();
    let netloom = product(NETLOOM);
    let netloom = netloom.display();
    let line = format!(
        "said=$('{netloom}' --json add chain {netns}); failed=$?; printf '%s\\n' \"$said\"; \
         [ $failed = 0 ] || '{netloom}' del --best-effort chain {netns} >&2; exit $failed"
    );
    let of_add = call("add", pod, first_port);
    let ports = of_add.variable("CAP_ARGS").unwrap();
    Call::new("sh")
        .env("CNI_PATH", PLUGINS)
        .env("CAP_ARGS", ports)
        .arg("-c")
        .arg(line)
}
