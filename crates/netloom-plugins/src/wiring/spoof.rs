//! The spoof check: frames from a pod whose source is not the pod's MAC address are dropped.
//!
//! Table, chains, rules and comments are those of the Go reference plugins, made over netlink.
//! An attachment owns its two chains and the rule that jumps to them from the base chain.
//!
//! The reference's names join container and interface with a dash, so two attachments can have one
//! name, and do not tell the network. The comments of the chains tell both by their hashes: no chain
//! is emptied or deleted before that was looked at. Where the name is somebody else's, or too long,
//! the hashes are the name.

use super::SetupError;
use super::check::mismatch;
use super::elements::staleness;
use super::nftables::Nftables;
use super::owner::{Owner, is_by_hash, prefix_of_instance};
use super::transaction::{self, atomically};
use netloom_kernel::nft::{
    Batch, CHAIN_NAME_MAX, COMMENT_MAX, Chain, ChainInfo, Family, Hook, Rule, RuleInfo, Socket,
    Table, Verdict, priority,
};
use netloom_kernel::{MacAddress, Result};
use netloom_plugin::{Owned, Undo};

const TABLE: Table<'static> = Table::new(Family::Bridge, "nat");
const PREROUTING: &str = "PREROUTING";
const CHAIN_PREFIX: &str = "cni-br-iface-";

/// The names of one attachment's objects.
#[derive(Debug)]
struct Names {
    /// Of the rules.
    comment: String,
    iface: String,
    mac: String,
}

/// Who has the chains of these names.
#[derive(Debug, PartialEq, Eq)]
enum Whose {
    Nobodys,
    Own,
    Anothers,
}

impl Names {
    /// The reference's, if chains can be called so.
    fn of_reference(owner: Owner<'_>) -> Option<Self> {
        let reference = owner.spoof_reference();
        let names = Self::new(format!("macspoofchk-{reference}"), &reference);
        (names.mac.len() <= CHAIN_NAME_MAX).then_some(names)
    }

    fn by_hash(owner: Owner<'_>) -> Self {
        Self::new(owner.nft_comment(), &owner.nft_prefix())
    }

    fn new(comment: String, name: &str) -> Self {
        let iface = format!("{CHAIN_PREFIX}{name}");
        Self {
            mac: format!("{iface}-mac"),
            iface,
            comment,
        }
    }

    /// All that an attachment's objects can be called.
    fn all(owner: Owner<'_>) -> impl Iterator<Item = Self> {
        let hash = Self::by_hash(owner);
        Self::of_reference(owner).into_iter().chain([hash])
    }

    /// Those to make: the reference's, unless they are taken.
    fn to_make(socket: &Socket, owner: Owner<'_>) -> Result<Self> {
        match Self::of_reference(owner) {
            Some(names) if names.whose(socket, owner)? != Whose::Anothers => Ok(names),
            _ => Ok(Self::by_hash(owner)),
        }
    }

    fn whose(&self, socket: &Socket, owner: Owner<'_>) -> Result<Whose> {
        let mut whose = Whose::Nobodys;
        for name in [&self.iface, &self.mac] {
            if let Some(chain) = socket.get_chain(&TABLE, name)? {
                if !self.owns(socket, owner, &chain)? {
                    return Ok(Whose::Anothers);
                }
                whose = Whose::Own;
            }
        }
        Ok(whose)
    }

    /// Whether a chain of such a name is the owner's: by the hash of its interface; of the Go
    /// plugins', which have none, by what all rules say, if nothing of that can have been cut.
    fn owns(&self, socket: &Socket, owner: Owner<'_>, chain: &ChainInfo) -> Result<bool> {
        let comment = chain.comment.as_deref().unwrap_or_default();
        if is_by_hash(comment) {
            return Ok(prefix_of_instance(comment, &owner.nft_instance()).is_some());
        }
        let rules = socket.list_rules(&TABLE, &chain.name)?;
        let comments = rules.iter().map(|rule| rule.comment.as_deref());
        let mut others = comments.filter(|comment| *comment != Some(&self.comment));
        Ok(self.comment.len() <= COMMENT_MAX && others.next().is_none())
    }
}

/// Makes the chains and rules for the pod behind `port`. Doing it again replaces them.
pub(crate) fn create<'r>(
    nftables: &Nftables,
    owner: Owner<'r>,
    port: &str,
    mac: MacAddress,
    undo: &mut Undo<'r>,
) -> std::result::Result<(), SetupError> {
    undo.on_failure("remove the spoof check", move || {
        Ok(remove(&Nftables::open()?, owner)?)
    });
    let create = || {
        let socket = nftables.socket()?;
        let mut batch = socket.batch();
        let names = Names::of_reference(owner).unwrap_or_else(|| Names::by_hash(owner));
        fill(&mut batch, &names, owner, port, mac, false);
        match batch.commit() {
            Err(error) if error.is_exists() => atomically(socket, |socket, batch| {
                let names = Names::to_make(socket, owner)?;
                let left = own_chains(socket, owner)?;
                delete_jumps(socket, batch, &left)?;
                fill(batch, &names, owner, port, mac, true);
                let left = left
                    .iter()
                    .filter(|name| ![&names.iface, &names.mac].contains(name));
                delete_chains(batch, left);
                Ok(())
            }),
            outcome => outcome,
        }
    };
    create().map_err(SetupError::kernel("failed to setup spoof-check"))
}

