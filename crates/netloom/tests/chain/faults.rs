//! A fault in any plugin of the chain: after the runtime's DEL nothing is left.

use netloom_testkit::{Scene, assert_no_residue_at_every};

use crate::network::{TYPES, add_or_undo, call, host};

fn scene() -> Option<Scene> {
    let host = host("nftables")?;
    let pod = host.pod("one");
    let (add, del) = (add_or_undo(&pod, 8080), call("del", &pod, 8080));
    Some(Scene {
        pods: vec![pod],
        host,
        add,
        del,
        bridges: vec!["br0".into()],
    })
}

/// Each plugin's own tests try every point; one trial of the whole chain takes a second.
const NTH: usize = 5;

#[test]
fn no_fault_of_any_plugin_of_a_chain_leaves_anything() {
    for plugin in TYPES {
        let name = format!("{plugin} in a chain");
        let Some(tally) = assert_no_residue_at_every(NTH, &name, Some(plugin), scene) else {
            return;
        };
        assert!(tally.has_points(5, 1), "{plugin}: {tally}");
    }
}
