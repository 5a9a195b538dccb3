//! Records by a stranger.

use crate::random::Random;
use crate::world::{Faults, World, set, space};
use netloom_cluster::grid::Block;
use netloom_cluster::key;
use netloom_cluster::record::{AliveRecord, BlockRecord, NodeRecord, WantRecord};

/// A record that looks right, with something in it changed.
fn lie(random: &mut Random) -> Vec<u8> {
    let true_ones: [&[u8]; 4] = [
        br#"{"v":1,"grants":[{"at":0,"len":16,"node":"n1","epoch":3},{"at":16,"len":1,"node":"n2","epoch":4,"pin":{"pod":"ns/a","uid":"u","state":"kept","until":5}}]}"#,
        br#"{"v":1,"machine":"m","boot":"b","addresses":["10.0.0.1"],"podCidrs":["10.9.0.0/24"],"version":"1","announced":"store-1","settled":true}"#,
        br#"{"v":1,"missing":4,"ranges":[{"start":"10.9.0.1","end":"10.9.0.9"}],"exact":["10.9.0.7"]}"#,
        br#"{"v":1,"instance":"i"}"#,
    ];
    let mut bytes = true_ones[random.below(4) as usize].to_vec();
    for _ in 0..random.between(1, 4) {
        let at = random.below(bytes.len() as u64) as usize;
        match random.below(5) {
            0 => bytes[at] = random.next() as u8,
            1 if bytes.len() > 1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, b"0123456789\"{}[],:-"[random.below(18) as usize]),
            3 => bytes.truncate(at.max(1)),
            _ => {
                let part = bytes[at..].to_vec();
                bytes.extend(part);
            }
        }
    }
    bytes
}

#[test]
fn ten_thousand_lies_are_refused_or_mean_what_they_say() {
    let mut random = Random::new(10);
    let mut refused = 0;
    for _ in 0..10_000 {
        let bytes = lie(&mut random);
        match BlockRecord::parse(&bytes) {
            Ok(record) => assert_eq!(BlockRecord::parse(&record.to_json()), Ok(record)),
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().contains('\n'));
            }
        }
        if let Ok(record) = NodeRecord::parse(&bytes) {
            assert_eq!(NodeRecord::parse(&record.to_json()), Ok(record));
        }
        if let Ok(record) = WantRecord::parse(&bytes) {
            assert_eq!(WantRecord::parse(&record.to_json()), Ok(record));
        }
        drop(AliveRecord::parse(&bytes));
    }
    assert!(refused > 5_000, "{refused}");
}

#[test]
fn blocks_that_cannot_be_understood_are_left_alone_and_the_others_are_used() {
    let mut world = World::new(12, 2, Faults::NONE);
    let blocks: Vec<_> = (0..8)
        .map(|at| Block::of(format!("10.9.{}.{}", at / 4, at % 4 * 64).parse().unwrap()))
        .collect();
    let lies: [&[u8]; 4] = [
        b"",
        b"{\"v\":2,\"grants\":[]}",
        b"{\"v\":1,\"grants\":[{\"at\":0,\"len\":64,\"node\":\"n1\",\"epoch\":1},{\"at\":0,\"len\":1,\"node\":\"n0\",\"epoch\":1}]}",
        b"\xff\xff",
    ];
    for (block, lie) in blocks[..4].iter().zip(lies) {
        world
            .store
            .put(&key::block(&space(), *block), Some(lie.to_vec()), None);
    }
    // A grant in our own name that we know nothing of is ours, and nothing is given out of thin air.
    let own = b"{\"v\":1,\"grants\":[{\"at\":0,\"len\":64,\"node\":\"n0\",\"epoch\":1}]}";
    world
        .store
        .put(&key::block(&space(), blocks[4]), Some(own.to_vec()), None);
    let before: Vec<_> = blocks[..4]
        .iter()
        .map(|it| world.store.bytes(&key::block(&space(), *it)))
        .collect();
    world.run(3_000);
    for pod in 0..250 {
        world.add(
            (pod % 2) as usize,
            pod,
            vec![set("10.9.0.0", "10.9.1.255")],
            5_000,
        );
        world.run(20);
    }
    world.run(10_000);
    assert_eq!(world.added.len(), 250, "{:?}", world.failed_adds.last());
    assert!(world.living.keys().all(|it| Block::of(*it) >= blocks[4]));
    let after: Vec<_> = blocks[..4]
        .iter()
        .map(|it| world.store.bytes(&key::block(&space(), *it)))
        .collect();
    assert_eq!(before, after);
}
