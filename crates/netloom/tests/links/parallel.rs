//! Many commands at once.

use netloom_testkit::{Host, Snapshot};

use crate::{File, netloom};

fn mesh(name: &str, nodes: usize) -> File {
    let mut text = format!("name: {name}\nnodes:\n");
    for n in 0..nodes {
        text += &format!("  n{n}: {{}}\n");
    }
    text += "links:\n";
    for a in 0..nodes {
        for b in a + 1..nodes {
            text += &format!("  - endpoints: [\"n{a}:e{b}\", \"n{b}:e{a}\"]\n");
        }
    }
    File::new(&text)
}

#[test]
fn a_full_mesh_is_applied_by_eight_commands_at_once_beside_another_topology() {
    let Some(host) = Host::new() else { return };
    let before = Snapshot::take(&host, &[]);
    let (mesh, other) = (mesh("mesh", 30), mesh("other", 6));
    let calls: Vec<_> = (0..12)
        .map(|n| {
            let file = if n < 8 { &mesh } else { &other };
            netloom(&format!("topo apply {}", file.path().display()))
        })
        .collect();
    let outcomes = std::thread::scope(|scope| {
        let runs: Vec<_> = calls
            .iter()
            .map(|call| scope.spawn(|| call.run()))
            .collect();
        runs.into_iter()
            .map(|run| run.join().unwrap())
            .collect::<Vec<_>>()
    });
    for outcome in outcomes {
        assert!(outcome.is_success(), "{outcome}");
    }
    for file in [&mesh, &other] {
        file.topo("check");
        file.topo("destroy");
    }
    Snapshot::take(&host, &[]).assert_same_as(&before);
}
