//! The spoof check: frames from a pod whose source is not the pod's MAC address are dropped.
//!
//! Table, chains, rules and comments are those of the Go reference plugins, made over netlink.
//! An attachment owns its two chains and the rule that jumps to them from the base chain. The
//! chains' names do not tell the network; their comments do, so that GC knows its own.

use super::Fault;
use super::check::drift;
use super::elements::staleness;
use super::nftables::Nftables;
use super::owner::Owner;
use super::transaction::atomically;
use netloom_kernel::nft::{Batch, Chain, Family, Hook, Rule, Socket, Table, priority};
use netloom_kernel::{MacAddress, Result};
use netloom_plugin::Undo;
use netloom_spec::{Attachment, Error};

const TABLE: Table<'static> = Table::new(Family::Bridge, "nat");
const PREROUTING: &str = "PREROUTING";
const CHAIN_PREFIX: &str = "cni-br-iface-";

/// The names of one attachment's objects.
struct Names {
    comment: String,
    iface: String,
    mac: String,
}

impl Names {
    fn new(reference: &str) -> Self {
        let mut comment = format!("macspoofchk-{reference}");
        comment.truncate(netloom_kernel::nft::COMMENT_MAX);
        let iface = format!("{CHAIN_PREFIX}{reference}");
        Self {
            comment,
            mac: format!("{iface}-mac"),
            iface,
        }
    }
}

/// Makes the chains and rules for the pod behind `port`. Doing it again replaces them.
pub(crate) fn create<'r>(
    owner: Owner<'r>,
    port: &str,
    mac: MacAddress,
    undo: &mut Undo<'r>,
) -> std::result::Result<(), Fault> {
    let names = Names::new(&owner.spoof_reference());
    undo.push("remove the spoof check", move || {
        Ok(remove(&Nftables::open()?, owner)?)
    });
    let create = || {
        let socket = Socket::open()?;
        let mut batch = socket.batch();
        fill(&mut batch, &names, owner, port, mac, false);
        match batch.commit() {
            Err(error) if error.is_exists() => atomically(&socket, |socket, batch| {
                delete_jumps(socket, batch, &names)?;
                fill(batch, &names, owner, port, mac, true);
                Ok(())
            }),
            outcome => outcome,
        }
    };
    create().map_err(Fault::kernel("failed to setup spoof-check"))
}

/// Lets the check ask for the MAC address that the pod's link has now, where there is a check.
pub(crate) fn follow<'r>(
    owner: Owner<'r>,
    mac: MacAddress,
    before: Option<MacAddress>,
    undo: &mut Undo<'r>,
) -> std::result::Result<(), Fault> {
    let followed = ask_for(owner, mac)?;
    if let Some(before) = before.filter(|_| followed) {
        undo.push(
            "let the spoof check ask for the former MAC address",
            move || {
                ask_for(owner, before)?;
                Ok(())
            },
        );
    }
    Ok(())
}

/// `false` where there is no check.
fn ask_for(owner: Owner<'_>, mac: MacAddress) -> std::result::Result<bool, Fault> {
    let names = Names::new(&owner.spoof_reference());
    let ask = |socket: &Socket| {
        if socket.get_chain(&TABLE, &names.mac)?.is_none() {
            return Ok(false);
        }
        let mut batch = socket.batch();
        batch.flush_chain(&TABLE, &names.mac);
        fill_mac(&mut batch, &names, mac);
        batch.commit()?;
        Ok(true)
    };
    Nftables::open()?
        .with(ask)
        .map_err(Fault::kernel("failed to change the spoof check"))
}

fn fill(
    batch: &mut Batch<'_>,
    names: &Names,
    owner: Owner<'_>,
    port: &str,
    mac: MacAddress,
    again: bool,
) {
    let comment = owner.nft_comment();
    let base = Chain::new(PREROUTING).filter(Hook::Prerouting, priority::BRIDGE_DSTNAT);
    batch.ensure_table(&TABLE).ensure_chain(&TABLE, &base);
    for name in [&names.iface, &names.mac] {
        let chain = Chain::new(name).comment(&comment);
        if again {
            batch.ensure_chain(&TABLE, &chain).flush_chain(&TABLE, name);
        } else {
            batch.create_chain(&TABLE, &chain);
        }
    }
    let rule = |rule: Rule| rule.comment(names.comment.as_str());
    batch
        .add_rule(
            &TABLE,
            PREROUTING,
            &rule(Rule::new().iifname_eq(port).jump(&names.iface)),
        )
        .add_rule(&TABLE, &names.iface, &rule(Rule::new().jump(&names.mac)));
    fill_mac(batch, names, mac);
}

