//! The picture as one HTML page.

use super::model::Graph;
use super::svg::picture;
use crate::markup::xml;

/// How often a page that is watched reads its file again, in seconds: a file cannot tell a browser.
const AGAIN: u32 = 2;

/// A page that needs nothing from elsewhere, and may load nothing: it has no script, and its own rule
/// for browsers forbids every request.
pub(crate) fn page(graph: &Graph, host: &str, is_watched: bool) -> String {
    let again = match is_watched {
        true => format!("<meta http-equiv=\"refresh\" content=\"{AGAIN}\">\n"),
        false => String::new(),
    };
    let faults = graph
        .nodes
        .iter()
        .filter(|it| !it.problems.is_empty())
        .count()
        + graph.edges.iter().filter(|it| it.dead.is_some()).count();
    let faults = match faults {
        0 => "no fault is seen".to_owned(),
        1 => "1 fault, in red".to_owned(),
        count => format!("{count} faults, in red"),
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n{again}<title>Networks of {host}</title>\n\
         <style>\nbody{{font:14px system-ui,sans-serif;margin:16px;background:#fff;color:#1f2328}}\n\
         h1{{font-size:18px}}\n\
         @media (prefers-color-scheme:dark){{body{{background:#0d1117;color:#e6edf3}}}}\n</style>\n</head>\n\
         <body>\n<h1>Networks of {host}</h1>\n\
         <p>{faults}. Lines: ── wire, ╌╌ one link on another, ┈┈ routed. Rest the pointer on anything \
         for all that is known of it.</p>\n{svg}</body>\n</html>\n",
        host = xml(host),
        svg = picture(graph),
    )
}
