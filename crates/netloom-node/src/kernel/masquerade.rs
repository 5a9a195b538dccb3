//! What leaves the pod network gets this host's address; what stays in it, and what goes to networks that
//! the user names, keeps its own. One table, which is made in one transaction and holds two sets.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netloom_kernel::nft::{
    Chain, Element, Family, Field, Hook, KeyType, Rule, Set, Socket, Table, priority,
};
use netloom_kernel::rtnl;
use sha2::{Digest as _, Sha256};

use super::Desired;

const TABLE: &str = "netloom-node";
const CHAIN: &str = "postrouting";
const SETS: [(&str, KeyType); 2] = [("kept4", KeyType::Ipv4Addr), ("kept6", KeyType::Ipv6Addr)];

/// Makes the table, or takes it away where nothing is to be masqueraded. Returns how much was changed.
pub(super) fn ensure(desired: &Desired) -> Result<usize> {
    let socket = Socket::open()?;
    let subnets: Vec<IpNet> = desired.subnets.parts().collect();
    if !desired.masquerade || subnets.is_empty() {
        return Ok(usize::from(remove()?));
    }
    let networks = desired.config.pools().map(|pool| pool.network);
    let exceptions = desired.exceptions.iter().copied().chain(multicast());
    let kept = IpNet::aggregate(&networks.chain(exceptions).collect::<Vec<_>>());
    let title = title(&subnets, &kept);
    let table = Table::new(Family::Inet, TABLE).comment(&title);
    if is_there(&socket, &table, &title, subnets.len(), kept.len())? {
        return Ok(0);
    }
    let mut batch = socket.batch();
    // Deleted and made anew at once, whatever there was.
    batch
        .ensure_table(&table)
        .delete_table(&table)
        .create_table(&table);
    for (name, key) in SETS {
        let of_family = kept
            .iter()
            .filter(|net| net.addr().is_ipv4() == (name == SETS[0].0));
        let elements: Vec<Element> = of_family.map(|net| Element::network(*net)).collect();
        batch.create_set(&table, &Set::new(name, &[key]).interval());
        batch.create_elements(&table, name, &elements);
    }
    let chain = Chain::new(CHAIN).nat(Hook::Postrouting, priority::SRCNAT);
    batch.create_chain(&table, &chain);
    for subnet in &subnets {
        batch.add_rule(&table, CHAIN, &rule(*subnet));
    }
    batch.commit().context("cannot masquerade the pods")?;
    Ok(1)
}

/// 224.0.0.0/4 and ff00::/8: who listens there must see the sender.
fn multicast() -> [IpNet; 2] {
    [
        IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4)),
        IpNet::V6(Ipv6Net::new_assert(
            Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0),
            8,
        )),
    ]
}

fn rule(subnet: IpNet) -> Rule {
    let (family, set, field) = match subnet {
        IpNet::V4(_) => (rtnl::Family::V4, SETS[0].0, Field::IpDaddr),
        IpNet::V6(_) => (rtnl::Family::V6, SETS[1].0, Field::Ip6Daddr),
    };
    let rule = Rule::new().nfproto_is(family).saddr_in(subnet);
    rule.not_in_set(&[field], set).masquerade_fully_random()
}

/// What the table's comment says, by which it is known to be as it is to be.
fn title(subnets: &[IpNet], kept: &[IpNet]) -> String {
    let digest = Sha256::digest(format!("{subnets:?} {kept:?}"));
    let digest: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("pods of this node {digest}")
}

fn is_there(
    socket: &Socket,
    table: &Table<'_>,
    title: &str,
    rules: usize,
    kept: usize,
) -> Result<bool> {
    let Some(found) = socket.get_table(table)? else {
        return Ok(false);
    };
    if found.comment.as_deref() != Some(title) || socket.get_chain(table, CHAIN)?.is_none() {
        return Ok(false);
    }
    let mut networks = 0;
    for (name, _) in SETS {
        networks += socket.list_elements(table, name)?.len();
    }
    Ok(socket.list_rules(table, CHAIN)?.len() == rules && networks >= kept)
}

/// Takes the table away. Whether there was one.
pub(crate) fn remove() -> Result<bool> {
    let socket = Socket::open()?;
    let table = Table::new(Family::Inet, TABLE);
    if socket.get_table(&table)?.is_none() {
        return Ok(false);
    }
    let mut batch = socket.batch();
    batch.delete_table(&table);
    batch.commit().context("cannot remove the masquerade")?;
    Ok(true)
}
