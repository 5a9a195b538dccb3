//! my-plugin: works on what the plugins before it made, and hands that on.

use netloom_plugin::{AddRequest, AddResult, CheckRequest, DelRequest, Error, Plugin, Undo, code};

struct MyPlugin;

impl Plugin for MyPlugin {
    fn name(&self) -> &'static str {
        "my-plugin"
    }

    fn add<'r>(
        &self,
        request: &'r AddRequest<'r>,
        undo: &mut Undo<'r>,
    ) -> Result<AddResult, Error> {
        let result = request.prev_result()?.ok_or_else(|| {
            let what = "put my-plugin behind the plugin that makes the interface: no prevResult";
            Error::new(code::INVALID_CONFIG, what)
        })?;
        // What is made here is registered at once: it is undone if anything fails later on.
        undo.on_failure("take back what was made", || Ok(()));
        Ok(result)
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        request.prev_result().map(drop)
    }

    fn del(&self, _: &DelRequest<'_>) -> Result<(), Error> {
        Ok(()) // What is gone already is success.
    }
}

fn main() -> std::process::ExitCode {
    netloom_plugin::main(&[&MyPlugin])
}
