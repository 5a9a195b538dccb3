//! A plugin that is killed, and the DEL after it.

use std::time::Duration;

use crate::bench::Bench;
use crate::call::CallMode;
use crate::case::cases;
use crate::cases::del::settles_within;
use crate::stop::Check;

cases! {
    "260" Should ALL "DEL" "a DEL after an ADD that was killed succeeds and leaves nothing" killed_add "20";
    "261" Should ALL "DEL" "a DEL after a DEL that was killed succeeds and leaves nothing" killed_del "10";
    "262" Extra ALL "DEL" "a DEL after an ADD that was killed at any of fifty points leaves nothing" killed_add "50";
}

/// How often the points are gone through, each time at other moments between them. A plugin that leaves
/// something for a moment only is found by one round in one run and not in the next.
const ROUNDS: u32 = 3;

/// How long the kernel may take to remove what a killed process had open.
const OPEN: Duration = Duration::from_secs(1);

/// The moments of a call that takes that long.
fn moments(time: Duration, count: &str) -> Vec<Duration> {
    let count = count.parse().unwrap_or(10);
    let rounds = (0..ROUNDS).map(|round| {
        let moment = move |at| time * (at * ROUNDS + round) / ((count + 1) * ROUNDS);
        (1..=count).map(moment)
    });
    rounds.flatten().collect()
}

fn killed_add(bench: &mut Bench<'_>, count: &'static str) -> Check {
    bench.needs_add()?;
    bench.prime()?;
    let pod = bench.pod("one")?;
    let before = bench.look()?;
    let request = bench.request("ADD", pod);
    let time = bench.call(&request)?.time;
    let request = bench.request("DEL", pod);
    bench.succeeds(&request)?;
    for moment in moments(time, count) {
        // Of fifty calls, those that show the failure are enough.
        let (calls, steps) = (bench.calls.len(), bench.steps.len());
        let add = bench.request("ADD", pod).mode(CallMode::Killed(moment));
        bench.call(&add)?;
        let del = bench.request("DEL", pod);
        bench.succeeds(&del)?;
        let when = format!("after DEL of an ADD that was killed after {moment:?}");
        settles_within(OPEN, bench, &before, &when)?;
        bench.calls.truncate(calls);
        bench.steps.truncate(steps);
    }
    Ok(())
}

fn killed_del(bench: &mut Bench<'_>, count: &'static str) -> Check {
    bench.needs_add()?;
    bench.prime()?;
    let pod = bench.pod("one")?;
    let before = bench.look()?;
    let made = bench.add(pod)?;
    let time = bench.del(&made)?.time;
    for moment in moments(time, count) {
        let made = bench.add(pod)?;
        let killed = bench.after("DEL", &made).mode(CallMode::Killed(moment));
        bench.call(&killed)?;
        bench.del(&made)?;
        let when = format!("after DEL of a DEL that was killed after {moment:?}");
        settles_within(OPEN, bench, &before, &when)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_all_different_and_within_the_call() {
        let time = Duration::from_millis(10);
        let mut all = moments(time, "50");
        assert_eq!(all.len(), 150);
        assert!(all.iter().all(|it| !it.is_zero() && *it < time));
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 150);
    }
}
