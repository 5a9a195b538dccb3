//! What topologies, nodes and hosts can be called.

use super::model::Topology;
use super::yaml::{Node, Result};

/// The longest name of a topology: it is part of names of files.
const LONGEST_NAME: usize = 63;

/// The name of a topology.
pub(super) fn topology(node: &Node) -> Result<String> {
    let name = node.text("name")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty()
        || name.starts_with('.')
        || name.len() > LONGEST_NAME
        || !name.bytes().all(plain)
    {
        return Err(node.fault(format!(
            "name \"{}\" is none of a topology; it has up to {LONGEST_NAME} letters, digits, \"-\", \
             \"_\" and \".\"",
            name.escape_debug()
        )));
    }
    Ok(name.to_owned())
}

/// Whether nodes and what is made for them can bear a name.
pub(super) fn node(name: &str, key: &Node) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty()
        || name.starts_with('.')
        || !name.bytes().all(plain)
        || name.len() > LONGEST_NAME
    {
        return Err(key.fault(format!(
            "\"{}\" is no name of a node; it has letters, digits, \"-\", \"_\" and \".\"",
            name.escape_debug()
        )));
    }
    if name == "host" {
        return Err(key.fault(
            "\"host\" is where the command runs, in every topology; call the node otherwise",
        ));
    }
    Ok(())
}

/// The name of one of the hosts.
pub(super) fn host(topology: &Topology, node: &Node) -> Result<String> {
    let name = node.text("host")?;
    if !topology.hosts.contains_key(name) {
        let known: Vec<&str> = topology.hosts.keys().map(String::as_str).collect();
        return Err(node.fault(format!(
            "there is no host \"{}\" in hosts{}",
            name.escape_debug(),
            if known.is_empty() {
                ", which is empty".into()
            } else {
                format!(": {}", known.join(", "))
            }
        )));
    }
    Ok(name.to_owned())
}
