//! ADD that waits for the other pod.

use crate::lab::{files, has, interfaces, lab, pair, primary};
use netloom_testkit::{Trace, parallel};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn waiting(mut conf: Value, seconds: u64, required: bool) -> Value {
    conf["wait"] = json!(seconds);
    conf["required"] = json!(required);
    conf
}

#[test]
fn an_add_that_waits_ends_when_the_other_pod_has_made_the_link() {
    for required in [false, true] {
        let Some(lab) = lab() else { return };
        let (one, two) = (lab.host.pod("primary"), lab.host.pod("pair"));
        let calls = [
            lab.call("ADD", &one, &waiting(primary(), 20, required)),
            lab.call("ADD", &two, &waiting(pair(), 20, required)),
        ];
        let begun = Instant::now();
        let outcomes = parallel(2, 2, |at| calls[at].run());
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert_eq!(interfaces(&outcomes[0].succeeds()), ["in1"]);
        assert_eq!(interfaces(&outcomes[1].succeeds()), ["in2"]);
        assert!(one.pings([192, 168, 2, 101]));
    }
}

#[test]
fn an_add_that_waits_in_vain_succeeds_unless_the_link_is_required() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("primary");
    let before = lab.snapshot(&[&pod]);
    let call = lab.call("ADD", &pod, &waiting(primary(), 1, true));
    let begun = Instant::now();
    let error = call.run().fails_with(11);
    error.names(&["default/pair", "required"]);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    lab.assert_same(&before, &[&pod]);
    assert_eq!(files(), [""; 0]);
    let Some(trace) = Trace::of(&lab.call("ADD", &pod, &waiting(primary(), 1, false))) else {
        return;
    };
    assert_eq!(interfaces(&trace.outcome.succeeds()), [""; 0]);
    assert!(trace.sleeps().is_empty(), "{:?}", trace.sleeps());
    let polls = trace
        .calls
        .iter()
        .filter(|call| call.name.ends_with("poll"));
    assert!(polls.count() < 10, "it polls");
    assert!(!has(&pod, "in1"));
}

/// What another program makes under the name is not the link.
#[test]
fn an_interface_of_the_name_is_not_taken_for_the_link() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("primary");
    let call = lab.call("ADD", &pod, &waiting(primary(), 2, true));
    let outcomes = parallel(2, 2, |at| match at {
        0 => Some(call.run()),
        _ => {
            pod.sh("ip link add in1 type veth peer name x; ip link set in1 up");
            None
        }
    });
    outcomes[0].as_ref().unwrap().fails();
    assert!(has(&pod, "in1"));
}
