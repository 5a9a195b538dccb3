//! A third party's plugin that makes something: in a chain, it publishes the addresses of each interface as
//! the file `/run/publish/<container id>-<interface>`, or in the directory that `dir` names.

use netloom_plugin::{
    AddRequest, AddResult, CheckRequest, ContainerId, Context, DelRequest, Error, IfName, Plugin,
    Undo, code,
};
use std::{fs, io, path::Path, path::PathBuf, process::ExitCode};

struct Publish;

impl Plugin for Publish {
    fn name(&self) -> &'static str {
        "publish"
    }

    fn release(&self) -> &'static str {
        concat!("v", env!("CARGO_PKG_VERSION"))
    }

    fn add<'r>(
        &self,
        request: &'r AddRequest<'r>,
        undo: &mut Undo<'r>,
    ) -> Result<AddResult, Error> {
        let Some(result) = request.prev_result()? else {
            return Err(Error::new(
                code::INVALID_CONFIG,
                "publish must be called as chained plugin",
            ));
        };
        let path = file(request, &request.container_id, &request.if_name);
        let created = path.clone();
        undo.on_failure("remove the file", move || remove(&created));
        fs::write(&path, addresses(&result)).map_err(|cause| failed("write", &path, &cause))?;
        Ok(result)
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        let path = file(request, &request.container_id, &request.if_name);
        let published = fs::read_to_string(&path).map_err(|cause| failed("read", &path, &cause))?;
        if published == addresses(&request.prev_result()?) {
            return Ok(());
        }
        Err(Error::new(
            100,
            format!("{} is not as published", path.display()),
        ))
    }

    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        remove(&file(request, &request.container_id, &request.if_name))
    }
}

fn file(context: &Context<'_>, id: &ContainerId, name: &IfName) -> PathBuf {
    let dir = context
        .conf
        .get("dir")
        .and_then(|dir| dir.as_str())
        .unwrap_or("/run/publish");
    Path::new(dir).join(format!("{id}-{name}"))
}

fn addresses(result: &AddResult) -> String {
    result
        .ips
        .iter()
        .map(|ip| format!("{}\n", ip.address.addr()))
        .collect()
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove", path, &cause))
        }
        _ => Ok(()),
    }
}

fn failed(what: &str, path: &Path, cause: &io::Error) -> Error {
    Error::new(
        code::IO,
        format!("cannot {what} {}: {cause}", path.display()),
    )
}

fn main() -> ExitCode {
    netloom_plugin::main(&[&Publish])
}
