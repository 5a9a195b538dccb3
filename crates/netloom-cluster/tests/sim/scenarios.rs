//! Situations that a cluster gets into, each with what has to come of it.

use crate::world::{Faults, World, set};
use netloom_cluster::record::Keep;
use std::collections::BTreeSet;
use std::net::IpAddr;

fn calm(delay: u64) -> Faults {
    Faults {
        delay,
        ..Faults::NONE
    }
}

/// Gives every pod of the range an address, pod by pod on the nodes in turn, and again those that were
/// refused, as a kubelet does. Returns how long it took.
fn add_all(
    world: &mut World,
    pods: std::ops::Range<u64>,
    pool: &str,
    end: &str,
    rounds: u32,
) -> u64 {
    let nodes = world.nodes.len() as u64;
    let begun = world.now;
    for _ in 0..rounds {
        let missing: Vec<u64> = pods
            .clone()
            .filter(|pod| !world.added.contains_key(pod))
            .collect();
        if missing.is_empty() {
            break;
        }
        for (at, pod) in missing.iter().enumerate() {
            world.add((pod % nodes) as usize, *pod, vec![set(pool, end)], 5_000);
            if at % 50 == 49 {
                world.run(10);
            }
        }
        while world.nodes.iter().any(|node| !node.adds.is_empty()) {
            world.run(100);
        }
    }
    world.now - begun
}

fn del_all(world: &mut World) {
    let mut living: Vec<_> = world
        .added
        .iter()
        .map(|(pod, (node, _))| (*pod, *node))
        .collect();
    while !living.is_empty() {
        let at = world.random.below(living.len() as u64) as usize;
        let (pod, node) = living.swap_remove(at);
        world.del(node, pod);
        if living.len() % 50 == 0 {
            world.run(20);
        }
    }
}

#[test]
fn many_nodes_with_a_hundred_pods_claim_little_and_leave_nothing() {
    // A thousand take minutes in a build for tests.
    let count = std::env::var("NETLOOM_NODES")
        .ok()
        .and_then(|it| it.parse().ok())
        .unwrap_or(100_u64);
    let mut world = World::new(4, count, calm(20));
    world.run(5_000);
    let (swaps, conflicts, claims) = (world.store.swaps, world.store.conflicts, world.claims);
    let took = add_all(&mut world, 0..count * 100, "10.0.0.1", "10.7.255.254", 3);
    let claims = world.claims - claims;
    let tried = world.store.swaps - swaps + world.store.conflicts - conflicts;
    println!(
        "{count} nodes × 100 pods: {claims} claims, {tried} swaps tried, {took} ms of virtual time"
    );
    assert_eq!(
        world.added.len() as u64,
        count * 100,
        "{:?}",
        world.failed_adds.first()
    );
    assert!(claims <= count * 6, "{claims} claims");
    assert!(
        tried * 10 <= claims * 12,
        "{tried} swaps for {claims} claims"
    );
    // One node of twenty dies for good.
    for node in (0..count as usize).step_by(20) {
        world.nodes[node].is_cut_off = true;
        world.reboot(node, true);
        world.remove_fenced(node);
    }
    del_all(&mut world);
    world.run(400_000);
    let living = world.nodes.iter().filter(|it| !it.is_fenced);
    let living: BTreeSet<_> = living.map(|it| it.name.clone()).collect();
    let mut granted = 0_u32;
    for (key, record) in world.store.blocks() {
        for entry in record.entries() {
            assert!(living.contains(&entry.node), "{key} has {entry:?}");
            granted += u32::from(entry.span.len());
        }
    }
    println!("{granted} addresses are spare afterwards");
    assert!(
        granted <= count as u32 * 64,
        "{granted} addresses are granted to nodes without pods"
    );
}

#[test]
fn a_claim_right_after_another_begins_at_once() {
    let mut world = World::new(15, 1, calm(1));
    world.run(3_000);
    for pod in 0..10 {
        // Of a block in which the node holds nothing yet.
        let (first, last) = (format!("10.9.{pod}.1"), format!("10.9.{pod}.62"));
        world.add(0, pod, vec![set(&first, &last)], 5_000);
        world.run(40);
        assert!(world.added.contains_key(&pod), "pod {pod} waits");
    }
    assert_eq!(world.claims, 10);
}

