//! The program `netloom-plugins`: each plugin under the name it is linked as.

use netloom_kernel::stand_in;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Who called a plugin waits for it to end, and not for the kernel to free what it removed.
    stand_in::allow();
    let code = netloom_plugin::main(netloom_plugins::registry::PLUGINS);
    stand_in::take_over();
    code
}
