//! Draws a topology.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::Result;
use netloom_links::Outside;

use super::cli::Format;
use super::file;
use super::model::{TopoOther, Topology};
use crate::markup::xml;

pub(super) fn run(path: &Path, format: Format) -> Result<()> {
    let topology = file::read(path)?;
    let edges = edges(&topology);
    let picture = match format {
        Format::Mermaid => mermaid(&edges),
        Format::Dot => dot(&topology.name, &edges),
        Format::Svg => svg(&edges),
    };
    print!("{picture}");
    Ok(())
}

/// A line between two nodes, with the interfaces at its ends.
struct Edge {
    nodes: [String; 2],
    interfaces: [String; 2],
}

/// All links, and `outside` for what is on the other side of some.
fn edges(topology: &Topology) -> Vec<Edge> {
    let edge = |link: &super::model::TopoLink| {
        let near = &link.near;
        let (node, interface) = match &link.other {
            TopoOther::End(end) => (end.node.clone(), end.interface.name.clone()),
            TopoOther::Outside(by) => (outside(by), String::new()),
        };
        Edge {
            nodes: [near.node.clone(), node],
            interfaces: [near.interface.name.clone(), interface],
        }
    };
    topology.links.iter().map(edge).collect()
}

fn outside(by: &Outside) -> String {
    match by {
        Outside::Vxlan(vxlan) => format!("vxlan {} to {}", vxlan.vni, vxlan.remote),
        other => match other.parent() {
            Some(parent) => format!("{} on {parent}", other.kind()),
            None => other.kind().to_owned(),
        },
    }
}

/// The nodes, each with a number that is safe in every language.
fn numbers(edges: &[Edge]) -> BTreeMap<&str, usize> {
    let mut nodes: Vec<&str> = edges
        .iter()
        .flat_map(|edge| &edge.nodes)
        .map(String::as_str)
        .collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes.into_iter().zip(0..).collect()
}

fn mermaid(edges: &[Edge]) -> String {
    let numbers = numbers(edges);
    let mut text = "graph LR\n".to_owned();
    for (node, number) in &numbers {
        let _ = writeln!(text, "  n{number}[\"{}\"]", xml(node));
    }
    for edge in edges {
        let [a, b] = edge.nodes.each_ref().map(|node| numbers[node.as_str()]);
        let [from, to] = edge.interfaces.each_ref().map(|name| xml(name));
        let label = if to.is_empty() {
            from
        } else {
            format!("{from} · {to}")
        };
        let _ = writeln!(text, "  n{a} ---|\"{label}\"| n{b}");
    }
    text
}

fn dot(name: &str, edges: &[Edge]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut text = format!("graph {} {{\n", quoted(name));
    for edge in edges {
        let [a, b] = edge.nodes.each_ref().map(|node| quoted(node));
        let [from, to] = edge.interfaces.each_ref().map(|name| quoted(name));
        let _ = writeln!(text, "  {a} -- {b} [taillabel={from}, headlabel={to}];");
    }
    text.push_str("}\n");
    text
}

/// A point of the unit circle, after a part of a turn; by fractions, so that no library of mathematics
/// is linked for a picture.
fn on_circle(part: f64) -> (f64, f64) {
    let quarters = part * 4.0;
    let quarter = quarters as u8;
    let rest = quarters - f64::from(quarter);
    // Near the tangent of half the angle.
    let first = std::f64::consts::FRAC_PI_4;
    let t = rest * (first + (1.0 - first) * rest * rest);
    let (x, y) = ((1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t));
    match quarter {
        0 => (x, y),
        1 => (-y, x),
        2 => (-x, -y),
        _ => (y, -x),
    }
}

/// The nodes on a circle.
fn svg(edges: &[Edge]) -> String {
    let numbers = numbers(edges);
    let count = numbers.len().max(1) as f64;
    let radius = 60.0 + count * 18.0;
    let side = radius * 2.0 + 160.0;
    let place = |number: usize| {
        let (x, y) = on_circle(number as f64 / count);
        (side / 2.0 + radius * x, side / 2.0 + radius * y)
    };
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{side:.0}\" height=\"{side:.0}\" \
         font-family=\"sans-serif\" font-size=\"12\" text-anchor=\"middle\">\n"
    );
    for edge in edges {
        let [a, b] = edge
            .nodes
            .each_ref()
            .map(|node| place(numbers[node.as_str()]));
        let _ = writeln!(
            text,
            "  <line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"gray\"/>",
            a.0, a.1, b.0, b.1
        );
        let near = |from: (f64, f64), to: (f64, f64)| {
            (
                from.0 + (to.0 - from.0) * 0.3,
                from.1 + (to.1 - from.1) * 0.3,
            )
        };
        for (at, name) in [
            (near(a, b), &edge.interfaces[0]),
            (near(b, a), &edge.interfaces[1]),
        ] {
            let _ = writeln!(
                text,
                "  <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"9\">{}</text>",
                at.0,
                at.1,
                xml(name)
            );
        }
    }
    for (node, number) in &numbers {
        let (x, y) = place(*number);
        let width = 16.0 + 7.0 * node.chars().count() as f64;
        let _ = writeln!(
            text,
            "  <rect x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"24\" rx=\"4\" \
             fill=\"white\" stroke=\"black\"/>\n  <text x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
            x - width / 2.0,
            y - 12.0,
            y + 4.0,
            xml(node)
        );
    }
    text.push_str("</svg>\n");
    text
}

#[cfg(test)]
mod tests {
    use super::on_circle;

    #[test]
    fn points_are_on_the_circle_and_about_evenly_far_apart() {
        let points: Vec<_> = (0..36).map(|n| on_circle(f64::from(n) / 36.0)).collect();
        let expected = 2.0 * (std::f64::consts::PI / 36.0).sin();
        for (at, (x, y)) in points.iter().enumerate() {
            assert!((x.hypot(*y) - 1.0).abs() < 1e-9);
            let (a, b) = points[(at + 1) % 36];
            let apart = (a - x).hypot(b - y);
            assert!((apart / expected - 1.0).abs() < 0.1, "{at}: {apart}");
        }
    }
}
