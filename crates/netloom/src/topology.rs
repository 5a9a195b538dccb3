//! `netloom topo`: many links at once, as a file says.

pub(crate) mod cli;
mod containerlab;
mod destroy;
mod export;
mod file;
mod graph;
mod here;
mod link;
mod model;
mod names;
mod record;
mod verbs;
pub(crate) mod wanted;
mod yaml;

use anyhow::Result;

use crate::options::Options;
use cli::{Topo, TopoVerb};

pub(crate) fn run(options: &Options, topo: &Topo) -> Result<()> {
    match &topo.verb {
        TopoVerb::Plan(file) => verbs::plan(options, file),
        TopoVerb::Apply(file) => verbs::apply(options, file),
        TopoVerb::Check(file) => verbs::check(options, file),
        TopoVerb::Destroy(destroy) => destroy::run(options, destroy),
        TopoVerb::Show(file) => verbs::show(options, file),
        TopoVerb::Graph { file, format } => graph::run(file, *format),
        TopoVerb::Export { file } => export::run(file),
        TopoVerb::Schema => {
            println!("{}", include_str!("topology/schema.json").trim_end());
            Ok(())
        }
    }
}
