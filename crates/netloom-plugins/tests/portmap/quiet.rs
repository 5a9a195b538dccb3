//! What ADD, CHECK and DEL ask of the machine.

use crate::support::{Lab, tcp};
use netloom_testkit::Trace;
use serde_json::json;

fn mappings() -> serde_json::Value {
    json!([
        {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
        {"hostPort": 8053, "containerPort": 53, "protocol": "udp"},
    ])
}

#[test]
fn nothing_is_executed_on_nftables_and_nothing_sleeps() {
    let Some(lab) = Lab::new("nftables") else {
        return;
    };
    let one = lab.attach("one", 5);
    let conf = lab.conf(&one, mappings(), json!({}));
    for command in ["ADD", "CHECK", "DEL", "ADD", "DEL"] {
        let call = lab.portmap.call(command, &conf).pod(&one.pod);
        let Some(trace) = Trace::of(&call) else {
            return;
        };
        trace.outcome.succeeds();
        assert!(
            trace.executions().is_empty(),
            "{command}: {:?}",
            trace.executions()
        );
        assert!(trace.sleeps().is_empty(), "{command}: {:?}", trace.sleeps());
    }
}

#[test]
fn on_iptables_add_executes_one_restore_for_each_family_and_del_nothing() {
    let Some(lab) = Lab::new("iptables") else {
        return;
    };
    let one = lab.attach("one", 5);
    let conf = lab.conf(&one, mappings(), json!({}));
    for command in ["ADD", "DEL", "ADD", "CHECK", "DEL"] {
        let call = lab.portmap.call(command, &conf).pod(&one.pod);
        let Some(trace) = Trace::of(&call) else {
            return;
        };
        trace.outcome.succeeds();
        let executed: Vec<&str> = trace
            .executions()
            .iter()
            .filter(|call| call.text.contains(") = 0") || call.text.contains("unfinished"))
            .map(|call| call.text.split('"').nth(1).unwrap_or_default())
            .map(|path| path.rsplit('/').next().unwrap_or_default())
            .collect();
        let wanted: &[&str] = match command {
            "CHECK" => &["iptables-save", "ip6tables-save"],
            // Where iptables is built on nf_tables, netlink takes its rules away.
            "DEL" => &[],
            _ => &["iptables-restore", "ip6tables-restore"],
        };
        assert_eq!(executed, wanted, "{command}");
        assert!(trace.sleeps().is_empty(), "{command}: {:?}", trace.sleeps());
    }
}

/// How many messages go to the kernel and come back, whatever else is mapped.
#[test]
fn an_add_and_a_del_are_one_transaction_and_read_no_map() {
    let only_v4 =
        json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "0.0.0.0"}]);
    for mappings in [tcp(8080, 80), only_v4] {
        let Some(lab) = Lab::new("nftables") else {
            return;
        };
        let (one, two) = (lab.attach("one", 5), lab.attach("two", 6));
        let many = json!([
            {"hostPort": 20000, "containerPort": 20000, "protocol": "tcp", "range": 5000},
        ]);
        let conf = lab.conf(&one, mappings, json!({}));
        // The first of all makes the tables.
        lab.map(&two, tcp(8081, 80));
        let mut counts = Vec::new();
        for full in [false, true] {
            if full {
                lab.map(&two, many.clone());
            }
            let calls = ["ADD", "DEL"].map(|command| {
                let call = lab.portmap.call(command, &conf).pod(&one.pod);
                let trace = Trace::of(&call)?;
                trace.outcome.succeeds();
                Some(["sendto", "recvfrom"].map(|name| trace.count(name)))
            });
            let [Some(add), Some(del)] = calls else {
                return;
            };
            counts.push((add, del));
        }
        assert_eq!(
            counts[0], counts[1],
            "the work depends on how much is mapped"
        );
        let ([sent, received], _) = counts[0];
        // Two routes and their link are looked up beside the transaction.
        assert!(sent <= 5 && received <= 5, "{counts:?}");
    }
}
