//! The picture as SVG: complete in itself, light and dark.

use std::fmt::Write as _;

use serde_json::Value;

use super::layout::{self, Cell, LETTER, LINE, Line, PAD, Picture, Placed, Row, SMALL_LETTER};
use super::model::{Column, Graph};
use crate::markup::{width, xml, xml_lines};

/// Light, and dark where the reader likes that.
pub(super) const STYLE: &str = "\
.net{--back:#ffffff;--ink:#1f2328;--dim:#59636e;--box:#f6f8fa;--edge:#59636e;--dead:#cf222e;\
--outside:#8250df;--links:#0969da;--bridges:#bc4c00;--pods:#1a7f37;--cell:#ffffff}
@media (prefers-color-scheme:dark){.net{--back:#0d1117;--ink:#e6edf3;--dim:#9198a1;--box:#161b22;\
--edge:#9198a1;--dead:#ff7b72;--outside:#bc8cff;--links:#58a6ff;--bridges:#ffa657;--pods:#3fb950;\
--cell:#0d1117}}
.net .back{fill:var(--back)}
.net text{font:12px ui-monospace,'DejaVu Sans Mono',monospace;fill:var(--ink)}
.net .kind{fill:var(--dim)}
.net .label{font-size:10px;fill:var(--dim);text-anchor:end;paint-order:stroke;stroke:var(--back);\
stroke-width:3px}
.net .title{font-weight:bold}
.net .box{fill:var(--box);stroke-width:1.5}
.net .outside{stroke:var(--outside)}
.net .links{stroke:var(--links)}
.net .bridges{stroke:var(--bridges)}
.net .pods{stroke:var(--pods)}
.net .cell{fill:var(--cell);stroke:var(--pods);stroke-width:1}
.net path{fill:none;stroke:var(--edge);stroke-width:1.5}
.net .stacked{stroke-dasharray:6 3}
.net .routed{stroke-dasharray:2 3}
.net path.dead,.net .box.dead,.net .cell.dead{stroke:var(--dead)}
.net text.dead{fill:var(--dead)}
.net g:hover>.box,.net g:hover>.cell{stroke-width:3}
";

/// The picture, as a document of its own.
pub(crate) fn picture(graph: &Graph) -> String {
    let picture = layout::layout(graph);
    let mut svg = String::new();
    draw(&mut svg, &picture);
    svg
}

fn draw(svg: &mut String, picture: &Picture) {
    let (w, h) = (picture.width, picture.height);
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"net\" width=\"{w:.0}\" height=\"{h:.0}\" \
         viewBox=\"0 0 {w:.0} {h:.0}\">\n<style>{STYLE}</style>\n\
         <rect class=\"back\" width=\"{w:.0}\" height=\"{h:.0}\"/>"
    );
    for line in &picture.lines {
        draw_line(svg, line);
    }
    for label in &picture.labels {
        let class = if label.is_dead { "label dead" } else { "label" };
        text(svg, class, (label.x, label.y), &label.text, SMALL_LETTER);
    }
    for placed in &picture.boxes {
        draw_box(svg, placed);
    }
    svg.push_str("</svg>\n");
}

fn draw_line(svg: &mut String, line: &Line) {
    let ((x1, y1), (x2, y2), [a, b]) = (line.from, line.to, line.handles);
    let c = line.straight_from;
    let dead = if line.dead.is_some() { " dead" } else { "" };
    let words = match &line.dead {
        Some(why) => format!("{} {}: {why}", line.kind.word(), line.what),
        None => format!("{} {}", line.kind.word(), line.what),
    };
    let _ = writeln!(
        svg,
        "<path class=\"{}{dead}\" d=\"M{x1:.1} {y1:.1}C{a:.1} {y1:.1} {b:.1} {y2:.1} {c:.1} {y2:.1}H{x2:.1}\">\
         <title>{}</title></path>",
        line.kind.word(),
        xml(words.trim())
    );
}

fn draw_box(svg: &mut String, placed: &Placed) {
    let group = &placed.group;
    let column = match placed.column {
        Column::Outside => "outside",
        Column::Links => "links",
        Column::Bridges => "bridges",
        Column::Pods => "pods",
    };
    let dead = if group.is_dead { " dead" } else { "" };
    let _ = write!(
        svg,
        "<g transform=\"translate({:.1} {:.1})\">",
        placed.x, placed.y
    );
    tooltip(svg, &group.facts);
    let _ = writeln!(
        svg,
        "<rect class=\"box {column}{dead}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"5\"/>",
        group.width, group.height
    );
    let first = PAD + LINE * 0.75;
    text(svg, "title", (PAD, first), &group.title, LETTER);
    if !group.kind.is_empty() {
        let x = PAD + (width(&group.title) + 2) as f64 * LETTER;
        text(svg, "kind", (x, first), &group.kind, LETTER);
    }
    for (number, row) in group.rows.iter().enumerate() {
        draw_row(svg, row, first + LINE * (number + 1) as f64);
    }
    for cell in &group.cells {
        draw_cell(svg, cell);
    }
    svg.push_str("</g>\n");
}

fn draw_row(svg: &mut String, row: &Row, y: f64) {
    let class = if row.is_problem { "row dead" } else { "row" };
    if let Some(facts) = &row.facts {
        svg.push_str("<g>");
        tooltip(svg, facts);
    }
    text(svg, class, (PAD, y), &row.text, LETTER);
    if row.facts.is_some() {
        svg.push_str("</g>\n");
    }
}

fn draw_cell(svg: &mut String, cell: &Cell) {
    let dead = if cell.is_dead { " dead" } else { "" };
    let _ = write!(
        svg,
        "<g transform=\"translate({:.1} {:.1})\">",
        cell.x, cell.y
    );
    tooltip(svg, &cell.facts);
    let _ = writeln!(
        svg,
        "<rect class=\"cell{dead}\" width=\"{:.1}\" height=\"{LINE}\" rx=\"3\"/>",
        cell.width
    );
    text(
        svg,
        &format!("row{dead}"),
        (PAD, LINE * 0.75),
        &cell.text,
        LETTER,
    );
    svg.push_str("</g>\n");
}

/// All that is known, as JSON, where the pointer rests.
fn tooltip(svg: &mut String, facts: &Value) {
    match facts {
        Value::Null => {}
        Value::String(words) => {
            let _ = write!(svg, "<title>{}</title>", xml(words));
        }
        facts => {
            let _ = write!(svg, "<title>{}</title>", xml_lines(&format!("{facts:#}")));
        }
    }
}

/// A line of text. Letters of other scripts come from other fonts, so their width is said.
fn text(svg: &mut String, class: &str, (x, y): (f64, f64), words: &str, letter: f64) {
    let length = match words
        .chars()
        .all(|char| char.is_ascii() || "✘→…·".contains(char))
    {
        true => String::new(),
        false => {
            let length = width(words) as f64 * letter;
            format!(" textLength=\"{length:.1}\" lengthAdjust=\"spacingAndGlyphs\"")
        }
    };
    let words = xml(words);
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\"{length}>{words}</text>"
    );
}
