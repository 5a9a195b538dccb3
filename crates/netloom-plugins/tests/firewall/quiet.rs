//! What the plugin executes: nothing on nf_tables, one transaction per family on iptables.

use crate::support::{Lab, conf, result};
use netloom_testkit::{Call, Trace};
use serde_json::json;

/// The names of the programs that a call executes, without those that were not found; `None`
/// without strace.
fn executed(call: &Call) -> Option<Vec<String>> {
    let trace = Trace::of(call)?;
    assert!(trace.outcome.is_success(), "{:?}", trace.outcome);
    assert!(trace.sleeps().is_empty(), "{:#?}", trace.sleeps());
    let mut names: Vec<String> = trace
        .executions()
        .iter()
        .filter(|call| !call.text.contains("= -1 ENOENT"))
        .filter_map(|call| call.text.split('"').nth(1)?.rsplit('/').next())
        .map(str::to_owned)
        .collect();
    names.sort_unstable();
    Some(names)
}

#[test]
fn on_nftables_nothing_is_executed() {
    let Some(lab) = Lab::with("nftables") else {
        return;
    };
    lab.host.sh("iptables -P FORWARD DROP");
    for (last, name) in [(5, "first"), (6, "second")] {
        let pod = lab.host.pod(name);
        for policy in ["open", "isolated"] {
            let keys = json!({"ingressPolicy": policy, "cniVersion": "1.1.0"});
            let mut given = result(last);
            given["cniVersion"] = json!("1.1.0");
            let conf = conf("nftables", &given, keys);
            for command in ["ADD", "CHECK", "DEL", "DEL"] {
                let call = lab.firewall.call(command, &conf).pod(&pod);
                let Some(programs) = executed(&call) else {
                    return;
                };
                assert!(programs.is_empty(), "{command} of {name}: {programs:?}");
            }
        }
    }
}

#[test]
fn on_iptables_add_is_one_transaction_per_family_and_del_executes_nothing() {
    let Some(lab) = Lab::with("iptables") else {
        return;
    };
    let families = ["ip6tables-restore", "iptables-restore"];
    for (last, name) in [(5, "first"), (6, "second")] {
        let pod = lab.host.pod(name);
        let conf = conf(
            "iptables",
            &result(last),
            json!({"ingressPolicy": "isolated"}),
        );
        for command in ["ADD", "DEL"] {
            let call = lab.firewall.call(command, &conf).pod(&pod);
            let Some(programs) = executed(&call) else {
                return;
            };
            // Where iptables is built on nf_tables, netlink takes its rules away.
            let wanted = if command == "ADD" { &families[..] } else { &[] };
            assert_eq!(programs, wanted, "{command} of {name}");
        }
        lab.firewall.add(&conf, &pod).succeeds();
        let call = lab.firewall.call("CHECK", &conf).pod(&pod);
        let Some(programs) = executed(&call) else {
            return;
        };
        assert_eq!(programs, ["ip6tables-save", "iptables-save"]);
    }
}

#[test]
fn an_add_beside_many_pods_makes_no_more_system_calls_than_the_second() {
    for backend in ["nftables", "iptables"] {
        let Some(lab) = Lab::with(backend) else {
            continue;
        };
        let mut counts = Vec::new();
        for last in 5..17 {
            let pod = lab.host.pod(&format!("pod{last}"));
            let call = lab
                .firewall
                .call("ADD", &conf(backend, &result(last), json!({})));
            let Some(trace) = Trace::of(&call.pod(&pod)) else {
                return;
            };
            trace.outcome.succeeds();
            let own = trace.calls[0].thread;
            let of_plugin = |name: &str| {
                trace
                    .calls
                    .iter()
                    .filter(|call| call.thread == own && call.name == name)
                    .count()
            };
            counts.push(of_plugin("sendto") + of_plugin("recvfrom"));
        }
        assert!(counts[11] <= counts[1], "{backend}: {counts:?}");
    }
}

#[test]
fn adds_of_the_first_pods_of_a_host_at_once_all_succeed() {
    for backend in ["nftables", "iptables"] {
        let Some(lab) = Lab::with(backend) else {
            continue;
        };
        let pods: Vec<_> = (5..13)
            .map(|last| (last, lab.host.pod(&format!("pod{last}"))))
            .collect();
        let keys = json!({"ingressPolicy": "same-bridge"});
        let conf_of = |last: u8| conf(backend, &result(last), keys.clone());
        let every = |command: &str| {
            let calls: Vec<_> = pods
                .iter()
                .map(|(last, pod)| lab.firewall.call(command, &conf_of(*last)).pod(pod))
                .collect();
            std::thread::scope(|scope| {
                let runs: Vec<_> = calls
                    .iter()
                    .map(|call| scope.spawn(|| call.run()))
                    .collect();
                for run in runs {
                    let outcome = run.join().unwrap();
                    assert!(outcome.is_success(), "{backend} {command}: {outcome}");
                }
            });
        };
        every("ADD");
        every("CHECK");
        every("DEL");
        assert_eq!(lab.traces(), "", "{backend}");
    }
}
