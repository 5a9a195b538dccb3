//! A `subnet.env`.

use super::SubnetEnv;
use crate::fuzzing::assert_one_line;
use std::path::Path;

const PATH: &str = "/run/flannel/subnet.env";

/// What is understood is read again as flanneld would write it.
pub(crate) fn subnet_env(content: &[u8]) {
    let Ok(text) = std::str::from_utf8(content) else {
        return;
    };
    match SubnetEnv::parse(text, Path::new(PATH)) {
        Err(error) => assert_one_line(&error.to_string()),
        Ok(env) => {
            let again = SubnetEnv::parse(&written(&env), Path::new(PATH));
            assert_eq!(again.expect("what was written is read"), env);
        }
    }
}

/// The host's part of a network, for plans.
pub(in super::super) fn sample() -> SubnetEnv {
    SubnetEnv {
        networks: vec!["10.1.0.0/16".parse().expect("a network")],
        subnets: vec!["10.1.17.0/24".parse().expect("a network")],
        mtu: 1450,
        ip_masq: true,
    }
}

fn written(env: &SubnetEnv) -> String {
    let mut text = format!("FLANNEL_MTU={}\nFLANNEL_IPMASQ={}\n", env.mtu, env.ip_masq);
    for (infix, v4) in [("", true), ("IPV6_", false)] {
        let of_family = |nets: &[ipnet::IpNet]| {
            let nets = nets.iter().filter(|net| net.addr().is_ipv4() == v4);
            nets.map(ToString::to_string).collect::<Vec<_>>().join(",")
        };
        for (key, nets) in [("NETWORK", &env.networks), ("SUBNET", &env.subnets)] {
            let nets = of_family(nets);
            if !nets.is_empty() {
                text.push_str(&format!("FLANNEL_{infix}{key}={nets}\n"));
            }
        }
    }
    text
}
