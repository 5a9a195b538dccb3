//! The program `netloom-plugins`: each plugin under the name it is linked as.

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
        // Nobody could undo by it what nobody was told of. A stderr that fails as well changes nothing.
        let _ = writeln!(
            std::io::stderr(),
            "stdout is closed: ADD has nowhere to write its result, give it a pipe or a file"
        );
        return ExitCode::FAILURE;
    }
    // Who called a plugin waits for it to end, and not for the kernel to free what it removed.
    reaper::allow();
    netloom_plugin::tell_maker(netloom_plugins::MAKER);
    let code = netloom_plugin::main(netloom_plugins::registry::PLUGINS);
    reaper::take_over();
    code
}
