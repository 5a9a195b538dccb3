//! The arguments of `netloom conform`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct Conform {
    /// The plugins' files.
    #[arg(value_name = "PLUGIN", required_unless_present_any = ["own", "list"])]
    pub(crate) plugins: Vec<PathBuf>,
    /// All of netloom's own plugins.
    #[arg(long = "self", conflicts_with_all = ["plugins", "conf", "class", "setup", "single"])]
    pub(crate) own: bool,
    /// A configuration with the plugin in it [default: the first file of `conf` beside the plugin,
    /// one that is known for the plugin's name, or one made up].
    #[arg(long, value_name = "FILE")]
    pub(crate) conf: Option<PathBuf>,
    /// What the plugin does [default: guessed from its configuration and what it answers].
    #[arg(long, value_enum)]
    pub(crate) class: Option<Class>,
    /// Which failures count for the exit status: of this level, or a more binding one.
    #[arg(long, value_enum, default_value_t = Level::Must)]
    pub(crate) level: Level,
    /// Only this case (repeatable).
    #[arg(long, value_name = "ID")]
    pub(crate) only: Vec<String>,
    /// A line for /bin/sh that is run on each host before its case.
    #[arg(long, value_name = "LINE")]
    pub(crate) setup: Option<String>,
    /// There can be one attachment at a time: leave out what needs more.
    #[arg(long)]
    pub(crate) single: bool,
    /// Known failures, a line each: PLUGIN ID WORDS. They do not count for the exit status.
    #[arg(long, value_name = "FILE")]
    pub(crate) expect: Option<PathBuf>,
    /// Print TAP 14, for test harnesses.
    #[arg(long, conflicts_with = "json")]
    pub(crate) tap: bool,
    /// Also write a report in JUnit's XML.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// List the cases, and run none.
    #[arg(long)]
    pub(crate) list: bool,
}

/// What a plugin does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Class {
    /// It makes an interface.
    Interface,
    /// It works on what the plugins before it made.
    Chained,
    /// It gives addresses.
    Ipam,
    /// It has another plugin do the work.
    Meta,
}

impl From<Class> for netloom_conform::Class {
    fn from(class: Class) -> Self {
        match class {
            Class::Interface => Self::Interface,
            Class::Chained => Self::Chained,
            Class::Ipam => Self::Ipam,
            Class::Meta => Self::Meta,
        }
    }
}

/// How binding a case is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    /// The specification demands it, or runtimes break without it.
    Must,
    /// The specification recommends it, or the reference does it.
    Should,
    /// What a careful plugin does.
    Extra,
}

impl From<Level> for netloom_conform::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Must => Self::Must,
            Level::Should => Self::Should,
            Level::Extra => Self::Extra,
        }
    }
}
