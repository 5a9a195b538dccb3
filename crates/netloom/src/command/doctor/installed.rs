//! The files in the plugin directories: a name that answers as something else, and what is no release.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use netloom_plugin::stamp::Stamp;
use netloom_plugins::registry::PLUGINS;

use super::{Finding, quoted};
use crate::command::install::copies::stamp_of;
use crate::environment;

/// A file of netloom's under the name of a plugin.
struct Installed {
    name: &'static str,
    stamp: Stamp,
    is_dynamic: bool,
}

pub(super) fn findings() -> Vec<Finding> {
    let dirs = environment::plugin_dirs();
    // Who works on netloom has a build for tests everywhere, and knows.
    let is_release = !Stamp::own().is_debug();
    dirs.iter()
        .flat_map(|dir| examine(dir, &look(dir), is_release))
        .collect()
}

fn look(dir: &Path) -> Vec<Installed> {
    let names = PLUGINS.iter().map(|plugin| plugin.name());
    let installed = names.filter_map(|name| {
        let path = dir.join(name);
        Some(Installed {
            name,
            stamp: fs::metadata(&path)
                .is_ok_and(|it| it.is_file())
                .then(|| stamp_of(&path))??,
            is_dynamic: is_dynamic(&path),
        })
    });
    installed.collect()
}

fn examine(dir: &Path, installed: &[Installed], is_release: bool) -> Vec<Finding> {
    let place = dir.display();
    let mend = format!("netloom install --bin-dir {}", quoted(&place.to_string()));
    let finding = |what: String, mend: String| Finding {
        kind: "plugin file",
        network: String::new(),
        what,
        mend: mend.into(),
    };
    let mut findings = Vec::new();
    for it in installed {
        if let Some(other) = it.stamp.name().filter(|name| *name != it.name) {
            let what = format!("{place}/{} answers as {other}", it.name);
            findings.push(finding(what, format!("{mend} --force {}", it.name)));
        }
    }
    let mut builds: BTreeMap<(&str, &[u8]), Vec<&str>> = BTreeMap::new();
    for it in installed.iter().filter(|it| it.stamp.name().is_some()) {
        let build = (it.stamp.version(), it.stamp.build());
        builds.entry(build).or_default().push(it.name);
    }
    if builds.len() > 1 {
        let each: Vec<_> = builds
            .iter()
            .map(|((version, build), names)| {
                let build: String = build[..4]
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                format!("{version} build {build}: {}", names.join(", "))
            })
            .collect();
        let what = format!(
            "{place} holds several builds of netloom ({})",
            each.join("; ")
        );
        findings.push(finding(what, mend.clone()));
    }
    let mut unfit = |what: &str, is_so: &dyn Fn(&Installed) -> bool| {
        let names: Vec<_> = installed
            .iter()
            .filter(|it| is_so(it))
            .map(|it| it.name)
            .collect();
        if is_release && !names.is_empty() {
            let what = format!("{what} in {place}: {}", names.join(", "));
            findings.push(finding(
                what,
                format!("{mend}, by the netloom of a release"),
            ));
        }
    };
    unfit("a debug build, which is slow and large,", &|it| {
        it.stamp.is_debug()
    });
    unfit("a build that wants the host's libraries", &|it| {
        it.is_dynamic
    });
    findings
}

/// Whether a program asks for a dynamic loader: it has a program header of type `PT_INTERP` (elf(5)).
fn is_dynamic(path: &Path) -> bool {
    const PT_INTERP: u32 = 3;
    // The headers of what a linker makes are at the beginning.
    let mut start = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(4096).read_to_end(&mut start));
    if read.is_err() || !start.starts_with(b"\x7fELF\x02\x01") {
        return false;
    }
    let number = |at: usize, length: usize| -> usize {
        let bytes = start.get(at..at + length).unwrap_or_default();
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    let (offset, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).any(|at| {
        let header = offset.saturating_add(at * size);
        let kind = start.get(header..).and_then(|rest| rest.first_chunk());
        kind.map(|bytes| u32::from_le_bytes(*bytes)) == Some(PT_INTERP)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(name: &'static str, as_name: &str, build: u8, is_dynamic: bool) -> Installed {
        Installed {
            name,
            stamp: Stamp::own().filled(as_name, 4096, &[build; 32]),
            is_dynamic,
        }
    }

    fn told(installed: &[Installed], is_release: bool) -> Vec<String> {
        let findings = examine(Path::new("/opt/cni/bin"), installed, is_release);
        findings.into_iter().map(|it| it.what).collect()
    }

    #[test]
    fn files_of_one_build_under_their_names_are_nothing_to_mend() {
        let both = [
            installed("bridge", "bridge", 1, false),
            installed("ptp", "ptp", 1, false),
        ];
        assert_eq!(told(&both, false), Vec::<String>::new());
    }

    #[test]
    fn several_builds_are_told_with_their_names() {
        let both = [
            installed("bridge", "bridge", 1, false),
            installed("ptp", "ptp", 2, false),
        ];
        let [what] = told(&both, false).try_into().unwrap();
        assert!(what.contains("build 01010101: bridge;"), "{what}");
        assert!(what.contains("build 02020202: ptp)"), "{what}");
    }

    #[test]
    fn a_release_tells_debug_and_dynamic_builds() {
        let one = [installed("bridge", "bridge", 1, true)];
        let told = told(&one, true);
        // This test is a debug build, unless it runs in a release.
        assert_eq!(
            told.len(),
            1 + usize::from(cfg!(debug_assertions)),
            "{told:?}"
        );
        assert!(
            told.iter().any(|it| it.contains("the host's libraries")),
            "{told:?}"
        );
    }

    #[test]
    fn a_program_that_wants_a_loader_is_known() {
        let own = std::env::current_exe().unwrap();
        assert_eq!(is_dynamic(&own), !cfg!(target_feature = "crt-static"));
    }
}
