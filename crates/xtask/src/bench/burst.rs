//! Many pods at once, as when a node comes back.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use super::Order;
use super::contender::Contender;
use super::cpu;
use super::host;
use super::scenario::Scenario;
use super::side::{Pod, Side};
use super::statistics::{Samples, milliseconds, rounded};

/// What a burst came to: the time of each call, and of all of them together.
#[derive(Default)]
struct Taken {
    calls: Samples,
    total_ms: f64,
    /// On the processors, for each pod.
    cpu_ms: f64,
}

/// ADD or DEL of as many pods at once, by side.
pub(crate) struct Burst {
    scenario: String,
    what: String,
    operation: &'static str,
    size: u16,
    sides: BTreeMap<Side, Taken>,
}

/// All ADDs of a side at once, then all DELs; the other side after it.
pub(crate) fn measure(scenario: &Scenario, order: &Order) -> Result<Vec<Burst>> {
    let burst = |operation| Burst {
        scenario: scenario.name.clone(),
        what: scenario.what.clone(),
        operation,
        size: scenario.at_once,
        sides: BTreeMap::new(),
    };
    let (mut add, mut del) = (burst("ADD"), burst("DEL"));
    for contender in (scenario.prepare)(scenario, order)? {
        let side = contender.side.name();
        let pods = (0..=scenario.at_once).map(|number| host::pod(&scenario.name, side, number));
        let mut pods: Vec<Pod> = pods.collect::<Result<_>>()?;
        // A node in use has its bridge and its chains: one pod is there before and stays.
        let stays = pods.split_off(usize::from(scenario.at_once));
        let (_, answers_of_it) = at_once(&stays, |pod| contender.add(pod)?.time())?;
        let before = cpu::of_children()?;
        let (mut taken, answers) = at_once(&pods, |pod| contender.add(pod)?.time())?;
        taken.count(before)?;
        add.sides.insert(contender.side, taken);
        del.sides
            .insert(contender.side, take_down(&contender, &pods, answers)?);
        // The floor's links have the same names in the next scenario.
        take_down(&contender, &stays, answers_of_it)?;
    }
    Ok(vec![add, del])
}

fn take_down(contender: &Contender, pods: &[Pod], answers: Vec<Vec<u8>>) -> Result<Taken> {
    let pairs: Vec<(&Pod, Vec<u8>)> = pods.iter().zip(answers).collect();
    let del = |(pod, answer): &(&Pod, Vec<u8>)| match contender.del(pod, answer)? {
        Some(mut job) => job.time(),
        None => Err(anyhow!("nothing to undo")),
    };
    let before = cpu::of_children()?;
    let (mut taken, _) = at_once(&pairs, del)?;
    taken.count(before)?;
    Ok(taken)
}

/// Runs one job for each item, each on a thread of its own that starts when all are ready.
fn at_once<T: Sync>(
    items: &[T],
    job: impl Fn(&T) -> Result<(Duration, Vec<u8>)> + Sync,
) -> Result<(Taken, Vec<Vec<u8>>)> {
    let (ready, job) = (Barrier::new(items.len() + 1), &job);
    let (total, done) = thread::scope(|scope| {
        let start = |item| {
            let ready = &ready;
            scope.spawn(move || {
                ready.wait();
                job(item)
            })
        };
        let threads: Vec<_> = items.iter().map(start).collect();
        ready.wait();
        let begin = Instant::now();
        let done: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        (begin.elapsed(), done)
    });
    let mut taken = Taken {
        total_ms: milliseconds(total),
        ..Taken::default()
    };
    let mut answers = Vec::with_capacity(items.len());
    for result in done {
        let (time, answer) = result.map_err(|_| anyhow!("a thread panicked"))??;
        taken.calls.push(time);
        answers.push(answer);
    }
    Ok((taken, answers))
}

impl Taken {
    /// Takes for its own what children have worked since then.
    fn count(&mut self, before: Duration) -> Result<()> {
        let cpu = cpu::of_children()?.saturating_sub(before);
        self.cpu_ms = milliseconds(cpu) / self.calls.times.len().max(1) as f64;
        Ok(())
    }

    fn per_second(&self) -> f64 {
        self.calls.times.len() as f64 * 1e3 / self.total_ms.max(f64::MIN_POSITIVE)
    }

    fn text(&self) -> String {
        let (median, worst) = (self.calls.median(), self.calls.quantile(0.99));
        format!("{:.0}/s {median:.1} ({worst:.1})", self.per_second())
    }

    fn json(&self) -> Value {
        json!({
            "per_second": rounded(self.per_second()),
            "total_ms": rounded(self.total_ms),
            "cpu_ms_per_pod": rounded(self.cpu_ms),
            "p50_ms": rounded(self.calls.median()),
            "p99_ms": rounded(self.calls.quantile(0.99)),
        })
    }
}

impl Burst {
    /// The heading above the lines.
    pub(crate) fn heading() -> String {
        format!(
            "\n{:<17} {:<8} {:>30} {:>30} {:>30} {:>10} {:>11}  {}",
            "all at once",
            "",
            "ours, pods/s, p50 (p99) ms",
            "peer",
            "floor",
            "ours/peer",
            "floor/ours",
            "ms on the processors per pod: ours, peer, floor"
        )
    }

    pub(crate) fn line(&self) -> String {
        let text = |side| self.sides.get(&side).map(Taken::text);
        let rate = |side| self.sides.get(&side).map(Taken::per_second);
        let ratio = |above, below| {
            let ratio = rate(above).zip(rate(below));
            ratio.map_or_else(String::new, |(above, below)| {
                format!("{:.2}×", above / below)
            })
        };
        let cpu = |side| {
            let taken = self.sides.get(&side);
            taken.map_or_else(|| "–".to_owned(), |taken| format!("{:.2}", taken.cpu_ms))
        };
        format!(
            "{:<17} {:<8} {:>30} {:>30} {:>30} {:>10} {:>11}  {}",
            self.scenario,
            self.operation,
            text(Side::Ours).unwrap_or_default(),
            text(Side::Peer).unwrap_or_default(),
            text(Side::Floor).unwrap_or_default(),
            ratio(Side::Ours, Side::Peer),
            ratio(Side::Floor, Side::Ours),
            [Side::Ours, Side::Peer, Side::Floor].map(cpu).join(" "),
        )
    }

    pub(crate) fn json(&self) -> Value {
        let mut burst = json!({
            "scenario": self.scenario,
            "what": self.what,
            "operation": self.operation,
            "at_once": self.size,
        });
        for (side, taken) in &self.sides {
            burst[side.name()] = taken.json();
        }
        burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_runs_at_once_and_each_is_timed() {
        let (taken, answers) = at_once(&[1_u8, 2, 3], |number| {
            thread::sleep(Duration::from_millis(30));
            Ok((Duration::from_millis(u64::from(*number)), vec![*number]))
        })
        .unwrap();
        assert_eq!(answers, [[1], [2], [3]]);
        assert_eq!(taken.calls.median(), 2.0);
        assert!((30.0..90.0).contains(&taken.total_ms), "{}", taken.total_ms);
        assert!(at_once(&[1], |_: &i32| Err(anyhow!("no"))).is_err());
    }
}
