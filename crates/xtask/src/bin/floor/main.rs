//! The floor of `cargo xtask bench`: the least program that makes the kernel objects of one ADD.
//!
//! It reads no configuration, checks nothing, answers nothing and cleans nothing up when it fails. What a plugin takes
//! beyond it is the price of being a plugin; what it takes itself is the kernel's.

mod cables;
mod kernel;
mod netlink;

#[cfg(netloom_musl)]
use netloom_kernel as _;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::ExitCode;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::os::fd::AsFd;

const USAGE: &str = "floor nothing
floor unwind
floor add NETNS HOST_LINK BRIDGE ADDRESS GATEWAY FILE [NFT_TABLE NFT_SET]
floor del NETNS ADDRESS FILE [NFT_TABLE NFT_SET]
floor ptp NETNS HOST_LINK ADDRESS GATEWAY
floor macvlan NETNS MASTER ADDRESS GATEWAY
floor remove NETNS
floor cables NETNS_PREFIX NODES EACH";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .filter_map(|word: OsString| word.into_string().ok())
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["nothing"] => Ok(()),
        ["unwind"] => unwind(),
        ["add", netns, link, bridge, address, gateway, file, set @ ..] => {
            add(netns, [link, bridge], [address, gateway], file, set)
        }
        ["del", netns, address, file, set @ ..] => del(netns, address, file, set),
        ["ptp", netns, link, address, gateway] => ptp(netns, link, [address, gateway]),
        ["macvlan", netns, master, address, gateway] => macvlan(netns, master, [address, gateway]),
        ["remove", netns] => remove(netns),
        ["cables", prefix, nodes, each] => cables(prefix, [nodes, each]),
        _ => Err(io::Error::other(USAGE)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Shows that a program linked as a plugin is can turn a panic into an answer.
fn unwind() -> io::Result<()> {
    match std::panic::catch_unwind(|| panic!("to be caught")) {
        Err(_) => Ok(()),
        Ok(()) => Err(io::Error::other("no panic")),
    }
}

fn add(
    netns: &str,
    links: [&str; 2],
    addresses: [&str; 2],
    file: &str,
    set: &[&str],
) -> io::Result<()> {
    let [link, bridge] = links;
    let (address, gateway) = (parse(addresses[0])?, parse(addresses[1])?);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)?
        .write_all(b"floor\r\neth0")?;
    let netns = File::open(netns)?;
    let host = kernel::Routing::open()?;
    let port_of = host.index_of(bridge)?;
    let (_, inside) = host.create_veth(link, Some(port_of), &netns)?;
    kernel::set_of_link(link, "accept_ra", "0")?;
    if let [table, set] = set {
        kernel::add_to_set(table, set, address)?;
    }
    enter(&netns)?;
    kernel::set_of_link("eth0", "accept_dad", "0")?;
    configure(&kernel::Routing::open()?, inside, address, gateway)
}

/// Gives the pod's link its address and route, and tells the neighbours.
fn configure(
    inside: &kernel::Routing,
    index: u32,
    address: Ipv4Addr,
    gateway: Ipv4Addr,
) -> io::Result<()> {
    inside.configure(index, address, gateway)?;
    inside.announce(index, address)
}

fn del(netns: &str, address: &str, file: &str, set: &[&str]) -> io::Result<()> {
    let address = parse(address)?;
    if let [table, set] = set {
        kernel::remove_from_set(table, set, address)?;
    }
    enter(&File::open(netns)?)?;
    kernel::Routing::open()?.remove("eth0")?;
    fs::remove_file(file)
}

/// What ptp with fixed addresses makes.
fn ptp(netns: &str, link: &str, addresses: [&str; 2]) -> io::Result<()> {
    let (address, gateway) = (parse(addresses[0])?, parse(addresses[1])?);
    let netns = File::open(netns)?;
    let host = kernel::Routing::open()?;
    let (outside, inside) = host.create_veth(link, None, &netns)?;
    kernel::set_of_link(link, "accept_ra", "0")?;
    kernel::set_of_link(link, "accept_dad", "0")?;
    host.route_to_pod(outside, address, gateway)?;
    enter(&netns)?;
    kernel::set_of_link("eth0", "accept_dad", "0")?;
    configure(&kernel::Routing::open()?, inside, address, gateway)
}

/// What macvlan with fixed addresses makes.
fn macvlan(netns: &str, master: &str, addresses: [&str; 2]) -> io::Result<()> {
    let (address, gateway) = (parse(addresses[0])?, parse(addresses[1])?);
    let netns = File::open(netns)?;
    let host = kernel::Routing::open()?;
    host.create_macvlan(host.index_of(master)?, &netns)?;
    enter(&netns)?;
    let inside = kernel::Routing::open()?;
    kernel::set_of_link("eth0", "ndisc_notify", "1")?;
    configure(&inside, inside.index_of("eth0")?, address, gateway)
}

fn cables(prefix: &str, numbers: [&str; 2]) -> io::Result<()> {
    let [nodes, each] = numbers.map(|word| word.parse().map_err(io::Error::other));
    cables::make(prefix, nodes?, each?)
}

fn remove(netns: &str) -> io::Result<()> {
    enter(&File::open(netns)?)?;
    kernel::Routing::open()?.remove("eth0")
}

/// Nothing that follows needs the host, so there is no way back.
fn enter(netns: &File) -> io::Result<()> {
    Ok(move_into_link_name_space(
        netns.as_fd(),
        Some(LinkNameSpaceType::Network),
    )?)
}

fn parse(address: &str) -> io::Result<Ipv4Addr> {
    address.parse().map_err(io::Error::other)
}
