//! What a release takes from musl by name, where the standard library was compiled for glibc.
//!
//! Each name is one of which somebody made sure that both libraries mean the same by it: the same
//! arguments, the same structures. The linker would take any other as well.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// The names, one a line.
const KNOWN: &str = include_str!("musl.symbols");

/// What libgcc's unwinder refers to weakly. A static link takes a member of the C library's archive for a strong
/// reference only, so without these a part of the names stays at address 0 while the unwinder finds others and takes the
/// program for one with threads: every panic would call `pthread_once` at 0.
const PINNED: [&str; 6] = [
    "pthread_once",
    "pthread_key_create",
    "pthread_getspecific",
    "pthread_setspecific",
    "pthread_mutex_lock",
    "pthread_mutex_unlock",
];

/// Arguments for the linker: what is pinned, and the names with 64 in them for what has always had 64
/// bits in musl. From 1.2.4 on musl has them no more.
pub(super) fn arguments() -> Vec<String> {
    let pinned = PINNED.iter().map(|name| format!("-Wl,-u,{name}"));
    let plain = |name: &'static str| Some((name, name.strip_suffix("64")?));
    let aliases = KNOWN.lines().filter_map(plain);
    let aliases = aliases.map(|(name, plain)| format!("-Wl,-u,{plain},--defsym={name}={plain}"));
    pinned.chain(aliases).collect()
}

/// The argument that has the linker write what came from where into this file.
pub(super) fn map_argument(map: &Path) -> String {
    format!("-Wl,-Map={},--cref,--no-demangle", map.display())
}

/// Refuses a program that takes a name from musl which nobody has looked at.
pub(super) fn prove_known(map: &Path) -> Result<()> {
    let text = fs::read(map).with_context(|| format!("cannot read {}", map.display()))?;
    let text = String::from_utf8_lossy(&text);
    let taken = taken(&text);
    ensure!(
        !taken.is_empty(),
        "{} tells of nothing that is taken from musl",
        map.display()
    );
    let known: Vec<&str> = KNOWN.lines().collect();
    let unknown: Vec<&str> = taken
        .into_iter()
        .filter(|name| !known.contains(name))
        .collect();
    ensure!(
        unknown.is_empty(),
        "it takes {} from musl: where glibc means the same by that, add it to dist/link/musl.symbols",
        unknown.join(", ")
    );
    Ok(())
}

/// Refuses a program in which a symbol that somebody refers to weakly has no address: a call of it ends in SIGSEGV.
pub(super) fn prove_whole(symbols: &str) -> Result<()> {
    ensure!(
        symbols.lines().count() > PINNED.len(),
        "it has no symbols to look at"
    );
    let absent = without_address(symbols);
    ensure!(
        absent.is_empty(),
        "it refers to {}, which the linker left at address 0: name it in PINNED in dist/link/symbols.rs",
        absent.join(", ")
    );
    Ok(())
}

/// The weak symbols without an address, in what nm prints of a program: blanks, `w`, name.
fn without_address(symbols: &str) -> Vec<&str> {
    let weak = symbols
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    weak.filter_map(|words| match words.as_slice() {
        ["w" | "v", name] => Some(*name),
        _ => None,
    })
    .collect()
}

/// The linker makes it itself, and says that the first file to want it defines it.
const OF_THE_LINKER: &str = "_GLOBAL_OFFSET_TABLE_";

/// Whether a file of a map is musl's own.
fn of_musl(file: &str) -> bool {
    let starts = ["crt1.o", "Scrt1.o", "rcrt1.o", "crti.o", "crtn.o"];
    let name = file.rsplit('/').next().unwrap_or_default();
    file.contains("/libc.a(") || starts.contains(&name)
}

/// The names that musl defines and others refer to, in a map of GNU ld's. Its cross references tell of
/// each symbol the file that defines it, and then, indented, those that refer to it.
fn taken(map: &str) -> Vec<&str> {
    let table = map.split_once("\nCross Reference Table");
    let lines = table.map_or("", |(_, table)| table).lines();
    let mut defined = None;
    let mut taken = Vec::new();
    for line in lines.filter(|line| !line.trim().is_empty()) {
        if !line.starts_with(' ') {
            defined = line
                .split_once(' ')
                .filter(|(name, file)| *name != OF_THE_LINKER && of_musl(file))
                .map(|(name, _)| name);
        } else if !of_musl(line) {
            taken.extend(defined.take());
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weak_symbol_without_an_address_is_seen() {
        let symbols = "0000000000401460 W __stdio_exit\n                 w pthread_once\n                 U write\n0000000000401460 T main\n";
        assert_eq!(without_address(symbols), ["pthread_once"]);
    }

    const MAP: &str = "open   /lib/libc.a(open.o)\n\nCross Reference Table\n\n\
        Symbol                                            File\n\
        __errno_location                                  /lib/libc.a(__errno_location.o)\n\
        \x20                                                 /lib/libc.a(abort.o)\n\
        \x20                                                 /rust/libstd.rlib(std.o)\n\
        \x20                                                 /rust/libc.rlib(libc.o)\n\
        __lock                                            /lib/libc.a(__lock.o)\n\
        \x20                                                 /lib/libc.a(abort.o)\n\
        __libc_start_main                                 /lib/libc.a(__libc_start_main.o)\n\
        \x20                                                 /lib/crt1.o\n\
        main                                              /t/main.o\n\
        \x20                                                 /lib/crt1.o\n";

    #[test]
    fn what_is_taken_from_musl_is_what_others_refer_to() {
        assert_eq!(taken(MAP), ["__errno_location"]);
        assert_eq!(taken("nothing of that kind"), [""; 0]);
    }

    #[test]
    fn a_name_that_nobody_looked_at_is_named() {
        let map = tempfile::NamedTempFile::new().unwrap();
        fs::write(map.path(), MAP).unwrap();
        prove_known(map.path()).unwrap();
        fs::write(
            map.path(),
            MAP.replace("__errno_location  ", "brand_new_call  "),
        )
        .unwrap();
        let error = prove_known(map.path()).unwrap_err().to_string();
        assert!(error.contains("takes brand_new_call from musl"), "{error}");
    }

    #[test]
    fn the_names_are_sorted_and_each_with_64_has_its_plain_one_for_the_linker() {
        let known: Vec<&str> = KNOWN.lines().collect();
        assert!(known.is_sorted(), "musl.symbols");
        let arguments = arguments();
        let open = "-Wl,-u,open,--defsym=open64=open".to_owned();
        assert!(arguments.contains(&open), "{arguments:?}");
        assert!(!arguments.iter().any(|it| it.contains("memcpy")));
    }
}
