//! The measuring itself, in the throw-away host.

use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Order;
use super::burst;
use super::call::Job;
use super::cluster;
use super::connect;
use super::contender::Contender;
use super::cpu;
use super::host;
use super::pods;
use super::report::{Report, Row};
use super::scenario::{self, Part, Scenario};
use super::side::Pod;
use super::statistics::{Samples, milliseconds};
use super::topology;

/// Before each call: what the kernel put off from the call before is mostly done by then.
const PAUSE: Duration = Duration::from_millis(10);

pub(crate) fn run(order: &str) -> Result<ExitCode> {
    let order: Order = serde_json::from_str(order).context("only cargo xtask bench calls this")?;
    host::prepare()?;
    cpu::adopt()?;
    host::empty(&order.state)?;
    let only = order.only.as_deref().unwrap_or_default();
    let scenarios: Vec<_> = scenario::all()
        .into_iter()
        .filter(|scenario| scenario.name.contains(only))
        .collect();
    ensure!(
        !scenarios.is_empty(),
        "no scenario's name contains {only:?}"
    );
    let mut report = Report::new(&order);
    for scenario in &scenarios {
        eprintln!("measuring {} ({})", scenario.name, scenario.what);
        let measured = match scenario.at_once {
            _ if scenario.topologies => {
                topology::measure(scenario, &order).map(|rows| report.rows.extend(rows))
            }
            _ if scenario.runs => {
                pods::measure(scenario, &order).map(|rows| report.rows.extend(rows))
            }
            _ if scenario.cluster.is_some() => of_cluster(scenario, &order, &mut report),
            _ if scenario.connects => {
                connect::measure(scenario, &order).map(|rows| report.rows.extend(rows))
            }
            0 => measure(scenario, &order).map(|rows| report.rows.extend(rows)),
            _ => burst::measure(scenario, &order).map(|bursts| report.bursts.extend(bursts)),
        };
        host::remove_bridges();
        if let Err(error) = measured {
            report.errors.push(format!("{}: {error:#}", scenario.name));
        }
        fs::remove_dir_all(&order.state).context("cannot remove the bench's state")?;
        host::empty(&order.state)?;
    }
    fs::remove_dir_all(&order.state).context("cannot remove the bench's state")?;
    report.print();
    fs::write(&order.json, serde_json::to_vec_pretty(&report.json())?)
        .with_context(|| format!("cannot write {}", order.json.display()))?;
    println!("\nall numbers: {}", order.json.display());
    Ok(if report.errors.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A part of the cluster's daemon and plugin.
fn of_cluster(scenario: &Scenario, order: &Order, report: &mut Report) -> Result<()> {
    match scenario.cluster.context("a part of the cluster")? {
        Part::AtHand => {
            let _node = cluster::Node::start(order, 1)?;
            report.rows.extend(measure(scenario, order)?);
        }
        Part::Claim { members } => {
            report.rows.push(cluster::claims(scenario, order, members)?);
        }
        Part::Peers { vxlan } => {
            let (rows, memory) = cluster::peers(scenario, order, vxlan)?;
            report.rows.extend(rows);
            report.figures.extend(memory);
        }
    }
    Ok(())
}

/// One contender during a scenario.
struct Lane<'s> {
    contender: &'s Contender,
    pods: Vec<Pod>,
    /// Other pods that are there meanwhile, each with what ADD answered.
    crowd: Vec<(Pod, Vec<u8>)>,
    /// How many these are to be.
    crowd_size: u16,
    add: Samples,
    check: Samples,
    del: Samples,
    /// What ADD answered for the pod that stays.
    answer: Vec<u8>,
    /// Whether another attachment comes and goes before each ADD.
    settles: bool,
}

fn measure(scenario: &Scenario, order: &Order) -> Result<Vec<Row>> {
    let contenders = (scenario.prepare)(scenario, order)?;
    let rounds = (order.rounds * scenario.times).min(scenario.most_rounds);
    let mut lanes = Vec::new();
    for contender in &contenders {
        lanes.push(Lane::new(contender, scenario, rounds)?);
    }
    for lane in &mut lanes {
        lane.warm_up()?;
    }
    for round in 0..rounds {
        for index in turns(lanes.len(), round) {
            lanes[index].round(round)?;
        }
    }
    for lane in &lanes {
        lane.take_down()?;
    }
    Ok(rows(scenario, lanes))
}

/// Who follows whom changes from round to round: A B, B A, and with three also who is in the middle.
fn turns(count: usize, round: u16) -> Vec<usize> {
    let round = usize::from(round);
    let mut turns: Vec<usize> = (0..count).collect();
    if round % 2 == 1 {
        turns.reverse();
    }
    turns.rotate_left(round / 2 % count.max(1));
    turns
}

impl<'s> Lane<'s> {
    /// Makes all pods beforehand, with one for the warm-up and one that stays on the bridge.
    fn new(contender: &'s Contender, scenario: &Scenario, rounds: u16) -> Result<Self> {
        let side = contender.side.name();
        let crowd = rounds + 2..rounds + 2 + scenario.crowd;
        let crowd = crowd.map(|number| Ok((host::pod(&scenario.name, side, number)?, Vec::new())));
        let pods = (0..rounds + 2).map(|number| match scenario.pods {
            true => host::pod(&scenario.name, side, number),
            false => Ok(Pod {
                id: host::container_id(&scenario.name, side, number),
                netns: host::SPARE.into(),
                number,
            }),
        });
        let pods = pods.collect::<Result<_>>()?;
        Ok(Self {
            contender,
            pods,
            crowd: crowd.collect::<Result<_>>()?,
            crowd_size: scenario.crowd,
            add: Samples::default(),
            check: Samples::default(),
            del: Samples::default(),
            answer: Vec::new(),
            settles: !scenario.pods,
        })
    }

    /// A node in use has its bridge, its chains and other pods: one pod is added and stays, another comes and goes.
    fn warm_up(&mut self) -> Result<()> {
        let [.., stays, goes] = self.pods.as_slice() else {
            return Ok(());
        };
        let (time, answer) = self.contender.add(stays)?.time()?;
        self.answer = answer;
        self.add.first = Some(milliseconds(time));
        let (_, answer) = self.contender.add(goes)?.time()?;
        if let Some(mut del) = self.contender.del(goes, &answer)? {
            self.del.first = Some(milliseconds(del.time()?.0));
        }
        for (pod, answer) in &mut self.crowd {
            *answer = self.contender.add(pod)?.time()?.1;
        }
        Ok(())
    }

    fn take_down(&self) -> Result<()> {
        let [.., stays, _] = self.pods.as_slice() else {
            return Ok(());
        };
        let crowd = self.crowd.iter().map(|(pod, answer)| (pod, answer));
        for (pod, answer) in crowd.chain([(stays, &self.answer)]) {
            if let Some(mut del) = self.contender.del(pod, answer)? {
                del.time()?;
            }
        }
        Ok(())
    }

    /// A call without a pod takes a fraction of a millisecond, and after the Go plugins have read 60,000 files the
    /// next call of anybody waits for memory. So another attachment comes and goes before each of these, as on a node
    /// where only one of the contenders runs.
    fn settle(&self) -> Result<()> {
        self.contender.warm_up()?;
        let Some(goes) = self.pods.last().filter(|_| self.settles) else {
            return Ok(());
        };
        let (_, answer) = self.contender.add(goes)?.time()?;
        match self.contender.del(goes, &answer)? {
            Some(mut del) => del.time().map(drop),
            None => Ok(()),
        }
    }

    fn round(&mut self, round: u16) -> Result<()> {
        let pod = &self.pods[usize::from(round)];
        let mut add = self.contender.add(pod)?;
        std::thread::sleep(PAUSE);
        self.settle()?;
        let answer = self.add.measure(&mut add)?;
        if let Some(mut check) = self.check(pod, &answer)? {
            std::thread::sleep(PAUSE);
            self.contender.warm_up()?;
            self.check.measure(&mut check)?;
        }
        if let Some(mut del) = self.contender.del(pod, &answer)? {
            std::thread::sleep(PAUSE);
            self.contender.warm_up()?;
            self.del.measure(&mut del)?;
        }
        Ok(())
    }

    /// CHECK, where it is measured.
    fn check(&self, pod: &Pod, answer: &[u8]) -> Result<Option<Job>> {
        match self.crowd_size {
            0 => Ok(None),
            _ => self.contender.check(pod, answer),
        }
    }
}

fn rows(scenario: &Scenario, lanes: Vec<Lane<'_>>) -> Vec<Row> {
    let starts_only = lanes.iter().all(|lane| lane.del.times.is_empty());
    let mut add = Row::new(scenario, if starts_only { "VERSION" } else { "ADD" });
    let mut check = Row::new(scenario, "CHECK");
    let mut del = Row::new(scenario, "DEL");
    for lane in lanes {
        if !lane.check.times.is_empty() {
            check.samples.insert(lane.contender.side, lane.check);
        }
        add.samples.insert(lane.contender.side, lane.add);
        del.samples.insert(lane.contender.side, lane.del);
    }
    match (starts_only, check.samples.is_empty()) {
        (true, _) => vec![add],
        (false, true) => vec![add, del],
        (false, false) => vec![add, check, del],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_goes_first_equally_often() {
        for count in [2, 3] {
            let rounds = 12;
            let mut firsts = vec![0; count];
            for round in 0..rounds {
                let turns = turns(count, round);
                firsts[turns[0]] += 1;
                let mut all = turns.clone();
                all.sort_unstable();
                assert_eq!(all, (0..count).collect::<Vec<_>>());
            }
            assert!(
                firsts.iter().all(|first| *first == 12 / count),
                "{firsts:?}"
            );
        }
    }
}
