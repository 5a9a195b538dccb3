//! A third party's plugin in thirty lines: last in a chain, it gives the container the name servers
//! of the configuration's `dns` instead of those that the plugins before it chose.

use netloom_plugin::{AddRequest, AddResult, CheckRequest, Error, Plugin, Undo};

struct Resolver;

impl Plugin for Resolver {
    fn name(&self) -> &'static str {
        "resolver"
    }

    fn release(&self) -> &'static str {
        concat!("v", env!("CARGO_PKG_VERSION"))
    }

    fn add<'r>(&self, request: &'r AddRequest<'r>, _: &mut Undo<'r>) -> Result<AddResult, Error> {
        let mut result = request.prev_result()?.unwrap_or_default();
        result.dns = request.conf.dns();
        Ok(result)
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        if request.prev_result()?.dns == request.conf.dns() {
            return Ok(());
        }
        Err(Error::new(
            100,
            "dns in prevResult is not the dns of the configuration",
        ))
    }
}

fn main() -> std::process::ExitCode {
    netloom_plugin::main(&[&Resolver])
}
