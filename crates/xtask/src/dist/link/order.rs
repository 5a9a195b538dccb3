//! Which functions lie together in a program.
//!
//! A plugin lives for a millisecond, and a third of the functions is all that any plugin runs in ADD, CHECK, DEL and
//! STATUS. In the compiler's order they are spread over three megabytes, which the kernel maps on demand, 64 KiB for
//! each page fault: bridge ADD took 70 of these, and takes 47 with these functions in one place, a tenth of its time.
//!
//! The list was made by following each plugin through its calls, one instruction at a time (ptrace(2)): first what all
//! plugins run, then what some share, then what is one plugin's own, each in the order of the first call. A name that a
//! program lacks changes nothing, and what the list lacks is found where it always was, so that it ages slowly.
//! `perf stat -e page-faults` shows when it is worth making again; valgrind's callgrind names the functions too.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// The names as the linker sees them, one a line; an asterisk stands for the hash of the compiler at their end.
const FIRST: &str = include_str!("first.symbols");

/// Writes the linker script that puts these functions before all others; returns the argument that has the linker
/// take it beside its own.
pub(super) fn argument(script: &Path) -> Result<String> {
    fs::write(script, of(FIRST)).with_context(|| format!("cannot write {}", script.display()))?;
    Ok(format!("-Wl,-T,{}", script.display()))
}

/// Each function has a section of its own, named after it.
fn of(names: &str) -> String {
    let sections: String = names
        .lines()
        .map(|name| format!("    *(.text.{name})\n"))
        .collect();
    format!("SECTIONS\n{{\n  .text.first :\n  {{\n{sections}  }}\n}}\nINSERT BEFORE .text;\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_once_and_needs_no_quotes_in_a_script() {
        let mut names: Vec<&str> = FIRST.lines().collect();
        let is_plain = |name: &&str| {
            let name = name.strip_suffix('*').unwrap_or(name);
            let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"_$.".contains(&byte);
            !name.is_empty() && name.bytes().all(is_known)
        };
        assert!(names.iter().all(is_plain));
        assert!(
            names.iter().any(|name| name.contains("dispatch")),
            "what every plugin runs"
        );
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn the_script_adds_to_the_linkers_own() {
        assert_eq!(
            of("main\n_ZN4core3fmt5write17h*"),
            "SECTIONS\n{\n  .text.first :\n  {\n    *(.text.main)\n    *(.text._ZN4core3fmt5write17h*)\n  }\n}\nINSERT BEFORE .text;\n"
        );
    }
}
