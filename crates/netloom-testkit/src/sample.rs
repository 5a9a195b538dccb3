//! Which part of many equal trials a short run does.

/// The variable: `3/10` asks for every tenth trial, beginning with the fourth.
const VARIABLE: &str = "NETLOOM_SAMPLE";

/// One part of several equal ones; the whole is the first of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    part: usize,
    of: usize,
}

impl Sample {
    /// What `$NETLOOM_SAMPLE` asks for; everything without it, or if it is empty.
    ///
    /// # Panics
    /// If the variable is not of the form `3/10`: a test must not prove less by mistake.
    #[must_use]
    pub fn of_this_run() -> Self {
        let whole = Self { part: 0, of: 1 };
        match std::env::var(VARIABLE).unwrap_or_default().as_str() {
            "" => whole,
            text => Self::parse(text).unwrap_or_else(|| {
                panic!("{VARIABLE}={text:?} should be a part of several, for instance 3/10")
            }),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (part, of) = text.split_once('/')?;
        let (part, of) = (part.parse().ok()?, of.parse().ok()?);
        (part < of).then_some(Self { part, of })
    }

    /// Whether all is asked for.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.of == 1
    }

    /// Whether the trial of this number is in it. Each trial is in one part of all.
    #[must_use]
    pub fn has(&self, number: usize) -> bool {
        number % self.of == self.part
    }
}

impl std::fmt::Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.part, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trial_is_in_one_of_all_parts() {
        let parts = (0..10).map(|part| Sample::parse(&format!("{part}/10")).unwrap());
        let parts: Vec<_> = parts.collect();
        for number in 0..100 {
            let within = parts.iter().filter(|part| part.has(number));
            assert_eq!(within.count(), 1, "{number}");
        }
    }

    #[test]
    fn what_is_no_part_of_several_is_refused() {
        for text in ["", "3", "10/10", "0/0", "-1/10", "a/b"] {
            assert_eq!(Sample::parse(text), None, "{text}");
        }
    }
}
