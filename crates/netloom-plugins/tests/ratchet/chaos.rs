//! Pods that come, go, die and come again at random, against what should be there.

use crate::lab::{Lab, conf, files, has, lab, link};
use netloom_testkit::{Faults, Pod};
use serde_json::Value;
use std::net::Ipv4Addr;

const PODS: usize = 5;
const STEPS: usize = 60;

/// What the sequence of steps follows from; a failure prints its own.
const SEEDS: [u64; 3] = [1, 20_261_129, 0x006e_6c00];

struct Random(u64);

impl Random {
    /// Less than `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }
}

/// One container after another of each pod: its namespace, and whether that lives.
struct Model {
    lab: Lab,
    living: [Option<Pod>; PODS],
    /// Containers whose DEL has not come yet, and whose pods they were.
    late: Vec<(usize, Pod)>,
    born: usize,
}

fn name(pod: usize) -> String {
    format!("p{pod}")
}

fn interface(to: usize) -> String {
    format!("to{to}")
}

fn address(one: usize, other: usize) -> Ipv4Addr {
    let [low, high] = [one.min(other), one.max(other)].map(|it| u8::try_from(it).unwrap());
    Ipv4Addr::new(10, low, high, if one < other { 1 } else { 2 })
}

/// Every pod is linked to every other.
fn mesh(pod: usize) -> Value {
    let others = (0..PODS).filter(|other| *other != pod);
    let links = others.map(|other| {
        let peer = format!("default/{}", name(other));
        let own = format!("{}/24", address(pod, other));
        link(&peer, &interface(other), &interface(pod), &own)
    });
    conf(links.collect())
}

impl Model {
    /// A new container of a pod, while the old one, if there is one, may live on for a while.
    fn start(&mut self, pod: usize, killed_at: Option<usize>) {
        if let Some(old) = self.living[pod].take() {
            self.late.push((pod, old));
        }
        self.born += 1;
        let container = self.lab.host.pod(&format!("c{}", self.born));
        let call = self.lab.call_as("ADD", &container, &name(pod), &mesh(pod));
        let faults = killed_at.and_then(|_| Faults::points(&call));
        if let (Some(faults), Some(at)) = (faults, killed_at) {
            let points: Vec<usize> = faults.mortal().collect();
            // To learn the points it was called once already.
            let _ = faults.kill_at(points[at % points.len()]);
        }
        call.run().succeeds();
        self.living[pod] = Some(container);
    }

    fn delete(&self, pod: usize, container: &Pod) {
        let call = self.lab.call_as("DEL", container, &name(pod), &mesh(pod));
        call.run().succeeds_silently();
    }

    fn step(&mut self, random: &mut Random) {
        let pod = random.below(PODS);
        match random.below(7) {
            0..=2 => self.start(pod, None),
            3 => self.start(pod, Some(random.below(1000))),
            4 => {
                if let Some(container) = self.living[pod].take() {
                    self.delete(pod, &container);
                }
            }
            // It dies, and its DEL comes later.
            5 => {
                if let Some(container) = self.living[pod].take() {
                    container.remove();
                    self.late.push((pod, container));
                }
            }
            _ => {
                if !self.late.is_empty() {
                    let at = random.below(self.late.len());
                    let (pod, container) = self.late.swap_remove(at);
                    self.delete(pod, &container);
                }
            }
        }
    }

    /// Exactly those are linked that live.
    fn assert_linked(&self, when: &str) {
        for (pod, container) in self.living.iter().enumerate() {
            let Some(container) = container else { continue };
            for other in (0..PODS).filter(|other| *other != pod) {
                let lives = self.living[other].is_some();
                assert!(
                    !lives || has(container, &interface(other)),
                    "{when}: p{pod} is not linked to p{other}: {}",
                    container.ip("-o link")
                );
                assert!(
                    !lives || container.pings(address(other, pod)),
                    "{when}: p{pod} does not reach p{other}"
                );
            }
        }
    }
}

#[test]
fn whatever_happens_to_pods_those_that_live_are_linked_and_nothing_is_left() {
    for seed in SEEDS {
        let Some(lab) = lab() else { return };
        let before = lab.snapshot(&[]);
        let mut model = Model {
            lab,
            living: [const { None }; PODS],
            late: Vec::new(),
            born: 0,
        };
        let mut random = Random(seed);
        for step in 0..STEPS {
            model.step(&mut random);
            if step % 10 == 9 {
                model.assert_linked(&format!("seed {seed}, step {step}"));
            }
        }
        for pod in 0..PODS {
            if model.living[pod].is_none() {
                model.start(pod, None);
            }
        }
        model.assert_linked(&format!("seed {seed}, at the end"));
        while let Some((pod, container)) = model.late.pop() {
            model.delete(pod, &container);
        }
        model.assert_linked(&format!("seed {seed}, after the late ones"));
        for pod in 0..PODS {
            let container = model.living[pod].take().unwrap();
            model.delete(pod, &container);
            assert_eq!(container.ip("-o link").lines().count(), 1, "seed {seed}");
        }
        assert_eq!(files(), [""; 0], "seed {seed}");
        model.lab.assert_same(&before, &[]);
    }
}
