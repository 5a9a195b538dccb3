//! The table of all plugins. From it come dispatch by name, VERSION, help, what `netloom install`
//! installs, and the tests that every plugin must pass.

use crate::{chained, interface, ipam};
use netloom_plugin::{Entry, Env, Invocation, Plugin};
use std::io::Write;

/// A plugin, and the function that runs it in the caller's process.
#[derive(Clone, Copy)]
pub(crate) struct Registered {
    pub(crate) plugin: &'static dyn Plugin,
    pub(crate) entry: Entry,
}

/// The list of each kind of plugins.
const KINDS: [&[Registered]; 3] = [interface::PLUGINS, ipam::PLUGINS, chained::PLUGINS];

const COUNT: usize = KINDS[0].len() + KINDS[1].len() + KINDS[2].len();

/// Every plugin: those that make an interface, then IPAM plugins, then chained ones, each kind in
/// alphabetical order.
pub const PLUGINS: &[&'static dyn Plugin] = &{
    let mut all = [KINDS[0][0].plugin; COUNT];
    let (mut kind, mut count) = (0, 0);
    while kind < KINDS.len() {
        let mut at = 0;
        while at < KINDS[kind].len() {
            all[count] = KINDS[kind][at].plugin;
            (at, count) = (at + 1, count + 1);
        }
        kind += 1;
    }
    all
};

/// Name and function of every plugin, for a program that calls plugins in its own process. Their
/// delegates are called in the same process.
pub fn entries() -> impl Iterator<Item = (&'static str, Entry)> {
    let all = KINDS.into_iter().flatten();
    all.map(|it| (it.plugin.name(), it.entry))
}

/// Runs a plugin in process.
pub(crate) fn run(
    plugin: &'static dyn Plugin,
    env: &Env,
    mut stdin: &[u8],
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> i32 {
    netloom_plugin::run_linked(Invocation {
        plugin,
        registry: PLUGINS,
        env,
        stdin: &mut stdin,
        stdout,
        stderr,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_in_order() {
        for kind in KINDS {
            let names: Vec<_> = kind.iter().map(|it| it.plugin.name()).collect();
            assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
        }
        let all: BTreeSet<_> = PLUGINS.iter().map(|plugin| plugin.name()).collect();
        assert_eq!(all.len(), COUNT, "{all:?}");
    }

    #[test]
    fn every_entry_is_the_plugin_of_its_name() {
        for (name, entry) in entries() {
            let mut stderr = Vec::new();
            let env = netloom_plugin::Env::new();
            assert_eq!(entry(&env, b"", &mut Vec::new(), &mut stderr), 0);
            let about = String::from_utf8(stderr).unwrap();
            let first = match name {
                "flannel" => "CNI Plugin flannel version v".to_owned(),
                name => format!("CNI {name} plugin v"),
            };
            assert!(about.starts_with(&first), "{about}");
        }
    }
}
