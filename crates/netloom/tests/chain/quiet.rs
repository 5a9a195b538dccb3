//! What the chain executes.

use netloom_testkit::{Trace, probe, skip};

use crate::network::{PLUGINS, TYPES, call, host};

/// The programs that a verb executes, without directories, plugins left out.
fn executed(trace: &Trace) -> Vec<String> {
    let executions = trace.executions();
    let succeeded = executions.iter().filter(|call| call.text.ends_with("= 0"));
    let programs = succeeded.filter_map(|call| call.text.split('"').nth(1));
    let foreign = programs.filter(|program| !program.starts_with(PLUGINS));
    let name = |program: &str| program.rsplit('/').next().map(str::to_owned);
    foreign.filter_map(name).collect()
}

#[test]
fn a_chain_on_nftables_executes_nothing_but_its_plugins_and_never_sleeps() {
    let Some(host) = host("nftables") else { return };
    for pod in [host.pod("first"), host.pod("second")] {
        let port = if pod.name() == "first" { 8080 } else { 9080 };
        for verb in ["add", "check", "del"] {
            let Some(trace) = Trace::of(&call(verb, &pod, port)) else {
                return;
            };
            assert!(trace.outcome.is_success(), "{}", trace.outcome);
            let plugins = trace.executions().len();
            assert!(plugins >= TYPES.len(), "{verb}: only {plugins} executions");
            assert_eq!(executed(&trace), Vec::<String>::new(), "{verb}");
            assert!(trace.sleeps().is_empty(), "{verb}: {:?}", trace.sleeps());
        }
    }
}

/// bridge, portmap and firewall change tables of iptables.
#[test]
fn a_chain_on_iptables_costs_one_restore_for_each_family_and_plugin() {
    if !probe::has_iptables() {
        return skip("no iptables on this machine");
    }
    let Some(host) = host("iptables") else { return };
    let pod = host.pod("one");
    for verb in ["add", "check", "del"] {
        let Some(trace) = Trace::of(&call(verb, &pod, 8080)) else {
            return;
        };
        assert!(trace.outcome.is_success(), "{}", trace.outcome);
        let programs = executed(&trace);
        let count = |name: &str| programs.iter().filter(|program| *program == name).count();
        for family in ["iptables", "ip6tables"] {
            let restores = count(&format!("{family}-restore"));
            assert!(restores <= 3, "{verb}: {programs:?}");
        }
        let known = |program: &String| {
            program.contains("tables-restore") || program.contains("tables-save")
        };
        assert!(programs.iter().all(known), "{verb}: {programs:?}");
        assert!(trace.sleeps().is_empty(), "{verb}: {:?}", trace.sleeps());
    }
}