/// Lets the check ask for the MAC address that the pod's link has now, where there is a check.
pub(crate) fn follow<'r>(
    owner: Owner<'r>,
    mac: MacAddress,
    before: Option<MacAddress>,
    undo: &mut Undo<'r>,
) -> std::result::Result<(), SetupError> {
    let followed = ask_for(owner, mac)?;
    if let Some(before) = before.filter(|_| followed) {
        undo.on_failure(
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
fn ask_for(owner: Owner<'_>, mac: MacAddress) -> std::result::Result<bool, SetupError> {
    let ask = |socket: &Socket| {
        for names in Names::all(owner) {
            if names.whose(socket, owner)? == Whose::Own {
                let mut batch = socket.batch();
                batch.flush_chain(&TABLE, &names.mac);
                fill_mac(&mut batch, &names, mac);
                batch.commit()?;
                return Ok(true);
            }
        }
        Ok(false)
    };
    Nftables::open()?
        .with(ask)
        .map_err(SetupError::kernel("failed to change the spoof check"))
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

/// The chains that an attachment has.
fn own_chains(socket: &Socket, owner: Owner<'_>) -> Result<Vec<String>> {
    let mut own = Vec::new();
    for names in Names::all(owner) {
        for name in [&names.iface, &names.mac] {
            if let Some(chain) = socket.get_chain(&TABLE, name)?
                && names.owns(socket, owner, &chain)?
            {
                own.push(chain.name);
            }
        }
    }
    Ok(own)
}

fn jumps_to(rule: &RuleInfo, chain: &str) -> bool {
    matches!(rule.verdict(), Some(Verdict::Jump(to)) if to == chain)
}

/// Deletes what leads from the base chain to these.
fn delete_jumps(socket: &Socket, batch: &mut Batch<'_>, chains: &[String]) -> Result<()> {
    if chains.is_empty() {
        return Ok(());
    }
    for rule in socket.list_rules(&TABLE, PREROUTING)? {
        if chains.iter().any(|chain| jumps_to(&rule, chain)) {
            batch.delete_rule(&TABLE, PREROUTING, rule.handle);
        }
    }
    Ok(())
}

fn delete_chains<'c>(batch: &mut Batch<'_>, chains: impl Iterator<Item = &'c String>) {
    let mut chains: Vec<&String> = chains.collect();
    // A chain jumps to its `-mac`: the shorter name goes first.
    chains.sort_by_key(|name| name.len());
    for chain in chains {
        batch.delete_chain(&TABLE, chain);
    }
}

/// Removes what the owner has. The base chain is shared and stays.
pub(crate) fn remove(nftables: &Nftables, owner: Owner<'_>) -> std::result::Result<(), SetupError> {
    let remove = |socket: &Socket| {
        atomically(socket, |socket, batch| {
            let own = own_chains(socket, owner)?;
            delete_jumps(socket, batch, &own)?;
            delete_chains(batch, own.iter());
            Ok(())
        })
    };
    nftables
        .with(remove)
        .map_err(SetupError::kernel("failed to teardown spoof-check"))
}

/// The chains and the jump to them are there.
pub(crate) fn check(owner: Owner<'_>, port: &str) -> std::result::Result<(), SetupError> {
    let missing = || -> Result<Option<(String, usize, String)>> {
        let socket = Socket::open()?;
        let mut names = Names::by_hash(owner);
        if let Some(of_reference) = Names::of_reference(owner)
            && names.whose(&socket, owner)? == Whose::Nobodys
        {
            names = of_reference;
        }
        if names.whose(&socket, owner)? == Whose::Anothers {
            return Ok(Some((names.iface.clone(), 1, names.iface)));
        }
        let count = |chain: &str, is: &dyn Fn(&RuleInfo) -> bool| -> Result<usize> {
            let rules = socket.list_rules(&TABLE, chain)?;
            Ok(rules.iter().filter(|rule| is(rule)).count())
        };
        let leads =
            |rule: &RuleInfo| jumps_to(rule, &names.iface) && rule.compares_iifname(true, port);
        if count(PREROUTING, &leads)? != 1 {
            return Ok(Some((PREROUTING.to_owned(), 1, names.iface)));
        }
        if count(&names.iface, &|rule| jumps_to(rule, &names.mac))? != 1 {
            return Ok(Some((names.iface.clone(), 1, names.iface)));
        }
        let is_filter =
            |rule: &RuleInfo| matches!(rule.verdict(), Some(Verdict::Return | Verdict::Drop));
        let whole = count(&names.mac, &is_filter)? == 2;
        Ok((!whole).then_some((names.mac, 2, names.iface)))
    };
    match missing().map_err(SetupError::kernel("failed to read the spoof check"))? {
        Some((chain, wanted, iface)) => Err(mismatch(format!(
            "spoof check of {port} is incomplete: chain {chain} has not the {wanted} rules that \
             lead frames through {iface}"
        ))),
        None => Ok(()),
    }
}

/// The chains of attachments of the network that are not valid any more, and what leads to them.
pub(crate) const OWNED: Owned = Owned::of_network("spoof check", |scope, how| {
    let is_stale = staleness(scope.network.as_str(), scope.valid);
    transaction::sweep(how, "spoof checks", |socket, batch| {
        let stale = stale_chains(socket, &is_stale)?;
        delete_jumps(socket, batch, &stale)?;
        delete_chains(batch, stale.iter());
        Ok(stale.iter().map(|name| format!("chain {name}")).collect())
    })
})
.with_key("macspoofchk");

fn stale_chains(socket: &Socket, is_stale: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let chains = socket.list_chains(&TABLE)?.into_iter();
    let stale = chains.filter(|chain| chain.name.starts_with(CHAIN_PREFIX));
    let stale = stale.filter(|chain| chain.comment.as_deref().is_some_and(&is_stale));
    Ok(stale.map(|chain| chain.name).collect())
}
