//! Medians and spread.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::call::Job;
use super::cpu;

/// The times of one call, in milliseconds, in the order they were measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    pub(crate) times: Vec<f64>,
    /// What each took on the processors, where that was measured; with what the programs left running.
    pub(crate) cpu: Vec<f64>,
    /// The first call, before anything is warm or there: told apart, in no median.
    pub(crate) first: Option<f64>,
}

impl Samples {
    pub(crate) fn push(&mut self, time: Duration) {
        self.times.push(milliseconds(time));
    }

    /// Does what was prepared, and takes its times; returns the last answer.
    pub(crate) fn measure(&mut self, job: &mut Job) -> Result<Vec<u8>> {
        let before = cpu::of_children()?;
        let (time, answer) = job.time()?;
        self.push(time);
        self.cpu
            .push(milliseconds(cpu::of_children()?.saturating_sub(before)));
        Ok(answer)
    }

    /// The median of the time on the processors, if it was measured.
    pub(crate) fn cpu_median(&self) -> Option<f64> {
        let cpu = Self {
            times: self.cpu.clone(),
            ..Self::default()
        };
        (!self.cpu.is_empty()).then(|| cpu.median())
    }

    /// The value below which a share of the samples lies, the nearest rank; 0 without samples.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.times.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted
            .get(rank.saturating_sub(1))
            .or(sorted.last())
            .copied()
            .unwrap_or(0.0)
    }

    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.times.clone();
        sorted.sort_by(f64::total_cmp);
        match (sorted.len(), sorted.len() / 2) {
            (0, _) => 0.0,
            (count, middle) if count % 2 == 1 => sorted[middle],
            (_, middle) => f64::midpoint(sorted[middle - 1], sorted[middle]),
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "median_ms": rounded(self.median()),
            "p10_ms": rounded(self.quantile(0.1)),
            "p90_ms": rounded(self.quantile(0.9)),
            "p99_ms": rounded(self.quantile(0.99)),
            "cpu_median_ms": self.cpu_median().map(rounded),
            "first_ms": self.first.map(rounded),
            "samples_ms": self.times.iter().copied().map(rounded).collect::<Vec<_>>(),
        })
    }
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// To a microsecond: what lies below is noise.
pub(crate) fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(times: &[f64]) -> Samples {
        Samples {
            times: times.to_vec(),
            ..Samples::default()
        }
    }

    #[test]
    fn the_median_is_the_middle_or_between_the_two_in_the_middle() {
        assert_eq!(samples(&[9.0, 1.0, 3.0]).median(), 3.0);
        assert_eq!(samples(&[9.0, 1.0, 3.0, 4.0]).median(), 3.5);
        assert_eq!(samples(&[]).median(), 0.0);
    }

    #[test]
    fn the_spread_leaves_out_a_tenth_at_each_end() {
        let ten: Vec<f64> = (1..=10).rev().map(f64::from).collect();
        assert_eq!(samples(&ten).quantile(0.1), 1.0);
        assert_eq!(samples(&ten).quantile(0.9), 9.0);
        assert_eq!(samples(&[5.0]).quantile(0.9), 5.0);
    }
}
