//! A third party's plugin, complete: in a chain, it publishes each interface's addresses as the
//! lines of a file `<dir>/<container id>-<interface>`, for a DNS server to read.
//!
//! Configuration: `{"type": "publish", "dir": "/run/publish"}`.

use netloom_plugin::{
    AddRequest, AddResult, CheckRequest, Context, DelRequest, Error, IfName, Plugin, Undo, code,
};
use std::{fs, io, path::PathBuf, process::ExitCode};

struct Publish;

fn file(request: &Context<'_>, id: &str, name: &IfName) -> Result<PathBuf, Error> {
    let dir = request
        .conf
        .raw()
        .get("dir")
        .and_then(|dir| dir.as_str())
        .unwrap_or("/run/publish");
    fs::create_dir_all(dir).map_err(|e| Error::new(code::IO, format!("create {dir}: {e}")))?;
    Ok(PathBuf::from(dir).join(format!("{id}-{name}")))
}

fn lines(result: &AddResult) -> String {
    result
        .ips
        .iter()
        .map(|ip| format!("{}\n", ip.address.addr()))
        .collect()
}

fn remove(path: &PathBuf) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::new(
            code::IO,
            format!("remove {}: {e}", path.display()),
        )),
        _ => Ok(()),
    }
}

impl Plugin for Publish {
    fn name(&self) -> &'static str {
        "publish"
    }

    fn add<'r>(
        &self,
        request: &'r AddRequest<'r>,
        undo: &mut Undo<'r>,
    ) -> Result<AddResult, Error> {
        let missing = || {
            Error::new(
                code::INVALID_CONFIG,
                "publish must be called as chained plugin",
            )
        };
        let result = request.prev_result()?.ok_or_else(missing)?;
        let path = file(request, request.container_id.as_str(), &request.if_name)?;
        let created = path.clone();
        undo.push("remove the published file", move || remove(&created));
        fs::write(&path, lines(&result))
            .map_err(|e| Error::new(code::IO, format!("write {}: {e}", path.display())))?;
        Ok(result)
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        let path = file(request, request.container_id.as_str(), &request.if_name)?;
        match fs::read_to_string(&path) {
            Ok(text) if text == lines(&request.prev_result()?) => Ok(()),
            _ => Err(Error::new(
                code::INTERNAL,
                format!("{} is not as published", path.display()),
            )),
        }
    }

    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        remove(&file(
            request,
            request.container_id.as_str(),
            &request.if_name,
        )?)
    }
}

fn main() -> ExitCode {
    netloom_plugin::main(&[&Publish])
}
