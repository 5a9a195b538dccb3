//! my-plugin: has another plugin do the work, the one that `delegate` describes.

use netloom_plugin::{
    AddRequest, AddResult, CheckRequest, Context, DelRequest, Delegate, Error, Plugin, PluginConf,
    Undo, code,
};

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
        // The delegate's DEL is registered, so that it is undone if anything fails later on.
        delegate(request)?.add(undo)
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        delegate(request)?.check()
    }

    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        delegate(request)?.del()
    }
}

/// The plugin of `delegate`, with that as its configuration.
fn delegate<'a>(request: &'a Context<'a>) -> Result<Delegate<'a>, Error> {
    let wanted = request.conf.get("delegate").and_then(|it| it.as_object());
    let wanted = wanted.ok_or_else(|| {
        let what = "delegate is missing: expected the object of a plugin";
        Error::new(code::INVALID_CONFIG, what)
    })?;
    let mut conf = PluginConf::from_map(wanted.clone())?;
    for key in ["name", "cniVersion", "prevResult", "runtimeConfig"] {
        if let Some(value) = request.conf.get(key) {
            conf.set(key, value.clone());
        }
    }
    Ok(request.delegate(conf.plugin_type()).with_conf(conf))
}

fn main() -> std::process::ExitCode {
    netloom_plugin::main(&[&MyPlugin])
}
