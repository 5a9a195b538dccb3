//! The tier under a kernel that has every link type: what earlier tiers skipped, and only that.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::guest::Guest;
use super::program::{LIMIT, Program};
use super::report::{Outcome, Skip};
use super::side_by_side;
use super::tiers::{Runner, Vm, is_network};

/// The guest's own limit comes first, as it tells more.
const GUEST_LIMIT: Duration = LIMIT.saturating_sub(Duration::from_secs(60));

/// How many tests a guest runs at the same time.
const GUEST_THREADS: usize = 2;

/// What earlier tiers skipped in one test program.
struct Again {
    program: String,
    skips: Vec<Skip>,
}

impl Runner {
    /// Runs what earlier tiers skipped in guests, one for each test program.
    pub(super) fn run_vm(&mut self, vm: Vm, outcome: &mut Outcome) -> Result<()> {
        let skipped = std::mem::take(&mut self.skipped);
        if skipped.is_empty() && !vm.alone {
            println!("nothing was skipped");
            return Ok(());
        }
        let kernel = match vm.kernel.wait() {
            Ok(kernel) => kernel,
            Err(reason) => {
                let why = format!("there is no guest: {reason}");
                println!("{why}");
                if vm.strict {
                    outcome.failures.push(why.clone());
                }
                skipped
                    .into_iter()
                    .for_each(|skip| ran_nowhere(skip, &why, vm.strict, outcome));
                return Ok(());
            }
        };
        let guest = Guest::new(&self.workspace, kernel);
        if vm.alone {
            return self.run_all_in_guests(&guest, outcome);
        }
        let must_run = vm.strict || vm.complete;
        let mut programs = Vec::new();
        let mut waiting = Vec::new();
        for again in by_program(skipped) {
            match self.in_guest(&guest, &again)? {
                Some(program) => {
                    programs.push(program);
                    waiting.push(again);
                }
                None => again.skips.into_iter().for_each(|skip| {
                    ran_nowhere(
                        skip,
                        "not a program that a guest can run",
                        must_run,
                        outcome,
                    );
                }),
            }
        }
        for (title, ran) in side_by_side::run(programs, super::cores()) {
            let place = waiting.iter().position(|again| again.program == title);
            let again = place.map(|place| waiting.swap_remove(place));
            let skips = again.map(|again| again.skips).unwrap_or_default();
            settle(skips, ran?, must_run, outcome);
        }
        Ok(())
    }

    /// The program in a guest with its skipped tests alone; `None` if there is no such program.
    fn in_guest(&mut self, guest: &Guest, again: &Again) -> Result<Option<Program>> {
        let all = self.built()?;
        let built = all
            .iter()
            .find(|built| built.is_test && built.title() == again.program);
        let Some(built) = built else {
            return Ok(None);
        };
        let mut command = built.command(all);
        command.arg("--exact");
        command.args(again.skips.iter().map(|skip| &skip.test));
        self.guest_program(guest, again.program.clone(), command)
            .map(Some)
    }

    fn guest_program(&self, guest: &Guest, title: String, mut command: Command) -> Result<Program> {
        // The guest has one processor, but tests wait for other things too.
        command.arg(format!("--test-threads={GUEST_THREADS}"));
        let mut program = self.program(title, command, GUEST_THREADS)?;
        program.command =
            guest.command(&program.command, &self.scratch, &program.skips, GUEST_LIMIT);
        Ok(program)
    }

    fn run_all_in_guests(&mut self, guest: &Guest, outcome: &mut Outcome) -> Result<()> {
        let filter = self.filter.clone();
        let all = self.built()?;
        let commands: Vec<_> = all
            .iter()
            .filter(|built| built.is_test && is_network(built))
            .map(|built| (built.title(), built.command(all)))
            .collect();
        let mut programs = Vec::new();
        for (title, mut command) in commands {
            command.args(&filter);
            programs.push(self.guest_program(guest, title, command)?);
        }
        for (_, ran) in side_by_side::run(programs, super::cores()) {
            outcome.absorb(ran?);
        }
        Ok(())
    }
}

/// The skipped tests of each program together, in the order of the programs' first.
fn by_program(skips: Vec<Skip>) -> Vec<Again> {
    let mut programs: Vec<Again> = Vec::new();
    for skip in skips {
        match programs
            .iter_mut()
            .find(|again| again.program == skip.program)
        {
            Some(again) => again.skips.push(skip),
            None => programs.push(Again {
                program: skip.program.clone(),
                skips: vec![skip],
            }),
        }
    }
    programs
}

