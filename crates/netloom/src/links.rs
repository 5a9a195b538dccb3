//! `netloom link`: links between chosen namespaces, one at a time. `koko` is the same under the
//! options of the program of that name.

pub(crate) mod at;
pub(crate) mod cli;
pub(crate) mod endpoint;
mod engine;
pub(crate) mod koko;
pub(crate) mod lock;
pub(crate) mod ls;
pub(crate) mod places;
mod verbs;

use anyhow::Result;

use crate::options::Options;
use cli::{Link, LinkVerb};

/// The topology that single links are of.
pub(crate) const SINGLE: &str = "link";

pub(crate) fn run(options: &Options, link: &Link) -> Result<()> {
    match &link.verb {
        LinkVerb::Add(wanted) => verbs::add(options, wanted),
        LinkVerb::Check(wanted) => verbs::check(options, wanted),
        LinkVerb::Del { ends } => verbs::del(options, ends),
        LinkVerb::Set(set) => verbs::set(options, set),
        LinkVerb::Show { end } => ls::show(options, end),
        LinkVerb::Ls { topology } => ls::run(options, topology.as_deref()),
        LinkVerb::Mirror(mirror) => verbs::mirror(options, mirror),
    }
}
