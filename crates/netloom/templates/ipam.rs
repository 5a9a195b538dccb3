//! my-plugin: gives addresses from the one that the configuration names in `ipam.first` on, up to 250 of
//! them. A file for each address that is taken says who has it.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;

use netloom_plugin::{
    AddRequest, AddResult, CheckRequest, Context, DelRequest, Error, GcRequest, Plugin, Undo, code,
};

const STATE: &str = "/var/lib/cni/my-plugin";
const MOST: u8 = 250;

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
        let dir = dir(request);
        fs::create_dir_all(&dir).map_err(failed)?;
        let owner = owner(request.container_id.as_str(), request.if_name.as_str());
        let (first, prefix) = first(request)?;
        for number in 0..MOST {
            let Some(address) = after(first, number) else {
                break;
            };
            let path = dir.join(address.to_string());
            // Only one of those who try at the same time can make the file.
            let file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&path);
            match file {
                Ok(mut file) => {
                    undo.on_failure("free the address", move || {
                        fs::remove_file(path).map_err(failed)
                    });
                    file.write_all(owner.as_bytes()).map_err(failed)?;
                    return result(request, address, prefix);
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(failed("no address is free"))
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        let owner = owner(request.container_id.as_str(), request.if_name.as_str());
        match taken(request).iter().any(|(_, of)| *of == owner) {
            true => Ok(()),
            false => Err(failed("the address is not reserved any more")),
        }
    }

    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        let owner = owner(request.container_id.as_str(), request.if_name.as_str());
        free(request, |it| it == owner)
    }

    fn gc(&self, request: &GcRequest<'_>) -> Result<(), Error> {
        // A runtime that names no attachments at all does not mean that there are none.
        let Some(valid) = &request.valid else {
            return Ok(());
        };
        let valid = valid.iter().map(|it| owner(&it.container_id, &it.if_name));
        let valid: Vec<String> = valid.collect();
        free(request, |it| !valid.iter().any(|valid| valid == it))
    }
}

fn owner(container: &str, interface: &str) -> String {
    format!("{container}\n{interface}")
}

/// A network has its own addresses.
fn dir(request: &Context<'_>) -> PathBuf {
    PathBuf::from(STATE).join(request.network().as_str())
}

/// The addresses that are taken, and by whom.
fn taken(request: &Context<'_>) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(dir(request)).into_iter().flatten().flatten();
    let read = |path: PathBuf| fs::read_to_string(&path).ok().map(|owner| (path, owner));
    entries.filter_map(|entry| read(entry.path())).collect()
}

/// What is free already is success.
fn free(request: &Context<'_>, is_to_go: impl Fn(&str) -> bool) -> Result<(), Error> {
    for (path, _) in taken(request).iter().filter(|(_, owner)| is_to_go(owner)) {
        fs::remove_file(path).map_err(failed)?;
    }
    Ok(())
}

/// `ipam.first`, an address with the length of its subnet's prefix.
fn first(request: &Context<'_>) -> Result<(IpAddr, u8), Error> {
    let text = request
        .conf
        .get("ipam")
        .and_then(|ipam| ipam.get("first")?.as_str());
    let parse = |text: &str| {
        let (address, prefix) = text.split_once('/')?;
        Some((address.parse().ok()?, prefix.parse().ok()?))
    };
    text.and_then(parse).ok_or_else(|| {
        let what = "ipam.first: expected an address such as 10.1.0.5/24";
        Error::new(code::INVALID_CONFIG, what)
    })
}

fn after(first: IpAddr, number: u8) -> Option<IpAddr> {
    match first {
        IpAddr::V4(it) => Some(IpAddr::V4(u32::from(it).checked_add(number.into())?.into())),
        IpAddr::V6(it) => Some(IpAddr::V6(
            u128::from(it).checked_add(number.into())?.into(),
        )),
    }
}

/// A result with nothing but the address.
fn result(request: &Context<'_>, address: IpAddr, prefix: u8) -> Result<AddResult, Error> {
    let gateway = request
        .conf
        .get("ipam")
        .and_then(|ipam| ipam.get("gateway")?.as_str());
    let gateway = gateway
        .map(|it| format!(r#", "gateway": {it:?}"#))
        .unwrap_or_default();
    let text = format!(
        r#"{{"cniVersion": "1.0.0", "ips": [{{"address": "{address}/{prefix}"{gateway}}}]}}"#
    );
    AddResult::parse(text.as_bytes(), "1.0.0".parse()?)
}

fn failed(cause: impl std::fmt::Display) -> Error {
    Error::new(code::INTERNAL, cause.to_string())
}

fn main() -> std::process::ExitCode {
    netloom_plugin::main(&[&MyPlugin])
}