/// Adds up what became in a guest of tests that were skipped before.
fn settle(earlier: Vec<Skip>, mut ran: Outcome, must_run: bool, outcome: &mut Outcome) {
    outcome.slow.append(&mut ran.slow);
    for skip in earlier {
        let failure = format!("{}: {}", skip.program, skip.test);
        if let Some(again) = ran.skips.iter().find(|again| again.test == skip.test) {
            ran_nowhere(
                skip,
                &format!("in the guest: {}", again.reason),
                must_run,
                outcome,
            );
        } else if ran.names.contains(&skip.test) {
            outcome.passed += 1;
            outcome.taken_over.push(skip);
        } else if ran.failures.contains(&failure) {
            outcome.taken_over.push(skip);
        } else {
            ran_nowhere(skip, "the guest did not come to it", true, outcome);
        }
    }
    outcome.failures.extend(ran.failures);
}

/// A test that no tier could do: a failure if it must run, else skipped for more than one reason.
fn ran_nowhere(skip: Skip, why: &str, must_run: bool, outcome: &mut Outcome) {
    let reason = match why.strip_prefix("in the guest: ") {
        Some(same) if same == skip.reason => skip.reason.clone(),
        _ => format!("{}; {why}", skip.reason),
    };
    if must_run {
        let Skip { program, test, .. } = &skip;
        let failure = format!("{program}: {test} ran nowhere: {reason}");
        outcome.failures.push(failure);
    } else {
        let again = Skip {
            reason,
            ..skip.clone()
        };
        outcome.skips.push(again);
    }
    outcome.taken_over.push(skip);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skip(program: &str, test: &str, reason: &str) -> Skip {
        Skip {
            program: program.into(),
            test: test.into(),
            reason: reason.into(),
        }
    }

    fn settled(ran: Outcome, must_run: bool) -> Outcome {
        let mut outcome = Outcome::default();
        settle(vec![skip("p", "t", "no vlan")], ran, must_run, &mut outcome);
        assert_eq!(outcome.taken_over, [skip("p", "t", "no vlan")]);
        outcome
    }

    #[test]
    fn a_test_that_passes_in_the_guest_has_passed() {
        let ran = Outcome {
            passed: 1,
            names: vec!["t".into()],
            ..Outcome::default()
        };
        let outcome = settled(ran, true);
        assert_eq!((outcome.passed, outcome.skips.len()), (1, 0));
        assert_eq!(outcome.failures, [""; 0]);
    }

    #[test]
    fn a_test_that_fails_in_the_guest_has_failed_once() {
        let ran = Outcome {
            failures: vec!["p: t".into()],
            ..Outcome::default()
        };
        let outcome = settled(ran, true);
        assert_eq!(outcome.failures, ["p: t"]);
        assert_eq!((outcome.passed, outcome.skips.len()), (0, 0));
    }

    #[test]
    fn a_test_that_skips_itself_in_the_guest_too_ran_nowhere() {
        let ran = |reason: &str| Outcome {
            passed: 0,
            names: vec!["t".into()],
            skips: vec![skip("p", "t", reason)],
            ..Outcome::default()
        };
        let outcome = settled(ran("no modem"), true);
        assert_eq!(
            outcome.failures,
            ["p: t ran nowhere: no vlan; in the guest: no modem"]
        );
        let outcome = settled(ran("no vlan"), false);
        assert_eq!(outcome.skips, [skip("p", "t", "no vlan")]);
        assert_eq!((outcome.passed, outcome.failures.len()), (0, 0));
    }

    #[test]
    fn a_test_that_the_guest_never_came_to_is_a_failure_beside_the_guests_own() {
        let ran = Outcome {
            failures: vec!["p: died: exit status: 125".into()],
            ..Outcome::default()
        };
        let outcome = settled(ran, false);
        assert_eq!(
            outcome.failures,
            [
                "p: t ran nowhere: no vlan; the guest did not come to it",
                "p: died: exit status: 125"
            ]
        );
    }

    #[test]
    fn the_tests_of_a_program_share_a_guest() {
        let skips = [("a", "1"), ("b", "2"), ("a", "3")];
        let programs = by_program(skips.map(|(p, t)| skip(p, t, "no vlan")).to_vec());
        let told: Vec<_> = programs
            .iter()
            .map(|again| (again.program.as_str(), again.skips.len()))
            .collect();
        assert_eq!(told, [("a", 2), ("b", 1)]);
    }
}