#[test]
fn a_pool_with_as_many_addresses_as_pods_is_used_to_the_last_one() {
    let mut world = World::new(5, 10, calm(10));
    world.run(3_000);
    for round in 0..2_u64 {
        let (tried, claims) = (world.store.swaps + world.store.conflicts, world.claims);
        let pods = round * 1_000..(round + 1) * 1_000;
        let took = add_all(&mut world, pods, "10.9.0.1", "10.9.3.232", 6);
        let tried = world.store.swaps + world.store.conflicts - tried;
        let claims = world.claims - claims;
        println!("1,000 pods: {claims} claims, {tried} swaps tried, {took} ms of virtual time");
        assert_eq!(world.added.len(), 1_000, "{:?}", world.failed_adds.last());
        assert!(took <= 15_000, "{took} ms of virtual time");
        del_all(&mut world);
    }
    world.run(500_000);
    world.check_rest();
    let spare: usize = world
        .nodes
        .iter()
        .map(|it| it.disk.file().unwrap().grants.len())
        .sum();
    assert!(spare <= 10, "{spare} grants stay with nodes without pods");
}

/// All that a node was given of one range goes on to its pods, and few of these stay.
fn fill_and_leave(world: &mut World, pods: std::ops::Range<u64>, range: (&str, &str), stay: u64) {
    for pod in pods.clone() {
        world.add(0, pod, vec![set(range.0, range.1)], 5_000);
    }
    world.run(5_000);
    assert!(pods.clone().all(|pod| world.added.contains_key(&pod)));
    for pod in pods.skip(stay as usize) {
        world.del(0, pod);
    }
}

#[test]
fn who_lacks_addresses_of_one_range_is_given_of_that_range_though_others_have_more() {
    let (narrow, wide) = (("10.9.0.0", "10.9.0.63"), ("10.9.1.0", "10.9.1.255"));
    for seed in 0..16 {
        let mut world = World::new(5_000 + seed, 2, calm(10));
        world.run(3_000);
        // Of the one range the node has little to spare, of the other a lot.
        fill_and_leave(&mut world, 0..64, narrow, 60);
        fill_and_leave(&mut world, 100..356, wide, 1);
        world.run(500);
        for pod in 1_000..1_004 {
            world.add(1, pod, vec![set(narrow.0, narrow.1)], 5_000);
        }
        world.run(2_000);
        let served = (1_000..1_004).filter(|pod| world.added.contains_key(pod));
        assert_eq!(served.count(), 4, "seed {seed}: {:?}", world.failed_adds);
        // And nothing of the other range went back for it.
        assert!(world.gone_back < 16, "seed {seed}: {}", world.gone_back);
        del_all(&mut world);
        world.run(500_000);
        world.check_rest();
    }
}

#[test]
fn both_sides_of_a_split_go_on_with_what_they_hold_and_share_nothing() {
    let mut world = World::new(6, 7, calm(10));
    world.run(3_000);
    let pool = ("10.9.0.1", "10.9.1.254");
    let mut pod = 0;
    let mut add_on = |world: &mut World, nodes: std::ops::Range<usize>, count: u64| {
        for _ in 0..count {
            for node in nodes.clone() {
                pod += 1;
                world.add(node, pod, vec![set(pool.0, pool.1)], 3_000);
            }
            world.run(50);
        }
        world.run(4_000);
    };
    add_on(&mut world, 0..7, 10);
    assert_eq!(world.added.len(), 70);
    for node in 4..7 {
        world.nodes[node].is_cut_off = true;
        world.disconnect(node);
    }
    add_on(&mut world, 0..7, 140);
    // The side with the store used up all that the others do not hold.
    assert!(world.added.values().filter(|(node, _)| *node < 4).count() > 300);
    let reason = world
        .failed_adds
        .iter()
        .find(|it| it.contains("store does not answer"));
    assert!(reason.is_some(), "{:?}", world.failed_adds.last());
    let reason = world
        .failed_adds
        .iter()
        .find(|it| it.contains("are granted, most to"));
    assert!(reason.is_some(), "{:?}", world.failed_adds.last());
    // The administrator says that one of the three is gone, which it is not.
    let fenced: Vec<IpAddr> = world
        .living
        .iter()
        .filter(|(_, it)| it.0 == 6)
        .map(|it| *it.0)
        .collect();
    assert!(!fenced.is_empty());
    world.remove_fenced(6);
    add_on(&mut world, 0..4, 20);
    let again = fenced.iter().filter(|it| world.living[*it].0 != 6).count();
    assert!(again > 0, "what the fenced node had is given to others");
    for node in 4..7 {
        world.nodes[node].is_cut_off = false;
        world.connect(node);
    }
    world.run(60_000);
    let left = world.nodes[6].disk.file().unwrap();
    let said = world
        .said
        .iter()
        .filter(|line| line.contains("not this node's any more"))
        .count();
    assert!(said > 0, "nobody says what was taken away");
    for grant in &left.grants {
        assert!(
            fenced.iter().all(|it| !grant.contains(*it)),
            "{grant:?} is still held"
        );
    }
    world.nodes[6].is_fenced = false;
    for node in 0..7 {
        for (pod, (on, _)) in world.added.clone() {
            if on == node {
                world.del(node, pod);
            }
        }
    }
    world.living.clear();
    world.run(500_000);
    world.check_rest();
}

