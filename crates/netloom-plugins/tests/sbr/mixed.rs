//! One side's ADD, the other side's DEL.

use crate::lab::{KERNEL_RULES, chained, lab, own, world};
use netloom_testkit::Plugin;
use serde_json::json;

#[test]
fn go_and_netloom_delete_what_the_other_made() {
    let Some(go) = Plugin::debian("sbr") else {
        return;
    };
    let request = chained("net1", json!({"cniVersion": "1.0.0"}));
    for ours_adds in [true, false] {
        let Some(lab) = lab() else { return };
        let before = lab.snapshot();
        let (adds, deletes) = if ours_adds {
            (&lab.sbr, &go)
        } else {
            (&go, &lab.sbr)
        };
        lab.call(adds, "ADD", "net1", &request).run().succeeds();
        let [_, south] = &lab.routers;
        let seen = south.source_seen_by(&lab.pod, own(2)[0]);
        assert_eq!(seen, Ok(world(2)[0]));
        lab.call(&lab.sbr, "CHECK", "net1", &request)
            .run()
            .succeeds_silently();
        lab.call(&go, "CHECK", "net1", &request).run().succeeds();
        lab.call(deletes, "DEL", "net1", &request).run().succeeds();
        assert_eq!(lab.rules(), KERNEL_RULES);
        if !ours_adds {
            lab.snapshot().assert_same_as(&before);
        }
    }
}

#[test]
fn both_sides_serve_one_pod_and_take_each_other_s_tables_for_taken() {
    let Some(go) = Plugin::debian("sbr") else {
        return;
    };
    for ours_first in [true, false] {
        let Some(lab) = lab() else { return };
        let requests = ["eth0", "net1"].map(|name| chained(name, json!({"cniVersion": "1.0.0"})));
        let (first, second) = if ours_first {
            (&lab.sbr, &go)
        } else {
            (&go, &lab.sbr)
        };
        lab.call(first, "ADD", "net1", &requests[1])
            .run()
            .succeeds();
        lab.call(second, "ADD", "eth0", &requests[0])
            .run()
            .succeeds();
        for (router, number) in lab.routers.iter().zip([1, 2]) {
            let seen = router.source_seen_by(&lab.pod, own(number)[0]);
            assert_eq!(seen, Ok(world(number)[0]), "{}", lab.rules().concat());
        }
    }
}
