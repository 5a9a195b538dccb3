//! my-plugin: has another plugin do the work, the one that `delegate` describes.

use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::Socket;
use netloom_plugin::{
    AddRequest, AddResult, CheckRequest, Context, DelRequest, Delegate, Error, GcRequest, Plugin,
    PluginConf, StatusRequest, Undo, code,
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
        let delegate = delegate(request)?;
        refuse_taken(request.netns, request.if_name.as_str())?;
        // The delegate's DEL is registered, so that it is undone if anything fails later on.
        delegate.add(undo)
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        delegate(request)?.check()
    }

    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        delegate(request)?.del()
    }

    fn gc(&self, request: &GcRequest<'_>) -> Result<(), Error> {
        delegate(request)?.gc()
    }

    fn status(&self, request: &StatusRequest<'_>) -> Result<(), Error> {
        delegate(request)?.status()
    }
}

/// The delegate would refuse it too, but its DEL after that would remove what is not its own.
fn refuse_taken(path: &str, name: &str) -> Result<(), Error> {
    let failed = |cause: String| Error::new(code::INTERNAL, cause);
    let netns = Netns::open(path).map_err(|it| failed(it.to_string()))?;
    let look = || Socket::open_in(&netns)?.find_link(name);
    match look().map_err(|it| failed(it.to_string()))? {
        None => Ok(()),
        Some(_) => Err(failed(format!("{name} exists in the container already"))),
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
    let attachments = "cni.dev/valid-attachments"; // of GC
    for key in [
        "name",
        "cniVersion",
        "prevResult",
        "runtimeConfig",
        attachments,
    ] {
        if let Some(value) = request.conf.get(key) {
            conf.set(key, value.clone());
        }
    }
    Ok(request.delegate(conf.plugin_type()).with_conf(conf))
}

fn main() -> std::process::ExitCode {
    netloom_plugin::main(&[&MyPlugin])
}