fn address_of(world: &World, pod: u64) -> Option<IpAddr> {
    world.added.get(&pod).map(|(_, addresses)| addresses[0])
}

#[test]
fn a_kept_address_goes_on_with_its_pod_and_a_late_del_frees_nothing() {
    let mut world = World::new(7, 3, calm(10));
    world.run(3_000);
    let pool = || set("10.9.0.1", "10.9.3.254");
    world.add_kept(0, 1, "ns/db-0", pool(), Keep::Always);
    world.run(1_000);
    let address = address_of(&world, 1).expect("an address");
    // While the pod has it, nobody else gets it, not even its own name.
    world.add_kept(1, 2, "ns/db-0", pool(), Keep::Always);
    world.run(6_000);
    assert_eq!(address_of(&world, 2), None);
    let refused = world.failed_adds.pop().unwrap();
    assert!(refused.contains("is pod ns/db-0's on node n0"), "{refused}");
    // After its DEL the pod comes back elsewhere.
    world.del(0, 1);
    world.run(3_000);
    world.add_kept(1, 3, "ns/db-0", pool(), Keep::Always);
    world.run(1_000);
    assert_eq!(address_of(&world, 3), Some(address));
    // The old container's DEL comes once more, and late.
    world.del(0, 1);
    world.run(120_000);
    let keys: Vec<_> = world
        .store
        .blocks()
        .flat_map(|(_, it)| it.entries().to_vec())
        .collect();
    let own = keys
        .iter()
        .find(|it| it.pin.is_some())
        .expect("the address is in the store");
    assert_eq!(own.node.as_str(), "n1");
    // Others, with other names, get other addresses, however long the pod is away.
    world.del(1, 3);
    world.run(700_000);
    world.add_kept(2, 4, "ns/db-1", pool(), Keep::Seconds(60));
    world.run(1_000);
    assert_ne!(address_of(&world, 4), Some(address));
    world.add_kept(2, 5, "ns/db-0", pool(), Keep::Always);
    world.run(1_000);
    assert_eq!(address_of(&world, 5), Some(address));
    // A time that was set ends.
    world.del(2, 4);
    world.run(200_000);
    let pins = world
        .store
        .blocks()
        .flat_map(|(_, it)| it.entries().to_vec());
    let pins: Vec<_> = pins.filter_map(|it| it.pin).map(|it| it.pod).collect();
    assert_eq!(pins, ["ns/db-0"]);
}

#[test]
fn a_kept_address_of_a_removed_node_goes_to_its_pod_elsewhere() {
    let mut world = World::new(8, 2, calm(10));
    world.run(3_000);
    let pool = || set("10.9.0.1", "10.9.3.254");
    world.add_kept(0, 1, "ns/db-0", pool(), Keep::Always);
    world.run(1_000);
    let address = address_of(&world, 1).expect("an address");
    world.nodes[0].is_cut_off = true;
    world.disconnect(0);
    world.reboot(0, true);
    world.add_kept(1, 2, "ns/db-0", pool(), Keep::Always);
    world.run(6_000);
    assert_eq!(address_of(&world, 2), None, "silence alone ends nothing");
    world.remove_fenced(0);
    world.add_kept(1, 3, "ns/db-0", pool(), Keep::Always);
    world.run(1_000);
    assert_eq!(address_of(&world, 3), Some(address));
}

