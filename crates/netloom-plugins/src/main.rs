//! The multi-call program `netloom-plugins`. It is the plugin under whose name it was installed, else
//! the one that `argv[0]` names.

#![forbid(unsafe_code)]

use netloom_kernel::heap::Heap;
use netloom_kernel::{reaper, stdio};
use std::io::Write;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Heap = Heap::new();

fn main() -> ExitCode {
    if let Some(code) = netloom_plugins::trace::run_as_wrapper() {
        return code;
    }
    if stdio::output_was_closed() && std::env::var_os("CNI_COMMAND").is_some_and(|it| it == "ADD") {
        // The caller would not learn what ADD made. If stderr is closed as well, the exit status must do.
        let _ = writeln!(
            std::io::stderr(),
            "stdout is closed: ADD has nowhere to write its result, give it a pipe or a file"
        );
        return ExitCode::FAILURE;
    }
    // The caller waits until this process ends. Children wait for the kernel to free what was removed.
    reaper::allow();
    netloom_plugin::tell_maker(netloom_plugins::MAKER);
    let code = netloom_plugin::main(netloom_plugins::registry::PLUGINS);
    reaper::take_over();
    code
}
