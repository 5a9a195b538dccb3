//! A topology file, ours or containerlab's, is understood, or refused in one line that tells its place.
#![no_main]

// The command is a program, so its parser is compiled here once more.
#[allow(dead_code, reason = "the parser is a part of it")]
#[path = "../../crates/netloom/src/links"]
mod links {
    pub(crate) mod at;
    pub(crate) mod endpoint;
    mod engine;
}

#[allow(dead_code, reason = "the parser is a part of it")]
#[path = "../../crates/netloom/src/topology"]
mod topology {
    mod containerlab;
    mod file;
    mod link;
    mod model;
    mod names;
    mod yaml;

    pub(crate) fn error_of(text: &str) -> Option<String> {
        let read = file::topology(text, "lab.yaml".as_ref());
        read.err().map(|error| error.to_string())
    }
}

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Some(error) = topology::error_of(text) {
        assert!(!error.contains('\n'), "{error}");
        let mut parts = error.split(':').map(|part| part.parse::<u64>().is_ok());
        assert_eq!(
            (parts.next(), parts.next()),
            (Some(true), Some(true)),
            "{error}"
        );
    }
});
