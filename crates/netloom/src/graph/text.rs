//! The picture as text, for a terminal.

use std::fmt::Write as _;

use netloom_spec::terminal::one_line;

use super::model::{Column, Edge, EdgeKind, End, Graph, Node};
use crate::markup::width;

/// What a cable looks like, and one that nothing passes.
const CABLE: &str = "══════";
const DEAD: &str = "══✘═══";

/// The picture: the outside, the host in a frame with its links and who is on them, and the rest.
pub(crate) fn drawing(graph: &Graph) -> String {
    let of_column = |column| {
        let nodes = graph.nodes.iter().enumerate();
        nodes.filter(move |(_, node)| node.column == column)
    };
    let outside: Vec<String> = of_column(Column::Outside)
        .map(|(_, node)| {
            let words = format!("{} {}", node.title, node.notes.join(" "));
            one_line(words.trim_end()).into_owned()
        })
        .collect();
    let mut inside = Vec::new();
    for (at, node) in of_column(Column::Links).chain(of_column(Column::Bridges)) {
        inside.extend(host_lines(graph, at, node));
    }
    let mut text = framed(&outside.join(", "), &inside);
    text.push('\n');
    for (at, node) in of_column(Column::Pods) {
        for line in pod_lines(graph, at, node) {
            let _ = writeln!(text, "  {}", one_line(&line));
        }
    }
    text
}

/// A link of the host, and a branch for each that hangs on it.
fn host_lines(graph: &Graph, at: usize, node: &Node) -> Vec<String> {
    let mut addresses = node
        .notes
        .iter()
        .filter(|note| note.contains('/') && !note.contains(' '));
    let mut first = node.title.clone();
    for address in addresses.by_ref() {
        let _ = write!(first, " {address}");
    }
    let notes = node
        .notes
        .iter()
        .filter(|note| !note.contains('/') || note.contains(' '));
    let kind = [&node.kind].into_iter().chain(notes).map(String::as_str);
    let _ = write!(first, "  ({})", kind.collect::<Vec<_>>().join(", "));
    let mut lines = vec![first];
    lines.extend(node.problems.iter().map(|problem| format!(" ✘ {problem}")));
    let mut ways: Vec<&str> = graph
        .edges_of(at)
        .filter(|edge| edge.kind == EdgeKind::Routed && edge.ends[0].node == at)
        .map(|edge| edge.what.as_str())
        .collect();
    ways.sort_unstable();
    ways.dedup();
    if !ways.is_empty() {
        lines.push(format!(" │  {}", ways.join(", ")));
    }
    let branches: Vec<String> = graph
        .edges_of(at)
        .filter_map(|edge| branch(graph, at, node, edge))
        .collect();
    let last = branches.len().saturating_sub(1);
    lines.extend(branches.iter().enumerate().map(|(number, branch)| {
        let fork = if number == last { '└' } else { '├' };
        format!(" {fork}─ {branch}")
    }));
    lines
}

/// What hangs on a link of the host by this line.
fn branch(graph: &Graph, at: usize, node: &Node, edge: &Edge) -> Option<String> {
    let [a, b] = edge.ends;
    let far = if a.node == at { b } else { a };
    let other = &graph.nodes[far.node];
    if edge.kind == EdgeKind::Routed || other.column == Column::Outside {
        return None;
    }
    if other.column == Column::Pods {
        let what = if edge.kind == EdgeKind::Wire {
            edge.what.as_str()
        } else {
            edge.kind.word()
        };
        return Some(format!("{what} {} {}", cable(edge), end(graph, far)));
    }
    // Between links of the host: told by the one that has the other on it.
    let is_above = node.column > other.column || (node.column == other.column && a.node == at);
    let mark = if edge.dead.is_some() { " ✘" } else { "" };
    is_above.then(|| format!("{} ({}){mark}", other.title, edge.what))
}

fn cable(edge: &Edge) -> &'static str {
    if edge.dead.is_some() { DEAD } else { CABLE }
}

/// An interface of a pod: `eth0 10.16.0.2/24  [a]`.
fn end(graph: &Graph, end: End) -> String {
    let node = &graph.nodes[end.node];
    let port = end.port.and_then(|port| node.ports.get(port));
    let words = port.map(|port| format!("{} {}", port.name, port.words));
    format!("{}  [{}]", words.unwrap_or_default().trim_end(), node.title)
}

/// What is to be said of a pod beside its lines to the host.
fn pod_lines(graph: &Graph, at: usize, node: &Node) -> Vec<String> {
    let mut lines = Vec::new();
    let title = &node.title;
    for (number, port) in node.ports.iter().enumerate() {
        let here = End {
            node: at,
            port: Some(number),
        };
        let mut edges = graph
            .edges_of(at)
            .filter(|edge| edge.ends.contains(&here))
            .peekable();
        if edges.peek().is_none() {
            lines.push(format!("[{title}] {} {}", port.name, port.words));
        }
        let first = edges.filter(|edge| edge.ends[0] == here);
        let to_pods = first.filter(|edge| graph.nodes[edge.ends[1].node].column == Column::Pods);
        lines.extend(to_pods.map(|edge| {
            format!(
                "[{title}] {} {} {} {}",
                port.name,
                port.words,
                cable(edge),
                end(graph, edge.ends[1])
            )
        }));
    }
    if node.ports.is_empty() && node.problems.is_empty() {
        lines.push(format!("[{title}] nothing but lo"));
    }
    lines.extend(node.notes.iter().map(|note| format!("[{title}] {note}")));
    lines.extend(
        node.problems
            .iter()
            .map(|problem| format!("[{title}] ✘ {problem}")),
    );
    let dead = graph.edges_of(at).filter_map(|edge| edge.dead.as_ref());
    lines.extend(dead.map(|why| format!("[{title}] ✘ {why}")));
    lines
}

/// The host's lines in a frame, under what is outside.
pub(crate) fn framed(outside: &str, inside: &[String]) -> String {
    let inside: Vec<_> = inside.iter().map(|line| one_line(line)).collect();
    let widest = inside.iter().map(|line| width(line)).max().unwrap_or(0);
    let frame = widest.max(10) + 2;
    let mut text = String::new();
    let joint = match outside {
        "" => '─',
        outside => {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "      {outside}\n           │");
            '┴'
        }
    };
    let _ = writeln!(
        text,
        "  ┌─ host ─{joint}{}┐",
        "─".repeat(frame.saturating_sub(9))
    );
    for line in inside {
        let pad = " ".repeat(frame - 1 - width(&line));
        let _ = writeln!(text, "  │ {line}{pad}│");
    }
    let _ = write!(text, "  └{}┘", "─".repeat(frame));
    text
}
