//! What is in the boxes, and how large that makes them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{GAP, LETTER, LINE, PAD};
use crate::graph::model::{Column, Graph, Node};
use crate::markup::{fitted, width};

/// More pods than this that lead to the same box share one.
const DOZEN: usize = 12;
/// The longest title, and line, in letters.
const LONGEST: usize = 44;
/// The longest line of a pod among many.
const LONGEST_CELL: usize = 34;

/// One box: a thing, or many pods that lead to the same one.
#[derive(Debug)]
pub(in crate::graph) struct Group {
    /// The number of the box among all, or those of the pods.
    members: Vec<usize>,
    pub(in crate::graph) width: f64,
    pub(in crate::graph) height: f64,
    pub(in crate::graph) title: String,
    pub(in crate::graph) kind: String,
    pub(in crate::graph) rows: Vec<Row>,
    pub(in crate::graph) cells: Vec<Cell>,
    pub(in crate::graph) is_dead: bool,
    pub(in crate::graph) facts: Value,
}

/// A line of text in a box.
#[derive(Debug)]
pub(in crate::graph) struct Row {
    pub(in crate::graph) text: String,
    pub(in crate::graph) is_problem: bool,
    /// What a tooltip tells, if the row has one of its own.
    pub(in crate::graph) facts: Option<Value>,
}

/// A pod among many.
#[derive(Debug)]
pub(in crate::graph) struct Cell {
    pub(in crate::graph) x: f64,
    pub(in crate::graph) y: f64,
    pub(in crate::graph) width: f64,
    pub(in crate::graph) text: String,
    pub(in crate::graph) is_dead: bool,
    pub(in crate::graph) facts: Value,
}

impl Group {
    pub(super) fn nodes(&self) -> impl Iterator<Item = usize> {
        self.members.iter().copied()
    }

    pub(super) fn has(&self, node: usize) -> bool {
        self.members.contains(&node)
    }

    pub(super) fn is_many(&self) -> bool {
        self.members.len() > 1
    }

    /// How far below its top the middle of a port's row is.
    pub(super) fn port_middle(&self, graph: &Graph, port: usize) -> f64 {
        let notes = self
            .members
            .first()
            .map_or(0, |node| graph.nodes[*node].notes.len());
        PAD + LINE * (1.5 + (notes + port) as f64)
    }
}

/// The boxes, column by column.
pub(super) fn groups(graph: &Graph) -> Vec<(Column, Group)> {
    let mut all = Vec::new();
    // Pods by what they lead to, which keeps those of a bridge together.
    let mut pods: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        match node.column {
            Column::Pods => pods.entry(rank(graph, at)).or_default().push(at),
            column => all.push((column, single(graph, at))),
        }
    }
    for (rank, members) in pods {
        match members.len() > DOZEN && rank[0] < TO_PODS {
            true => all.push((Column::Pods, many(graph, members))),
            false => {
                let boxes = members
                    .into_iter()
                    .map(|at| (Column::Pods, single(graph, at)));
                all.extend(boxes);
            }
        }
    }
    all
}

/// Pods that lead to other pods, and those that lead nowhere, come last and are never one box.
const TO_PODS: usize = usize::MAX - 1;
const NOWHERE: usize = usize::MAX;

/// The boxes that lines of this one lead to, by which pods are sorted.
fn rank(graph: &Graph, node: usize) -> Vec<usize> {
    let ends = graph.edges_of(node).flat_map(|edge| edge.ends);
    let mut others: Vec<usize> = ends.map(|end| end.node).filter(|it| *it != node).collect();
    others.sort_unstable();
    others.dedup();
    match others
        .iter()
        .any(|it| graph.nodes[*it].column == Column::Pods)
    {
        true => vec![TO_PODS],
        false if others.is_empty() => vec![NOWHERE],
        false => others,
    }
}

