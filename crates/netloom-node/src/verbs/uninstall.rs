//! `drain` and `uninstall`: no more pods, and nothing left.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use netloom_kernel::rtnl::{Family, LinkKind, RouteFilter, RouteSpec, Socket};

use super::run;
use crate::cli::{Drain, Places, Uninstall};
use crate::kernel::{PROTOCOL, remove_masquerade, tunnel_name};
use crate::remembered::{self, Remembered};
use crate::{conflist, files, links, status};
use netloom_cluster::flannel::NetworkConfig;

pub(super) fn drain(args: &Drain) -> Result<ExitCode> {
    let places = &args.places;
    let path = places.conf_dir.join(&places.conf_name);
    let mark = conflist::drained(places);
    if args.end {
        match files::remove(&mark)? {
            true => println!("the daemon writes {} when pods can start", path.display()),
            false => println!("nothing to do: the node is not drained"),
        }
        return Ok(ExitCode::SUCCESS);
    }
    // In this order: the daemon writes nothing from here on.
    files::write(&mark, "by netloom node drain\n", 0o644)?;
    match conflist::remove(places)? {
        true => println!("removed {}: no pod starts here any more", path.display()),
        false => println!(
            "no pod starts here any more: there was no {}",
            path.display()
        ),
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn uninstall(args: &Uninstall) -> Result<ExitCode> {
    let places = &args.places;
    let _lock = run::lock(&places.run_dir).context("stop it first: systemctl stop netloom-node")?;
    let mut done = Vec::new();
    if conflist::remove(places)? {
        done.push("the network's configuration".to_owned());
    }
    if files::remove(&places.subnet_file)? {
        done.push(places.subnet_file.display().to_string());
    }
    kernel(places, &mut done)?;
    links::forget(&places.links_dir)?;
    files::remove(&status::path(&places.run_dir))?;
    files::remove(&conflist::drained(places))?;
    if args.forget && files::remove(&remembered::path(&places.state_dir))? {
        done.push("what part of the network was this node's".to_owned());
    }
    match done.as_slice() {
        [] => println!("nothing to do: the daemon has left nothing here"),
        done => println!("removed {}", done.join(", ")),
    }
    Ok(ExitCode::SUCCESS)
}

fn kernel(places: &Places, done: &mut Vec<String>) -> Result<()> {
    let socket = Socket::open()?;
    let mut routes = 0;
    for family in [Family::V4, Family::V6] {
        for route in socket.list_routes(&RouteFilter::main(family).protocol(PROTOCOL))? {
            routes += usize::from(socket.remove_route(&RouteSpec::of(&route))?);
        }
    }
    if routes != 0 {
        done.push(format!("{routes} routes"));
    }
    // Only by what the daemon has remembered can it know that a link of flannel's name is its own.
    let bytes = files::read(&remembered::path(&places.state_dir), 64 << 20)?;
    let remembered = bytes.and_then(|bytes| serde_json::from_slice::<Remembered>(&bytes).ok());
    let remembered = remembered.unwrap_or_default();
    let config = NetworkConfig::parse(remembered.config.as_bytes()).ok();
    let vni = config.map_or(1, |config| config.backend.vni);
    for v4 in [true, false] {
        let name = tunnel_name(v4, vni);
        let Some(link) = socket.find_link(&name)? else {
            continue;
        };
        let is_vxlan = matches!(link.kind, Some(LinkKind::Vxlan(_)));
        let is_ours = remembered
            .tunnel_macs
            .iter()
            .any(|mac| link.mac == Some(mac.0));
        if is_vxlan && is_ours && socket.remove_link(link.index)? {
            done.push(format!("the tunnel {name}"));
        }
    }
    if remove_masquerade()? {
        done.push("the masquerade".into());
    }
    Ok(())
}
