//! Lines between boxes, and the words on them.

use std::collections::{BTreeMap, HashSet};

use super::{LINE, Label, PAD, Placed};
use crate::graph::model::{Edge, EdgeKind, End, Graph};
use crate::markup::fitted;

/// How far the lines between boxes of one column swing out.
const SWING: f64 = 34.0;
/// Below a box's top, the middle of its title.
const TITLE: f64 = PAD + LINE / 2.0;
/// How long the straight part of a line is, for a name of twelve letters.
const STRAIGHT: f64 = 80.0;
const LANES: usize = 8;
const LANE: f64 = 12.0;
/// The longest name on a line: as long as names of links are.
const LONGEST: usize = 16;

/// A line from one box to another.
#[derive(Debug)]
pub(in crate::graph) struct Line {
    pub(in crate::graph) from: (f64, f64),
    pub(in crate::graph) to: (f64, f64),
    /// The curve's handles.
    pub(in crate::graph) handles: [f64; 2],
    /// Where the curve ends and the rest goes straight on, under the name of the line.
    pub(in crate::graph) straight_from: f64,
    pub(in crate::graph) kind: EdgeKind,
    /// Why nothing passes.
    pub(in crate::graph) dead: Option<String>,
    pub(in crate::graph) what: String,
}

impl Line {
    /// A curve stays left of its handles.
    pub(super) fn rightmost(&self) -> f64 {
        let [a, b] = self.handles;
        self.from.0.max(self.to.0).max((a + b) / 2.0)
    }
}

/// Where a line ends, and in which box.
struct Place<'p> {
    number: usize,
    placed: &'p Placed,
    y: f64,
}

pub(super) fn lines(graph: &Graph, boxes: &[Placed]) -> (Vec<Line>, Vec<Label>) {
    let mut lines = Vec::new();
    let mut words: BTreeMap<(usize, i64), (Vec<String>, bool)> = BTreeMap::new();
    let mut drawn = HashSet::new();
    let mut lane = 0;
    for edge in &graph.edges {
        let [Some(a), Some(b)] = edge.ends.map(|end| place(graph, boxes, end)) else {
            continue;
        };
        if a.number == b.number {
            continue;
        }
        // Many pods have one line, red if it is for all.
        let is_many = a.placed.group.is_many() || b.placed.group.is_many();
        if is_many && !drawn.insert((a.number, b.number, edge.kind.word())) {
            continue;
        }
        let (left, mut right) = if a.placed.column <= b.placed.column {
            (a, b)
        } else {
            (b, a)
        };
        let dead = match is_many {
            true => all_dead(graph, &left, &right),
            false => edge.dead.clone(),
        };
        if left.placed.column == right.placed.column {
            lines.push(swing(&left, &right, edge, dead, lane));
            lane += 1;
            continue;
        }
        if edge.kind == EdgeKind::Routed {
            // Beside the title, so that wires have the middle.
            right.y = right.placed.y + TITLE;
        }
        if !is_many && is_worth_a_word(edge) {
            let at = (right.number, right.y.round() as i64);
            let (texts, is_dead) = words.entry(at).or_default();
            if !texts.contains(&edge.what) {
                texts.push(edge.what.clone());
            }
            *is_dead |= dead.is_some();
        }
        lines.push(across(&left, &right, edge, dead));
    }
    let label = |((number, y), (texts, is_dead)): ((usize, i64), (Vec<String>, bool))| Label {
        x: boxes[number].x - 6.0,
        y: y as f64 - 4.0,
        text: fitted(&texts.join(", "), LONGEST),
        is_dead,
    };
    (lines, words.into_iter().map(label).collect())
}

fn is_worth_a_word(edge: &Edge) -> bool {
    edge.kind == EdgeKind::Routed || (edge.kind == EdgeKind::Wire && edge.ends[1].port.is_some())
}

fn place<'p>(graph: &Graph, boxes: &'p [Placed], end: End) -> Option<Place<'p>> {
    let number = boxes.iter().position(|it| it.group.has(end.node))?;
    let placed = &boxes[number];
    let within = match end.port {
        Some(port) if !placed.group.is_many() => placed.group.port_middle(graph, port),
        _ => placed.group.height / 2.0,
    };
    Some(Place {
        number,
        placed,
        y: placed.y + within,
    })
}

/// Why nothing passes between many pods and what they lead to.
fn all_dead(graph: &Graph, left: &Place<'_>, right: &Place<'_>) -> Option<String> {
    let is_of = |edge: &&Edge, place: &Place<'_>| {
        edge.ends.iter().any(|end| place.placed.group.has(end.node))
    };
    let mut between = graph
        .edges
        .iter()
        .filter(|it| is_of(it, left) && is_of(it, right));
    between
        .all(|edge| edge.dead.is_some())
        .then(|| "none of them is reached".to_owned())
}

fn across(left: &Place<'_>, right: &Place<'_>, edge: &Edge, dead: Option<String>) -> Line {
    let from = (left.placed.x + left.placed.group.width, left.y);
    let to = (right.placed.x, right.y);
    let straight_from = to.0 - STRAIGHT;
    let middle = (from.0 + straight_from) / 2.0;
    Line {
        straight_from,
        ..line(from, to, [middle, middle], edge, dead)
    }
}

/// Out to the right of both, and back.
fn swing(a: &Place<'_>, b: &Place<'_>, edge: &Edge, dead: Option<String>, lane: usize) -> Line {
    let right = |place: &Place<'_>| place.placed.x + place.placed.group.width;
    let far = right(a).max(right(b)) + SWING + (lane % LANES) as f64 * LANE;
    line((right(a), a.y), (right(b), b.y), [far, far], edge, dead)
}

fn line(
    from: (f64, f64),
    to: (f64, f64),
    handles: [f64; 2],
    edge: &Edge,
    dead: Option<String>,
) -> Line {
    Line {
        from,
        to,
        handles,
        straight_from: to.0,
        kind: edge.kind,
        dead,
        what: edge.what.clone(),
    }
}