fn single(graph: &Graph, at: usize) -> Group {
    let node = &graph.nodes[at];
    let plain = |text: &String| Row {
        text: fitted(text, LONGEST),
        is_problem: false,
        facts: None,
    };
    let mut rows: Vec<Row> = node.notes.iter().map(plain).collect();
    rows.extend(node.ports.iter().map(|port| Row {
        text: fitted(format!("{} {}", port.name, port.words).trim_end(), LONGEST),
        is_problem: false,
        facts: Some(port.facts.clone()),
    }));
    rows.extend(node.problems.iter().map(|problem| Row {
        text: fitted(&format!("✘ {problem}"), LONGEST),
        is_problem: true,
        facts: Some(Value::from(problem.as_str())),
    }));
    let title = fitted(&node.title, LONGEST - 12);
    let kind = if node.kind == node.title {
        String::new()
    } else {
        fitted(&node.kind, 16)
    };
    let heading = width(&title) + 2 + width(&kind);
    let longest = rows
        .iter()
        .map(|row| width(&row.text))
        .fold(heading, usize::max);
    Group {
        members: vec![at],
        width: (longest as f64 * LETTER + 2.0 * PAD).ceil(),
        height: PAD * 2.0 + LINE * (1 + rows.len()) as f64,
        title,
        kind,
        rows,
        cells: Vec::new(),
        is_dead: !node.problems.is_empty(),
        facts: node.facts.clone(),
    }
}

/// A table that is about as high as it is wide.
fn many(graph: &Graph, members: Vec<usize>) -> Group {
    let count = members.len();
    let per_column = (1..=count)
        .find(|rows| rows * rows >= count * 6)
        .unwrap_or(count);
    let texts: Vec<String> = members.iter().map(|at| line(&graph.nodes[*at])).collect();
    let longest = texts
        .iter()
        .map(|text| width(text))
        .max()
        .unwrap_or_default();
    let cell_width = (longest as f64 * LETTER + 2.0 * PAD).ceil();
    let step = LINE + 5.0;
    let cell = |(number, (at, text)): (usize, (&usize, String))| Cell {
        x: PAD + (number / per_column) as f64 * (cell_width + GAP / 2.0),
        y: PAD + LINE + 4.0 + (number % per_column) as f64 * step,
        width: cell_width,
        text,
        is_dead: is_dead(graph, *at),
        facts: whole(&graph.nodes[*at]),
    };
    let cells: Vec<Cell> = members.iter().zip(texts).enumerate().map(cell).collect();
    let right = cells.iter().map(|it| it.x + it.width).fold(0.0, f64::max);
    let dead = cells.iter().filter(|it| it.is_dead).count();
    let title = match dead {
        0 => format!("{count} pods"),
        dead => format!("{count} pods, {dead} with a fault"),
    };
    Group {
        width: right + PAD,
        height: PAD * 2.0 + LINE + 4.0 + per_column.min(count) as f64 * step,
        facts: Value::from(title.as_str()),
        title,
        kind: String::new(),
        rows: Vec::new(),
        is_dead: dead > 0,
        cells,
        members,
    }
}

fn is_dead(graph: &Graph, at: usize) -> bool {
    !graph.nodes[at].problems.is_empty() || graph.edges_of(at).any(|edge| edge.dead.is_some())
}

/// A pod in one line: its name, and its first address without the prefix.
fn line(node: &Node) -> String {
    let words = node.ports.iter().map(|port| port.words.as_str());
    let words = words
        .filter(|words| !words.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    let address = words.split('/').next().unwrap_or_default();
    let name = fitted(&node.title, LONGEST_CELL - 10);
    fitted(&format!("{name} {address}"), LONGEST_CELL)
}

/// All that is known of a pod, its interfaces included.
fn whole(node: &Node) -> Value {
    let mut facts = node.facts.clone();
    if let Some(members) = facts.as_object_mut() {
        let ports = node.ports.iter().map(|port| port.facts.clone());
        members.insert("interfaces".to_owned(), ports.collect());
        if !node.problems.is_empty() {
            members.insert("problems".to_owned(), node.problems.clone().into());
        }
    }
    facts
}
