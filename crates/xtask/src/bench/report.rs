//! The numbers, for a person and for a program.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::Order;
use super::burst::Burst;
use super::scenario::Scenario;
use super::side::Side;
use super::statistics::{Samples, rounded};

/// One operation of one scenario, by side.
pub(crate) struct Row {
    scenario: String,
    what: String,
    operation: &'static str,
    pub(crate) samples: BTreeMap<Side, Samples>,
}

impl Row {
    pub(crate) fn new(scenario: &Scenario, operation: &'static str) -> Self {
        let (scenario, what) = (scenario.name.clone(), scenario.what.clone());
        Self {
            scenario,
            what,
            operation,
            samples: BTreeMap::new(),
        }
    }

    fn median(&self, side: Side) -> Option<f64> {
        self.samples.get(&side).map(Samples::median)
    }

    fn ratio(&self, above: Side, below: Side) -> Option<f64> {
        let below = self.median(below).filter(|median| *median > 0.0)?;
        Some(self.median(above)? / below)
    }

    fn heading() -> String {
        format!(
            "{:<17} {:<8} {:>26} {:>27} {:>21} {:>10} {:>10}  {}",
            "milliseconds",
            "",
            "ours, median (p10–p90)",
            "peer",
            "floor",
            "peer/ours",
            "ours/floor",
            "on the processors: ours, peer, floor"
        )
    }

    fn line(&self) -> String {
        let times = |side: Side| match self.samples.get(&side) {
            None => "–".to_owned(),
            Some(all) => {
                let [median, low, high] = [all.median(), all.quantile(0.1), all.quantile(0.9)];
                format!("{median:.2} ({low:.2}–{high:.2})")
            }
        };
        let cpu = |side: Side| {
            let cpu = self.samples.get(&side).and_then(Samples::cpu_median);
            cpu.map_or_else(|| "–".to_owned(), |cpu| format!("{cpu:.2}"))
        };
        let ratio = |above, below| match self.ratio(above, below) {
            None => "–".to_owned(),
            Some(ratio) => format!("{ratio:.2}×"),
        };
        format!(
            "{:<17} {:<8} {:>26} {:>27} {:>21} {:>10} {:>10}  {}",
            self.scenario,
            self.operation,
            times(Side::Ours),
            times(Side::Peer),
            times(Side::Floor),
            ratio(Side::Peer, Side::Ours),
            ratio(Side::Ours, Side::Floor),
            [Side::Ours, Side::Peer, Side::Floor].map(cpu).join(" "),
        )
    }

    fn json(&self) -> Value {
        let mut row = json!({
            "scenario": self.scenario,
            "what": self.what,
            "operation": self.operation,
            "peer_over_ours": self.ratio(Side::Peer, Side::Ours).map(rounded),
            "ours_over_floor": self.ratio(Side::Ours, Side::Floor).map(rounded),
        });
        for (side, samples) in &self.samples {
            row[side.name()] = samples.json();
        }
        row
    }
}

/// Something that is no time.
pub(crate) struct Figure {
    scenario: String,
    what: &'static str,
    unit: &'static str,
    /// One for each round.
    pub(crate) values: Vec<f64>,
}

impl Figure {
    pub(crate) fn new(scenario: &Scenario, what: &'static str, unit: &'static str) -> Self {
        Self {
            scenario: scenario.name.clone(),
            what,
            unit,
            values: Vec::new(),
        }
    }

    /// The largest of all rounds.
    fn most(&self) -> f64 {
        self.values.iter().copied().fold(0.0, f64::max)
    }

    fn line(&self) -> String {
        let (scenario, what, unit) = (&self.scenario, self.what, self.unit);
        format!("{scenario:<17} {what}: {:.1} {unit}", self.most())
    }

    fn json(&self) -> Value {
        let values: Vec<f64> = self.values.iter().copied().map(rounded).collect();
        json!({ "scenario": self.scenario, "what": self.what, "unit": self.unit, "values": values })
    }
}

/// What one run came to.
pub(crate) struct Report {
    about: Value,
    pub(crate) rows: Vec<Row>,
    pub(crate) bursts: Vec<Burst>,
    pub(crate) figures: Vec<Figure>,
    pub(crate) errors: Vec<String>,
}

impl Report {
    pub(crate) fn new(order: &Order) -> Self {
        let about = json!({
            "commit": order.commit,
            "rounds": order.rounds,
            "kernel": fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
            "processor": processor(),
            "load_before": load(),
            "processors": std::thread::available_parallelism().map_or(1, usize::from),
            "ours": { "directory": order.ours, "says": says(&order.ours) },
            "peer": { "directory": order.peer, "says": says(&order.peer), "package": order.package },
        });
        Self {
            about,
            rows: Vec::new(),
            bursts: Vec::new(),
            figures: Vec::new(),
            errors: Vec::new(),
        }
    }

