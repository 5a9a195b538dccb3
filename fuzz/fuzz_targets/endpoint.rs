//! An endpoint of `netloom link` is understood, and read again as it is shown; an error is one line.
#![no_main]

// The command is a program, so its parser is compiled here once more.
#[allow(dead_code, reason = "the parser is a part of it")]
#[path = "../../crates/netloom/src/links"]
mod links {
    mod at;
    pub(crate) mod endpoint;
    mod engine;
}

use links::endpoint::{Endpoint, Other};

libfuzzer_sys::fuzz_target!(|text: &str| {
    match Endpoint::parse(text) {
        Ok(read) => {
            let again = Endpoint::parse(&read.to_string()).expect("what is shown is read");
            assert_eq!(
                (again.at, again.interface.name),
                (read.at, read.interface.name)
            );
        }
        Err(error) => assert!(!format!("{error:#}").contains('\n'), "{error:#}"),
    }
    if let Err(error) = Other::parse(text) {
        assert!(!format!("{error:#}").contains('\n'), "{error:#}");
    }
});
