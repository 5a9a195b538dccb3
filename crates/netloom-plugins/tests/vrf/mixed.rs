//! One side's ADD, the other side's DEL.

use crate::lab::{chained, lab};
use netloom_testkit::Plugin;
use serde_json::json;

#[test]
fn go_and_netloom_check_and_delete_what_the_other_made() {
    let Some(go) = Plugin::debian("vrf") else {
        return;
    };
    for keys in [
        json!({"cniVersion": "1.0.0"}),
        json!({"cniVersion": "1.0.0", "table": 77}),
    ] {
        for ours_adds in [true, false] {
            let Some(lab) = lab() else { return };
            let request = chained("eth0", keys.clone());
            let (adds, deletes) = if ours_adds {
                (&lab.vrf, &go)
            } else {
                (&go, &lab.vrf)
            };
            lab.call(adds, "ADD", "eth0", &request).run().succeeds();
            assert_eq!(lab.master("eth0").as_deref(), Some("blue"));
            lab.call(&go, "CHECK", "eth0", &request).run().succeeds();
            let check = lab.call(&lab.vrf, "CHECK", "eth0", &request).run();
            if ours_adds {
                check.succeeds_silently();
            } else {
                // The reference keeps no routes before 1.9.
                check.fails().names(&["lacks the route"]);
            }
            lab.call(deletes, "DEL", "eth0", &request).run().succeeds();
            assert_eq!((lab.vrfs(), lab.master("eth0")), (Vec::new(), None));
        }
    }
}

#[test]
fn both_sides_share_one_vrf() {
    let Some(go) = Plugin::debian("vrf") else {
        return;
    };
    let Some(lab) = lab() else { return };
    let keys = json!({"cniVersion": "1.0.0"});
    lab.add("eth0", keys.clone());
    let second = chained("net1", keys.clone());
    lab.call(&go, "ADD", "net1", &second).run().succeeds();
    assert_eq!(lab.vrfs().len(), 1);
    lab.call(&go, "DEL", "net1", &second).run().succeeds();
    assert_eq!(lab.vrfs().len(), 1);
    lab.del("eth0", keys);
    assert_eq!(lab.vrfs(), []);
}
