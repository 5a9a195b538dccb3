//! The tier of the fuzz targets. A run that samples builds a tenth of them, chosen by the number of commits.

use anyhow::Result;

use super::report::{Outcome, Skip};
use super::side_by_side;
use super::tiers::Runner;
use crate::fuzz::{self, Binary};
use crate::packages;

/// How long each fuzz target looks for something new, in seconds, and in a run that samples.
const FUZZING: u64 = 4;
const FUZZING_SAMPLED: u64 = 10;

impl Runner {
    pub(super) fn fuzz(&mut self, outcome: &mut Outcome) -> Result<()> {
        let mut names = fuzz::names(&self.workspace)?;
        match &self.filter {
            Some(part) => names.retain(|name| name.contains(part)),
            None => names = sampled(names, self.sample.as_deref()),
        }
        if names.is_empty() {
            return Ok(());
        }
        let missing = packages::missing(packages::FOR_FUZZING);
        if !missing.is_empty() {
            let reason = format!("needs {}", missing.join(" "));
            outcome.skips.extend(names.into_iter().map(|test| Skip {
                program: "fuzz".into(),
                test,
                reason: reason.clone(),
            }));
            return Ok(());
        }
        let binaries = fuzz::build(&self.workspace, &names)?;
        let seconds = match self.sample {
            Some(_) => FUZZING_SAMPLED,
            None => FUZZING,
        };
        let name = |binary: &Binary| binary.name.clone();
        // Each has one thread.
        let work = |binary: Binary| binary.replay().and_then(|()| binary.run(seconds));
        for (name, result) in side_by_side::each(binaries, super::cores(), name, work) {
            match &result {
                Ok(ran) => println!("{name}: {} runs, coverage {}", ran.runs, ran.coverage),
                Err(error) => println!("{name}: FAILED: {error:#}"),
            }
            let result = result.map(drop).map_err(|error| format!("{error:#}"));
            outcome.check(&name, result);
        }
        Ok(())
    }
}

/// Those of a list that belong to the part of a run, `3/10`: ten runs do all.
fn sampled(names: Vec<String>, part: Option<&str>) -> Vec<String> {
    let numbers = part.and_then(|part| part.split_once('/'));
    let numbers = numbers.and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
    let Some((part, of)): Option<(usize, usize)> = numbers else {
        return names;
    };
    let names = names.into_iter().enumerate();
    let chosen = names.filter(|(number, _)| number % of.max(1) == part);
    chosen.map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_parts_are_the_whole_list() {
        let names: Vec<String> = (0..19).map(|n| format!("{n:02}")).collect();
        let parts = (0..10).map(|part| sampled(names.clone(), Some(&format!("{part}/10"))));
        let mut all: Vec<String> = parts.flatten().collect();
        all.sort();
        assert_eq!(all, names);
        assert_eq!(sampled(names.clone(), None), names);
    }
}
