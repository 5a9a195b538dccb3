//! An ADD that has to claim, beside the bare transaction.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Node;
use super::gateway::Gateway;
use crate::bench::Order;
use crate::bench::host;
use crate::bench::report::Row;
use crate::bench::scenario::{Scenario, claiming};
use crate::bench::side::{Pod, Side};
use crate::bench::statistics::Samples;

/// Before each measurement: what the daemon does behind an ADD is done by then.
const PAUSE: Duration = Duration::from_millis(50);
/// The block of the warm-up.
const SPARE: u16 = 1000;
/// As long as the record of a block with one grant.
const RECORD: &str = r#"{"v":1,"grants":[{"at":0,"len":1,"node":"bench","epoch":0}]}"#;

/// A row for a store of so many members.
pub(crate) fn measure(scenario: &Scenario, order: &Order, members: u8) -> Result<Row> {
    let node = Node::start(order, members)?;
    let mut gateway = node.store.connect()?;
    let mut row = Row::new(scenario, "ADD");
    let (mut ours, mut floor) = (Samples::default(), Samples::default());
    add(
        scenario,
        order,
        &mut gateway,
        SPARE,
        &mut Samples::default(),
    )?;
    bare(&mut gateway, SPARE, &mut Samples::default())?;
    for round in 0..(order.rounds * scenario.times).min(scenario.most_rounds) {
        if round % 2 == 0 {
            add(scenario, order, &mut gateway, round, &mut ours)?;
            bare(&mut gateway, round, &mut floor)?;
        } else {
            bare(&mut gateway, round, &mut floor)?;
            add(scenario, order, &mut gateway, round, &mut ours)?;
        }
    }
    row.samples.insert(Side::Ours, ours);
    row.samples.insert(Side::Floor, floor);
    Ok(row)
}

/// An ADD on a block of its own; fails unless it changed the store.
fn add(
    scenario: &Scenario,
    order: &Order,
    gateway: &mut Gateway,
    number: u16,
    samples: &mut Samples,
) -> Result<()> {
    let contender = claiming(scenario, order, number);
    let pod = Pod {
        id: host::container_id(&scenario.name, "ours", number),
        netns: host::SPARE.into(),
        number,
    };
    let mut job = contender.add(&pod)?;
    std::thread::sleep(PAUSE);
    contender.warm_up()?;
    let before = gateway.revision()?;
    samples.measure(&mut job)?;
    let after = gateway.revision()?;
    ensure!(after > before, "an ADD claimed nothing of block {number}");
    Ok(())
}

fn bare(gateway: &mut Gateway, number: u16, samples: &mut Samples) -> Result<()> {
    std::thread::sleep(PAUSE);
    // The connection is as warm as the daemon's.
    gateway.revision()?;
    let begin = Instant::now();
    gateway.claim(&format!("/bench/{number}"), RECORD)?;
    samples.push(begin.elapsed());
    Ok(())
}
