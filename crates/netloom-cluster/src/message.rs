//! What a plugin and the node daemon say to each other over [`SOCKET`], a stream socket that root alone
//! may use: one line of JSON each way, of at most [`LONGEST_LINE`] bytes, with no path and no command
//! in it.

use crate::malformed::{VERSION, parse, require_version};
pub use crate::record::WantedRange;
use crate::record::{Keep, LONGEST_POD};
use crate::{Malformed, SpaceName};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Where the daemon listens.
pub const SOCKET: &str = "/run/netloom/node.sock";

/// A line is refused beyond this many bytes, its end included.
pub const LONGEST_LINE: usize = 64 * 1024;

/// How many sets, and ranges in all of them, a request may have.
const MOST_SETS: usize = 16;
const MOST_RANGES: usize = 1024;

/// The longest wait, in milliseconds.
const LONGEST_WAIT: u64 = 10 * 60 * 1000;

/// What the plugin asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    v: u32,
    /// What for.
    pub op: Op,
    /// Of which space.
    pub space: SpaceName,
    /// The sets of ranges, from each of which an address is lacking.
    pub sets: Vec<WantedSet>,
    /// The size of a grant, where the configuration fixes it: a power of two up to 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<u8>,
    /// For how long the plugin waits, in milliseconds.
    #[serde(default)]
    pub wait: u64,
    /// For whom a single address is; needed where a set has an `address`, or with `keep`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
    /// What becomes of the pod's addresses when it is gone.
    #[serde(default, skip_serializing_if = "Keep::is_no")]
    pub keep: Keep,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// Claim at least one free address of each set, and answer then.
    Claim,
    /// Few are left: claim before somebody needs one. There is no answer.
    Hint,
    /// Claim a certain address of each set for the pod: the `address`, or the one that is kept for it,
    /// or any. The answer names them.
    Pin,
}

/// Ranges of one family; the plugin takes one address from all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedSet {
    /// What may be given, exclusions and gateways left out. In ascending order.
    pub ranges: Vec<WantedRange>,
    /// The one address that it must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pod {
    /// `namespace/name`, or the container's id where there is no pod.
    pub name: String,
    /// Its UID; empty if it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

/// What the daemon answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Op::Claim`] no address, to [`Op::Pin`] the address of each set, in the order of the sets.
    Done(Vec<IpAddr>),
    /// It could not be done.
    Refused(Refusal),
}

/// Why a request was not served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// CNI's error code: 11 where a later try may succeed.
    pub code: u32,
    /// One line for people.
    pub msg: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireAnswer {
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    done: Option<Vec<IpAddr>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<Refusal>,
}

impl WantedSet {
    fn check(&self, at: usize) -> Result<(), Malformed> {
        let refuse = |what: &str| Err(Malformed::new(format!("sets[{at}]: {what}")));
        let Some(first) = self.ranges.first() else {
            return refuse("no range");
        };
        for range in &self.ranges {
            if range.start.is_ipv4() != first.start.is_ipv4()
                || range.end.is_ipv4() != first.start.is_ipv4()
            {
                return refuse("IPv4 and IPv6 in one set");
            }
            if range.end < range.start {
                return refuse("a range that ends before it starts");
            }
        }
        if !self.ranges.is_sorted_by(|a, b| a.end < b.start) {
            return refuse("ranges that overlap, or are not in ascending order");
        }
        match self.address {
            Some(address) if !self.ranges.iter().any(|it| it.contains(address)) => {
                refuse("an address outside its ranges")
            }
            _ => Ok(()),
        }
    }
}

impl Request {
    /// Without a pod and a fixed size.
    pub fn new(op: Op, space: SpaceName, sets: Vec<WantedSet>) -> Self {
        Self {
            v: VERSION,
            op,
            space,
            sets,
            grant: None,
            wait: 0,
            pod: None,
            keep: Keep::No,
        }
    }

    /// Reads a line, with or without its end.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(line: &[u8]) -> Result<Self, Malformed> {
        let request: Self = parse(line, LONGEST_LINE)?;
        require_version(request.v)?;
        request.check()?;
        Ok(request)
    }

    fn check(&self) -> Result<(), Malformed> {
        let ranges: usize = self.sets.iter().map(|set| set.ranges.len()).sum();
        if self.sets.is_empty() || self.sets.len() > MOST_SETS || ranges > MOST_RANGES {
            return Err(Malformed::new(format!(
                "{} sets with {ranges} ranges: 1 to {MOST_SETS} sets and at most {MOST_RANGES} \
                 ranges are expected",
                self.sets.len()
            )));
        }
        for (at, set) in self.sets.iter().enumerate() {
            set.check(at)?;
        }
        if let Some(size) = self
            .grant
            .filter(|size| !size.is_power_of_two() || *size > 64)
        {
            return Err(Malformed::new(format!(
                "grant {size}: 1, 2, 4, 8, 16, 32 or 64 is expected"
            )));
        }
        if self.wait > LONGEST_WAIT {
            let wait = self.wait;
            return Err(Malformed::new(format!(
                "wait {wait}: at most {LONGEST_WAIT} milliseconds are waited"
            )));
        }
        let is_name = |text: &str| text.len() <= LONGEST_POD && !text.contains(char::is_control);
        match &self.pod {
            Some(pod) if pod.name.is_empty() || !is_name(&pod.name) || !is_name(&pod.uid) => {
                Err(Malformed::new(format!("pod {:?} is no name", pod.name)))
            }
            None if self.op == Op::Pin => Err(Malformed::new("pin without pod")),
            _ => Ok(()),
        }
    }

    /// The line, with its end.
    pub fn to_line(&self) -> Vec<u8> {
        line(self)
    }
}

impl Answer {
    /// Reads a line, with or without its end.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let wire: WireAnswer = parse(bytes, LONGEST_LINE)?;
        require_version(wire.v)?;
        match (wire.done, wire.refused) {
            (Some(addresses), None) => Ok(Self::Done(addresses)),
            (None, Some(refusal)) => Ok(Self::Refused(Refusal {
                code: refusal.code,
                msg: Malformed::new(&refusal.msg).to_string(),
            })),
            _ => Err(Malformed::new("one of done and refused is expected")),
        }
    }

    /// The line, with its end.
    pub fn to_line(&self) -> Vec<u8> {
        let (done, refused) = match self {
            Self::Done(addresses) => (Some(addresses.clone()), None),
            Self::Refused(refusal) => (None, Some(refusal.clone())),
        };
        line(&WireAnswer {
            v: VERSION,
            done,
            refused,
        })
    }

    /// A refusal that may pass: code 11.
    pub fn later(msg: impl Into<String>) -> Self {
        Self::Refused(Refusal {
            code: netloom_spec::code::TRY_AGAIN_LATER,
            msg: msg.into(),
        })
    }
}

fn line(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}
