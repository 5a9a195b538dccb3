//! Where everything stands: the outside, the host's links, bridges, and pods, from left to right.
//!
//! Places follow from the order of the boxes alone, so the same host gives the same picture. A pod
//! stands at its bridge's height. More pods than a dozen on one bridge share a box, as a table.

mod boxes;
mod lines;

use super::model::{Column, Graph};
use boxes::{Group, groups};

pub(super) use boxes::{Cell, Row};
pub(super) use lines::Line;

/// The height of a line of text in pixels, and the width of a letter of 12 and 10 pixels in a font
/// whose letters are equally wide.
pub(super) const LINE: f64 = 17.0;
pub(super) const LETTER: f64 = 7.25;
pub(super) const SMALL_LETTER: f64 = 6.05;
/// Between a box's edge and its text.
pub(super) const PAD: f64 = 9.0;
/// Around the whole picture.
const MARGIN: f64 = 24.0;
/// Between boxes of one column.
const GAP: f64 = 16.0;
/// Between columns, for lines and the names on them.
const BETWEEN: [f64; 3] = [130.0, 160.0, 150.0];

/// A picture with places, in pixels.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) boxes: Vec<Placed>,
    pub(super) lines: Vec<Line>,
    pub(super) labels: Vec<Label>,
}

/// A box with its place.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) group: Group,
    pub(super) column: Column,
    pub(super) x: f64,
    pub(super) y: f64,
}

/// Words at a line's end, which end at this point.
#[derive(Debug)]
pub(super) struct Label {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) text: String,
    pub(super) is_dead: bool,
}

impl Placed {
    fn middle(&self) -> f64 {
        self.y + self.group.height / 2.0
    }
}

/// Gives everything its place.
pub(super) fn layout(graph: &Graph) -> Picture {
    let mut boxes: Vec<Placed> = Vec::new();
    let mut columns: Vec<Vec<Group>> = Column::ALL.map(|_| Vec::new()).into();
    for (column, group) in groups(graph) {
        columns[column as usize].push(group);
    }
    let widths: Vec<f64> = columns
        .iter()
        .map(|groups| groups.iter().map(|it| it.width).fold(0.0, f64::max))
        .collect();
    // From the pods, whose places are certain, to the outside.
    let mut lowest = MARGIN;
    for column in Column::ALL.into_iter().rev() {
        let x = left(&widths, column);
        let groups = std::mem::take(&mut columns[column as usize]);
        let placed = place(graph, column, x, groups, &boxes);
        let bottoms = placed.iter().map(|it| it.y + it.group.height);
        lowest = bottoms.fold(lowest, f64::max);
        boxes.extend(placed);
    }
    let right = boxes
        .iter()
        .map(|it| it.x + it.group.width)
        .fold(MARGIN, f64::max);
    let (lines, labels) = lines::lines(graph, &boxes);
    let bulges = lines.iter().map(Line::rightmost).fold(right, f64::max);
    Picture {
        width: bulges + MARGIN,
        height: lowest + MARGIN,
        boxes,
        lines,
        labels,
    }
}

/// Where a column begins. One without boxes takes no place.
fn left(widths: &[f64], column: Column) -> f64 {
    let before = &widths[..column as usize];
    let taken = before
        .iter()
        .zip(BETWEEN)
        .filter(|(width, _)| **width > 0.0);
    MARGIN + taken.map(|(width, between)| width + between).sum::<f64>()
}

/// A column's boxes, each as near as can be to the middle of what it leads to.
fn place(
    graph: &Graph,
    column: Column,
    x: f64,
    groups: Vec<Group>,
    right: &[Placed],
) -> Vec<Placed> {
    let wish = |group: &Group| {
        let others = group.nodes().flat_map(|node| {
            let edges = graph.edges_of(node);
            edges.flat_map(move |edge| {
                edge.ends
                    .iter()
                    .map(|end| end.node)
                    .filter(move |it| *it != node)
            })
        });
        let mut others: Vec<usize> = others.collect();
        others.sort_unstable();
        others.dedup();
        let is_of = |placed: &&Placed| others.iter().any(|node| placed.group.has(*node));
        let middles: Vec<f64> = right.iter().filter(is_of).map(Placed::middle).collect();
        let count = middles.len() as f64;
        (!middles.is_empty()).then(|| middles.iter().sum::<f64>() / count)
    };
    let mut wishes: Vec<(Option<f64>, Group)> =
        groups.into_iter().map(|it| (wish(&it), it)).collect();
    // Those that lead nowhere come last; the order of the rest is kept where the wishes are equal.
    wishes.sort_by(|(a, _), (b, _)| {
        let at = |wish: &Option<f64>| wish.unwrap_or(f64::MAX);
        at(a).total_cmp(&at(b))
    });
    let mut y = MARGIN;
    let mut placed = Vec::new();
    for (wish, group) in wishes {
        let wanted = wish.map_or(y, |middle| middle - group.height / 2.0);
        let at = wanted.max(y).round();
        y = at + group.height + GAP;
        placed.push(Placed {
            group,
            column,
            x,
            y: at,
        });
    }
    placed
}
