//! The program `netloom-plugins`: each plugin under the name it is linked as.

use std::process::ExitCode;

fn main() -> ExitCode {
    netloom_plugin::main(netloom_plugins::registry::PLUGINS)
}