/// The rules that let one MAC address pass.
fn fill_mac(batch: &mut Batch<'_>, names: &Names, mac: MacAddress) {
    for rule in [
        Rule::new().ether_saddr_eq(mac).return_(),
        Rule::new().drop(),
    ] {
        batch.add_rule(&TABLE, &names.mac, &rule.comment(names.comment.as_str()));
    }
}

fn delete_jumps(socket: &Socket, batch: &mut Batch<'_>, names: &Names) -> Result<()> {
    for rule in socket.list_rules(&TABLE, PREROUTING)? {
        if rule.comment.as_deref() == Some(&names.comment) {
            batch.delete_rule(&TABLE, PREROUTING, rule.handle);
        }
    }
    Ok(())
}

/// Removes what the owner has. The base chain is shared and stays.
pub(crate) fn remove(nftables: &Nftables, owner: Owner<'_>) -> std::result::Result<(), Fault> {
    let names = Names::new(&owner.spoof_reference());
    let remove =
        |socket: &Socket| atomically(socket, |socket, batch| delete(socket, batch, &names));
    nftables
        .with(remove)
        .map_err(Fault::kernel("failed to teardown spoof-check"))
}

fn delete(socket: &Socket, batch: &mut Batch<'_>, names: &Names) -> Result<()> {
    delete_jumps(socket, batch, names)?;
    // In this order: the first jumps to the second.
    for chain in [&names.iface, &names.mac] {
        if socket.get_chain(&TABLE, chain)?.is_some() {
            batch.delete_chain(&TABLE, chain);
        }
    }
    Ok(())
}

/// The chains and the jump to them are there.
pub(crate) fn check(owner: Owner<'_>, port: &str) -> std::result::Result<(), Fault> {
    let names = Names::new(&owner.spoof_reference());
    let count = |chain: &str| {
        let list = || Socket::open()?.list_rules(&TABLE, chain);
        let rules: Vec<_> = list().map_err(Fault::kernel("failed to read the spoof check"))?;
        let own = rules
            .iter()
            .filter(|rule| rule.comment.as_deref() == Some(&names.comment));
        Ok::<_, Fault>(own.count())
    };
    for (chain, wanted) in [
        (PREROUTING, 1),
        (names.iface.as_str(), 1),
        (names.mac.as_str(), 2),
    ] {
        if count(chain)? != wanted {
            return Err(drift(format!(
                "spoof check of {port} is incomplete: chain {chain} has not the {wanted} rules \
                 that lead frames through {}",
                names.iface
            )));
        }
    }
    Ok(())
}

/// Removes what belongs to attachments of the network that are not valid any more.
pub(crate) fn collect(network: &str, valid: &[Attachment]) -> std::result::Result<(), Fault> {
    let is_stale = staleness(network, valid);
    let collect = |socket: &Socket| {
        atomically(socket, |socket, batch| {
            for name in stale_chains(socket, &is_stale)? {
                let reference = name.strip_prefix(CHAIN_PREFIX).unwrap_or_default();
                // A `-mac` chain is met by way of its partner; alone it is a leftover.
                let names = Names::new(reference.strip_suffix("-mac").unwrap_or(reference));
                if name == names.iface || socket.get_chain(&TABLE, &names.iface)?.is_none() {
                    delete(socket, batch, &names)?;
                }
            }
            Ok(())
        })
    };
    let nftables = Nftables::open()?;
    nftables
        .with(collect)
        .map_err(Fault::kernel("failed to collect stale spoof checks"))
}

fn stale_chains(socket: &Socket, is_stale: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let chains = socket.list_chains(&TABLE)?.into_iter();
    let stale = chains.filter(|chain| chain.name.starts_with(CHAIN_PREFIX));
    let stale = stale.filter(|chain| chain.comment.as_deref().is_some_and(&is_stale));
    Ok(stale.map(|chain| chain.name).collect())
}

/// The chains that [`collect`] would remove.
pub(crate) fn stale(
    network: &str,
    valid: &[Attachment],
) -> std::result::Result<Vec<String>, Error> {
    let find = || stale_chains(&Socket::open()?, staleness(network, valid));
    let chains = find().map_err(Fault::kernel("failed to read the spoof checks"))?;
    Ok(chains.iter().map(|name| format!("chain {name}")).collect())
}
