//! How bad an end is at sending: delay, loss, rate.

use std::fmt;
use std::time::Duration;

use crate::{Error, Result};

/// What is done to what an end sends. Nothing, by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Impairment {
    /// How long each packet waits.
    pub delay: Duration,
    /// By how much that varies either way.
    pub jitter: Duration,
    /// How many packets are lost.
    pub loss: Probability,
    /// How many come twice.
    pub duplicate: Probability,
    /// How many have one bit wrong.
    pub corrupt: Probability,
    /// In bits per second; 0 is as fast as it goes.
    pub rate: u64,
}

/// A part of all packets, in parts of `u32::MAX`, as the kernel counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Probability(pub u32);

impl Impairment {
    /// Whether nothing is done.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether only the rate is limited, which needs no netem.
    #[must_use]
    pub fn is_rate_only(&self) -> bool {
        let rate = self.rate;
        !self.is_none()
            && *self
                == Self {
                    rate,
                    ..Self::default()
                }
    }

    /// Whether it can be.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the delay varies by more than it is.
    pub fn validate(&self) -> Result<()> {
        if self.jitter > self.delay {
            return Err(Error::invalid(format!(
                "jitter {:?} is more than the delay, {:?}, that it varies",
                self.jitter, self.delay
            )));
        }
        Ok(())
    }

    /// Sets one by its name: `delay`, `jitter`, `loss`, `duplicate`, `corrupt` or `rate`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another name, or for a value that is none.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "delay" => self.delay = parse_duration(name, value)?,
            "jitter" => self.jitter = parse_duration(name, value)?,
            "loss" => self.loss = Probability::parse(name, value)?,
            "duplicate" => self.duplicate = Probability::parse(name, value)?,
            "corrupt" => self.corrupt = Probability::parse(name, value)?,
            "rate" => self.rate = parse_rate(name, value)?,
            _ => {
                return Err(Error::invalid(format!(
                    "there is no impairment {name:?}; there are delay, jitter, loss, duplicate, \
                     corrupt and rate"
                )));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Impairment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        for (name, time) in [("delay", self.delay), ("jitter", self.jitter)] {
            if !time.is_zero() {
                words.push(format!("{name} {time:?}"));
            }
        }
        let parts = [
            ("loss", self.loss),
            ("duplicate", self.duplicate),
            ("corrupt", self.corrupt),
        ];
        for (name, part) in parts {
            if part.0 != 0 {
                words.push(format!("{name} {part}"));
            }
        }
        if self.rate != 0 {
            words.push(format!("rate {}", rate(self.rate)));
        }
        f.write_str(&words.join(" "))
    }
}

/// A rate in the largest unit that it is a whole number of.
fn rate(bits: u64) -> String {
    let units = [(1_000_000_000, "gbit"), (1_000_000, "mbit"), (1000, "kbit")];
    let fitting = units
        .into_iter()
        .find(|(unit, _)| bits.is_multiple_of(*unit));
    let (unit, name) = fitting.unwrap_or((1, "bit"));
    format!("{}{name}", bits / unit)
}

impl Probability {
    /// Reads `1.5%`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything but a number from 0 to 100 with `%` behind it, or without.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let number = text.strip_suffix('%').unwrap_or(text);
        let percent: Option<f64> = number.parse().ok();
        let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
        let percent = percent.ok_or_else(|| {
            Error::invalid(format!(
                "{name} {text:?} is no part of all packets; write 0% to 100%, such as 1.5%"
            ))
        })?;
        Ok(Self((percent / 100.0 * f64::from(u32::MAX)).round() as u32))
    }

    /// In percent.
    #[must_use]
    pub fn percent(self) -> f64 {
        f64::from(self.0) * 100.0 / f64::from(u32::MAX)
    }
}

impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.4}", self.percent());
        write!(f, "{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// Splits `20ms` into 20 and `ms`.
fn number_and_unit(text: &str) -> Option<(f64, &str)> {
    let digits = |c: char| c.is_ascii_digit() || c == '.';
    let at = text.find(|c| !digits(c)).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    Some((number.parse().ok()?, unit.trim_start()))
}

/// Reads `20ms`, `1.5s`, `100us`; of at most 18 minutes.
///
/// # Errors
/// [`Error::Invalid`] for anything else; `name` is what the value is of.
pub fn parse_duration(name: &str, text: &str) -> Result<Duration> {
    let parse = || {
        let (number, unit) = number_and_unit(text)?;
        let seconds = match unit {
            "s" => number,
            "ms" => number / 1e3,
            "us" | "µs" => number / 1e6,
            "ns" => number / 1e9,
            "" if number == 0.0 => 0.0,
            _ => return None,
        };
        (seconds <= 1080.0).then(|| Duration::from_nanos((seconds * 1e9).round() as u64))
    };
    parse().ok_or_else(|| {
        Error::invalid(format!(
            "{name} {text:?} is no time up to 18 minutes; write a number with s, ms or us, such as 20ms"
        ))
    })
}

/// Reads `100mbit`, `2.5gbit`, `64kbit`; the number of bits per second.
///
/// # Errors
/// [`Error::Invalid`] for anything else; `name` is what the value is of.
pub fn parse_rate(name: &str, text: &str) -> Result<u64> {
    let parse = || {
        let (number, unit) = number_and_unit(text)?;
        let factor = match unit.to_ascii_lowercase().as_str() {
            "bit" => 1.0,
            "kbit" | "k" => 1e3,
            "mbit" | "m" => 1e6,
            "gbit" | "g" => 1e9,
            "tbit" | "t" => 1e12,
            "" if number == 0.0 => 1.0,
            _ => return None,
        };
        let bits = number * factor;
        (bits == 0.0 || (8.0..=1e13).contains(&bits)).then_some(bits as u64)
    };
    parse().ok_or_else(|| {
        Error::invalid(format!(
            "{name} {text:?} is no rate; write a number with bit, kbit, mbit or gbit, such as 100mbit"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_meant() {
        let mut impairment = Impairment::default();
        for (name, value) in [("delay", "20ms"), ("loss", "1%"), ("rate", "100mbit")] {
            impairment.set(name, value).unwrap();
        }
        assert_eq!(impairment.delay, Duration::from_millis(20));
        assert_eq!(impairment.rate, 100_000_000);
        assert_eq!(impairment.to_string(), "delay 20ms loss 1% rate 100mbit");
        assert!(!impairment.is_rate_only() && !impairment.is_none());
        impairment.set("loss", "0").unwrap();
        impairment.set("delay", "0").unwrap();
        assert!(impairment.is_rate_only());
    }

    #[test]
    fn what_is_no_value_is_refused_by_name() {
        for (name, value) in [
            ("delay", "20"),
            ("delay", "-1ms"),
            ("delay", "19m"),
            ("jitter", "ms"),
            ("loss", "101%"),
            ("loss", "NaN"),
            ("corrupt", "few"),
            ("rate", "100"),
            ("rate", "7bit"),
            ("rate", "fast"),
        ] {
            let error = Impairment::default().set(name, value).unwrap_err();
            let words = error.to_string();
            assert!(words.starts_with(&format!("{name} \"{value}\"")), "{words}");
        }
        assert!(Impairment::default().set("reorder", "1%").is_err());
    }
}
