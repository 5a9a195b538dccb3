//! my-plugin: gives every container the address that the configuration names in `ipam.address`.

use netloom_plugin::{
    AddRequest, AddResult, CheckRequest, DelRequest, Error, Plugin, PluginConf, Undo, code,
};

struct MyPlugin;

impl Plugin for MyPlugin {
    fn name(&self) -> &'static str {
        "my-plugin"
    }

    fn add<'r>(&self, request: &'r AddRequest<'r>, _: &mut Undo<'r>) -> Result<AddResult, Error> {
        result(request.conf, request.version().as_str())
    }

    fn check(&self, _: &CheckRequest<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn del(&self, _: &DelRequest<'_>) -> Result<(), Error> {
        Ok(()) // Here a reserved address is freed. What is free already is success.
    }
}

/// A result with nothing but the address.
fn result(conf: &PluginConf, version: &str) -> Result<AddResult, Error> {
    let address = conf
        .get("ipam")
        .and_then(|ipam| ipam.get("address")?.as_str());
    let address = address.ok_or_else(|| {
        let what = "ipam.address is missing: expected an address such as 10.1.0.5/24";
        Error::new(code::INVALID_CONFIG, what)
    })?;
    let text = format!(r#"{{"cniVersion": {version:?}, "ips": [{{"address": {address:?}}}]}}"#);
    AddResult::parse(text.as_bytes(), version.parse()?)
}

fn main() -> std::process::ExitCode {
    netloom_plugin::main(&[&MyPlugin])
}
