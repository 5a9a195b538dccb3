//! Many at the same time, on a host where nothing was ever mapped.

use crate::support::{BOTH, Lab, tcp};
use netloom_testkit::parallel;
use serde_json::json;

const PODS: u8 = 16;

#[test]
fn adds_and_dels_at_the_same_time_do_not_disturb_each_other() {
    for backend in BOTH {
        let Some(lab) = Lab::new(backend) else {
            continue;
        };
        lab.host.sh("ip link add br0 type bridge; ip link set br0 up
             ip address add 10.1.0.1/24 dev br0; ip address add fd00:1::1/64 dev br0 nodad");
        let pods: Vec<_> = (0..PODS)
            .map(|n| lab.host.pod(&format!("p{n:02}")))
            .collect();
        let calls: Vec<_> = pods
            .iter()
            .zip(10u16..)
            .map(|(pod, last)| {
                let conf = json!({
                    "cniVersion": "1.1.0", "name": "net", "type": "portmap", "backend": backend,
                    "runtimeConfig": {"portMappings": tcp(8000 + last, 80)},
                    "prevResult": {"cniVersion": "1.1.0", "ips": [
                        {"address": format!("10.1.0.{last}/24")},
                        {"address": format!("fd00:1::{last}/64")},
                    ]},
                });
                ["ADD", "CHECK", "DEL"].map(|command| lab.portmap.call(command, &conf).pod(pod))
            })
            .collect();
        let each = |at: usize| {
            parallel(calls.len(), 8, |n| calls[n][at].run())
                .iter()
                .for_each(|outcome| drop(outcome.succeeds()));
        };
        each(0);
        each(1);
        let before = lab.traces();
        for n in 0..PODS {
            assert!(
                before.contains(&format!("id-of-p{n:02}")),
                "{backend}: {n}: {before}"
            );
        }
        each(2);
        assert_eq!(lab.traces(), "", "{backend}");
    }
}
