//! Output that nobody reads any more: `netloom list | head -1`.

use std::panic;
use std::process;

/// What a shell calls the end by SIGPIPE, which is how other tools end here.
const SIGPIPE_STATUS: i32 = 141;

/// Lets a `println!` to a closed pipe end the command without a word, instead of a panic.
///
/// SIGPIPE itself stays ignored: by default it would also kill the command while it writes the
/// configuration to a plugin that died, before what was added is undone.
pub(crate) fn end_quietly_without_reader() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>();
        if text.is_some_and(|text| is_closed_pipe(text)) {
            process::exit(SIGPIPE_STATUS);
        }
        report(panic);
    }));
}

/// The words of std's `println!` and `eprintln!`.
fn is_closed_pipe(text: &str) -> bool {
    text.starts_with("failed printing to std") && text.contains("Broken pipe")
}