    pub(crate) fn print(&self) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for side in ["ours", "peer"] {
            let words = ["directory", "says", "package"].map(|key| text(&self.about[side][key]));
            println!("{side}: {}", words.join(", ").trim_end_matches(", "));
        }
        println!(
            "commit {}, {} rounds, Linux {}, {} × {}\n",
            text(&self.about["commit"]),
            self.about["rounds"],
            text(&self.about["kernel"]),
            self.about["processors"],
            text(&self.about["processor"]),
        );
        let load = self.about["load_before"].as_f64().unwrap_or_default();
        if load > 0.5 {
            println!(
                "The machine was busy with other things (load {load}): trust the ratios more than the times.\n"
            );
        }
        if !self.rows.is_empty() {
            println!("{}", Row::heading());
        }
        for row in &self.rows {
            println!("{}", row.line());
        }
        for line in self.growth() {
            println!("{line}");
        }
        if !self.bursts.is_empty() {
            println!("{}", Burst::heading());
        }
        for burst in &self.bursts {
            println!("{}", burst.line());
        }
        for figure in &self.figures {
            println!("{}", figure.line());
        }
        for error in &self.errors {
            println!("FAILED {error}");
        }
    }

    pub(crate) fn json(&self) -> Value {
        let mut all = self.about.clone();
        all["results"] = self.rows.iter().map(Row::json).collect();
        all["bursts"] = self.bursts.iter().map(Burst::json).collect();
        all["figures"] = self.figures.iter().map(Figure::json).collect();
        all["errors"] = json!(self.errors);
        all
    }

    /// How much the largest state costs beside the smallest.
    fn growth(&self) -> Vec<String> {
        let median: fn(&Samples) -> f64 = Samples::median;
        let p99: fn(&Samples) -> f64 = |samples| samples.quantile(0.99);
        let mut lines = Vec::new();
        for operation in ["ADD", "DEL"] {
            let kinds = [
                ("host-local", "reservations", 60_000, "median", median),
                ("portmap", "mappings", 10_000, "p99", p99),
            ];
            for (plugin, what, most, word, of) in kinds {
                let times = |side: Side, suffix: &str| {
                    let row = |size| self.find(&format!("{plugin}-{size}{suffix}"), operation);
                    let small = row(10)?.samples.get(&side)?;
                    let large = row(most)?.samples.get(&side)?;
                    Some(of(large) / of(small))
                };
                let peer = times(Side::Peer, "").or_else(|| times(Side::Peer, "-peer"));
                if let (Some(ours), Some(peer)) = (times(Side::Ours, ""), peer) {
                    lines.push(format!(
                        "{plugin} {operation} with {most} {what} takes {ours:.2} × its time with 10 ({word}); the peer's {peer:.2} ×"
                    ));
                }
            }
        }
        lines.extend(self.path());
        lines
    }

    /// How much longer a packet's path through the last mapping is.
    fn path(&self) -> Option<String> {
        let [first, last] = ["first", "last"].map(|which| self.find("connect", which));
        let (first, last) = (first?, last?);
        let times = |side: Side| {
            let (first, last) = (first.samples.get(&side)?, last.samples.get(&side)?);
            let ratio = |share| last.quantile(share) / first.quantile(share);
            let [p50, p99] = [0.5, 0.99].map(ratio);
            Some(format!("{p50:.2} × (median), {p99:.2} × (p99)"))
        };
        Some(format!(
            "a connection through the last of 10000 mappings takes {} of the time through the first; the peer's {}",
            times(Side::Ours)?,
            times(Side::Peer)?
        ))
    }

    fn find(&self, scenario: &str, operation: &str) -> Option<&Row> {
        self.rows
            .iter()
            .find(|row| row.operation == operation && row.scenario == scenario)
    }
}

/// How many programs wanted to run in the last minute.
fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg")
        .ok()?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or("processor", |(_, name)| name).to_owned()
}

/// What the bridge plugin says about itself when it is run by hand.
fn says(folder: &Path) -> String {
    let mut command = Command::new(folder.join("bridge"));
    let output = command.env_clear().stdin(Stdio::null()).output();
    let said = output
        .map(|output| [output.stdout, output.stderr].concat())
        .unwrap_or_default();
    String::from_utf8_lossy(&said)
        .lines()
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned()
}
