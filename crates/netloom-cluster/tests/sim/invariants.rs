//! Promises, each in the situation in which a wrong order of effects breaks it: a grant leaves the disk
//! before it leaves the store, after a boot nothing is given before it was compared, and what an earlier
//! start of a daemon asked for is nobody's loss.

use crate::world::{Faults, World, set};
use netloom_cluster::message::WantedSet;
use std::net::IpAddr;

fn pool() -> Vec<WantedSet> {
    vec![set("10.9.0.1", "10.9.0.126")]
}

fn living_on(world: &World, node: usize) -> Vec<u64> {
    let pods = world.added.iter().filter(|(_, (on, _))| *on == node);
    pods.map(|(pod, _)| *pod).collect()
}

/// All pods go, and what was begun ends.
fn come_to_rest(world: &mut World) {
    world.faults = Faults::NONE;
    world.run(60_000);
    for node in 0..world.nodes.len() {
        for pod in living_on(world, node) {
            world.del(node, pod);
        }
    }
    world.run(500_000);
    world.check_rest();
}

/// One node has it all and spares it, while its pods come and go at every moment; another one lacks it.
fn hand_over(world: &mut World, from: usize, to: usize, pods: &mut u64) {
    for _ in 0..100 {
        *pods += 1;
        world.add(from, *pods, pool(), 3_000);
    }
    world.run(4_000);
    let held = living_on(world, from);
    for pod in &held[held.len().min(4)..] {
        world.del(from, *pod);
    }
    for round in 0..400_u64 {
        if round % 100 == 0 {
            for _ in 0..40 {
                *pods += 1;
                world.add(to, *pods, pool(), 5_000);
            }
        }
        *pods += 1;
        world.add(from, *pods, pool(), 20);
        let held = living_on(world, from);
        if held.len() > 4 {
            world.del(from, held[0]);
        }
        world.run(1 + round % 3);
    }
    world.run(6_000);
    for pod in living_on(world, to) {
        world.del(to, pod);
    }
}

#[test]
fn what_goes_back_leaves_the_disk_before_the_store_wherever_it_stops() {
    let mut gone_back = 0;
    for seed in 0..24 {
        let faults = Faults {
            delay: 1 + seed % 4 * 10,
            lost: seed % 2 * 40,
            crash: seed % 3 * 4,
            disk_fails: seed % 5 * 80,
            ..Faults::NONE
        };
        let mut world = World::new(2_000 + seed, 3, faults);
        world.run(3_000);
        let mut pods = 0;
        for (from, to) in [(0, 1), (1, 2), (2, 0)] {
            hand_over(&mut world, from, to, &mut pods);
        }
        assert!(world.gone_back > 0, "seed {seed}: nothing goes back");
        gone_back += world.gone_back;
        come_to_rest(&mut world);
    }
    assert!(gone_back > 1_000, "only {gone_back} addresses went back");
}

fn wide() -> Vec<WantedSet> {
    vec![set("10.9.0.1", "10.9.1.254")]
}

/// Gives a node grants in several blocks.
fn fill(world: &mut World, node: usize, pods: std::ops::Range<u64>, sets: &[WantedSet]) {
    for pod in pods {
        world.add(node, pod, sets.to_vec(), 5_000);
    }
    world.run(6_000);
}

fn blocks_of(world: &World, node: usize) -> usize {
    let grants = world.nodes[node].disk.file().unwrap_or_default().grants;
    let blocks: std::collections::BTreeSet<_> = grants.iter().map(|it| it.block).collect();
    blocks.len()
}

#[test]
fn after_a_boot_nothing_is_given_before_the_store_has_said_what_is_the_nodes() {
    for seed in 0..16 {
        let faults = Faults {
            delay: 1 + seed * 5,
            ..Faults::NONE
        };
        let mut world = World::new(3_000 + seed, 2, faults);
        world.run(3_000);
        fill(&mut world, 0, 0..200, &wide());
        world.faults.disk_fails = seed % 3 * 150;
        world.faults.lost = seed % 4 * 50;
        assert!(
            blocks_of(&world, 0) > 1,
            "seed {seed}: {:?}",
            world.failed_adds
        );
        // Cut off, it gives on of what it holds. After a boot it does not.
        world.nodes[0].is_cut_off = true;
        world.disconnect(0);
        let pod = living_on(&world, 0)[0];
        world.del(0, pod);
        world.run(100);
        world.add(0, 1_000, wide(), 3_000);
        world.reboot(0, false);
        let given = world.adds;
        world.run(6_000);
        for pod in 2_000..2_010 {
            world.add(0, pod, wide(), 2_000);
        }
        world.run(4_000);
        assert_eq!(world.adds, given, "seed {seed}: given without the store");
        // Asked while it compares, it answers when it has.
        world.nodes[0].is_cut_off = false;
        world.connect(0);
        for pod in 3_000..3_040 {
            world.add(0, pod, wide(), 5_000);
            world.run(3);
        }
        world.run(30_000);
        fill(&mut world, 0, 3_100..3_110, &wide());
        assert!((3_100..3_110).all(|pod| world.added.contains_key(&pod)));
        come_to_rest(&mut world);
    }
}

#[test]
fn what_a_node_lost_while_it_was_off_is_not_given_when_it_is_back() {
    for seed in 0..16 {
        let faults = Faults {
            delay: 1 + seed * 5,
            ..Faults::NONE
        };
        let mut world = World::new(4_000 + seed, 2, faults);
        world.run(3_000);
        fill(&mut world, 0, 0..60, &pool());
        let had: Vec<IpAddr> = world.living.keys().copied().collect();
        assert!(had.len() == 60, "seed {seed}: {:?}", world.failed_adds);
        world.nodes[0].is_cut_off = true;
        world.disconnect(0);
        world.reboot(0, false);
        // It is off, so that `remove` is right.
        world.remove_fenced(0);
        world.nodes[0].is_fenced = false;
        fill(&mut world, 1, 1_000..1_120, &pool());
        let others = had.iter().filter(|it| world.living.contains_key(*it));
        assert!(others.count() > 30, "seed {seed}: {:?}", world.failed_adds);
        for pod in 2_000..2_010 {
            world.add(0, pod, pool(), 2_000);
        }
        world.run(3_000);
        world.nodes[0].is_cut_off = false;
        world.connect(0);
        for pod in 3_000..3_100 {
            world.add(0, pod, pool(), 5_000);
            world.run(1);
        }
        assert!(living_on(&world, 0).len() < 10, "seed {seed}");
        for pod in living_on(&world, 1) {
            world.del(1, pod);
        }
        world.run(10_000);
        assert!(
            !living_on(&world, 0).is_empty(),
            "seed {seed}: {:?}",
            world.failed_adds
        );
        come_to_rest(&mut world);
    }
}

#[test]
fn a_claim_that_arrives_when_its_daemon_has_died_and_is_back_leaves_nothing_behind() {
    for seed in 0..24 {
        let mut world = World::new(6_000 + seed, 2, Faults::NONE);
        world.run(3_000);
        let swaps = world.store.swaps;
        world.faults.late = 1_000;
        world.add(0, 1, pool(), 3_000);
        world.run(100);
        world.crash(0);
        world.faults = Faults::NONE;
        world.run(50_000);
        assert!(world.store.swaps > swaps, "seed {seed}: nothing is claimed");
        world.check_rest();
    }
}