#[test]
fn a_wiped_store_gives_nothing_before_every_known_node_has_told_it_what_it_holds() {
    let mut world = World::new(9, 3, calm(10));
    world.run(3_000);
    for pod in 0..30 {
        world.add(
            (pod % 3) as usize,
            pod,
            vec![set("10.9.0.1", "10.9.0.126")],
            5_000,
        );
    }
    world.run(3_000);
    assert_eq!(world.added.len(), 30);
    let before: Vec<_> = world
        .nodes
        .iter()
        .map(|it| it.disk.file().unwrap().grants)
        .collect();
    world.nodes[2].is_cut_off = true;
    world.disconnect(2);
    world.replace_store(None);
    world.run(60_000);
    for pod in 100..130 {
        world.add(0, pod, vec![set("10.9.0.1", "10.9.0.126")], 5_000);
    }
    world.run(6_000);
    let refused = world.failed_adds.last().cloned().unwrap_or_default();
    assert!(
        refused.contains("nothing is claimed before nodes n2 have told it"),
        "{refused}"
    );
    world.nodes[2].is_cut_off = false;
    world.connect(2);
    world.run(5_000);
    let after: Vec<_> = world
        .nodes
        .iter()
        .map(|it| it.disk.file().unwrap().grants)
        .collect();
    assert_eq!(before, after, "every node has what it had");
    for pod in 200..210 {
        world.add(0, pod, vec![set("10.9.0.1", "10.9.0.126")], 5_000);
    }
    world.run(6_000);
    assert!((200..210).all(|pod| world.added.contains_key(&pod)));
}

#[test]
fn a_node_that_never_comes_back_is_waited_for_only_so_long() {
    let mut world = World::new(10, 2, calm(10));
    world.run(3_000);
    world.nodes[1].is_cut_off = true;
    world.disconnect(1);
    world.replace_store(None);
    world.run(610_000);
    world.add(0, 1, vec![set("10.9.0.1", "10.9.0.126")], 5_000);
    world.run(6_000);
    assert!(world.added.contains_key(&1), "{:?}", world.failed_adds);
}

#[test]
fn ten_minutes_without_the_store_change_nothing_for_pods_that_fit() {
    let mut world = World::new(11, 3, calm(10));
    world.run(3_000);
    let pool = || vec![set("10.9.0.1", "10.9.3.254")];
    for node in 0..3 {
        world.add(node, node as u64, pool(), 5_000);
    }
    world.run(2_000);
    world.store_is_up = false;
    (0..3).for_each(|node| world.disconnect(node));
    for round in 0..60_u64 {
        for node in 0..3 {
            let pod = 100 + round * 3 + node as u64;
            world.add(node, pod, pool(), 5_000);
            world.del(node, pod);
        }
        if round == 30 {
            world.crash(1);
        }
        world.run(10_000);
    }
    assert!(world.failed_adds.is_empty(), "{:?}", world.failed_adds);
    world.store_is_up = true;
    let swaps = world.store.swaps;
    (0..3).for_each(|node| world.connect(node));
    world.run(5_000);
    assert_eq!(world.store.swaps, swaps, "nothing had to be changed");
}

/// Everybody asks for what others just gave back, so that a request that comes once more, long after,
/// meets a record that others changed, emptied, or removed meanwhile.
fn ask_in_turn(world: &mut World, rounds: u64) {
    // Tight, so that what one node gives back another one claims at once.
    let pool = || vec![set("10.9.0.1", "10.9.0.94")];
    for round in 0..rounds {
        for node in 0..4 {
            for pod in 0..90 {
                let pod = (round * 4 + node) * 90 + pod;
                world.add(node as usize, pod, pool(), 5_000);
            }
            world.run(6_000);
            if round % 2 == 1 {
                world.crash(node as usize);
            }
            del_all(world);
            // Now and then all of it goes back, and the records with it.
            if world.random.happens(250) {
                world.run(150_000);
            }
        }
    }
}

#[test]
fn requests_that_come_twice_leave_nothing_behind() {
    let mut removed = 0;
    for (seed, again) in (0..24).zip([100, 10_000, 115_000].into_iter().cycle()) {
        let faults = Faults {
            twice: 1_000,
            again,
            lost: seed % 2 * 50,
            ..calm(50)
        };
        let mut world = World::new(1_000 + seed, 4, faults);
        world.run(3_000);
        ask_in_turn(&mut world, 4);
        assert!(world.gone_back > 100, "seed {seed}: {}", world.gone_back);
        removed += world.removed;
        world.faults = Faults::NONE;
        world.run(500_000);
        world.check_rest();
    }
    assert!(removed > 20, "only {removed} records are removed");
}
