//! `graph`: a picture of the networks of this host.

mod known;
mod watch;

use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use netloom_kernel::netns::Netns;
use netloom_observe::map::Map;
use netloom_spec::terminal;

use super::Misuse;
use crate::cli::Graph as Arguments;
use crate::configured::cni;
use crate::environment;
use crate::graph::model::Graph;
use crate::graph::places::Places;
use crate::graph::{drawing, page, picture, scene};
use crate::options::Options;
use crate::topology::wanted;

/// How the picture is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Svg,
    Html,
    Json,
}

pub(super) fn run(options: &Options, arguments: &Arguments) -> Result<()> {
    let form = form(options, arguments)?;
    if arguments.watch && form != Form::Text && arguments.output.is_none() {
        let words = "--watch draws --svg, --html and --json anew into a file: add --output FILE";
        return Err(Misuse(words.to_owned()).into());
    }
    let links = match &arguments.topo {
        Some(file) => wanted::read(file).map_err(|error| Misuse(format!("{error:#}")))?,
        None => Vec::new(),
    };
    loop {
        // What happens while it is looked at is heard.
        let places = places(options, arguments, &links)?;
        let watch = arguments
            .watch
            .then(|| watch::Watch::begin(options, &places));
        let watch = watch.transpose()?;
        let graph = look(options, &places, &links)?;
        show(&graph, form, arguments)?;
        match watch {
            Some(watch) => watch.wait()?,
            None => return Ok(()),
        }
    }
}

fn form(options: &Options, arguments: &Arguments) -> Result<Form> {
    let asked = [
        (arguments.text, Form::Text),
        (arguments.svg, Form::Svg),
        (arguments.html, Form::Html),
        (options.json, Form::Json),
    ];
    let mut asked = asked.iter().filter(|(is_asked, _)| *is_asked);
    let first = asked.next().map(|(_, form)| *form);
    match asked.next() {
        Some(_) => {
            let words = "one form at a time: --text, --svg, --html or --json";
            Err(Misuse(words.to_owned()).into())
        }
        None => Ok(first.unwrap_or(Form::Text)),
    }
}

/// The host, and the namespaces that were asked for: all that can be reached, if nobody says.
fn places(options: &Options, arguments: &Arguments, links: &[wanted::Wanted]) -> Result<Places> {
    let mut places = Places::of_host()?;
    for node in links.iter().flat_map(|link| &link.ends) {
        // One that is missing is drawn as such.
        if let Ok(place) = node.at.open(&cni(options)) {
            let netns = place.netns().path().to_owned();
            places.keep(place.to_string(), Netns::open(netns)?);
        }
    }
    let named: Vec<&String> = arguments
        .netns
        .iter()
        .filter(|name| *name != "all")
        .collect();
    for name in &named {
        let path = environment::netns_path(Path::new(name));
        let found = places.add_named(&path.display().to_string(), name);
        found.map_err(|error| Misuse(format!("{error:#}")))?;
    }
    let is_narrowed = arguments.topo.is_some() || !named.is_empty();
    if !is_narrowed || named.len() < arguments.netns.len() {
        // That the cache cannot be read is told with the names that are missing.
        let cached = cni(options).cached_attachments(None);
        places.add_all(&cached.unwrap_or_default());
    }
    if places.closed > 0 {
        note!(
            "netloom: without {} namespaces that only root can enter",
            places.closed
        );
    }
    Ok(places)
}

fn look(options: &Options, places: &Places, links: &[wanted::Wanted]) -> Result<Graph> {
    let map = Map::take(&places.places).context("look at the network namespaces")?;
    let mut overlay = known::overlay(options);
    overlay.wanted = wanted::names(&cni(options), links);
    Ok(scene::scene(&map, &overlay))
}

fn show(graph: &Graph, form: Form, arguments: &Arguments) -> Result<()> {
    let words = match form {
        Form::Text => drawing(graph),
        Form::Svg => picture(graph),
        Form::Html => page(graph, &host_name(), arguments.watch),
        Form::Json => {
            let document = format!("{:#}", graph.document());
            format!("{}\n", terminal::json(&document))
        }
    };
    if let Some(path) = &arguments.output {
        return replace(path, &words).with_context(|| format!("write {}", path.display()));
    }
    if arguments.watch && std::io::stdout().is_terminal() {
        // From the top of an empty screen.
        print!("\x1b[H\x1b[2J");
    }
    print!("{words}");
    std::io::stdout().flush().context("write to stdout")
}

fn host_name() -> String {
    let uname = rustix::system::uname();
    uname.nodename().to_string_lossy().into_owned()
}

/// Writes a file whole or not at all: a browser may read it meanwhile.
fn replace(path: &Path, words: &str) -> std::io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    let draft = PathBuf::from(draft);
    let written = fs::File::create_new(&draft)
        .and_then(|mut file| file.write_all(words.as_bytes()))
        .and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}
