//! What a node that is gone for good had in the store.

use anyhow::{Result, bail};
use etcd_client::{Client, Compare, CompareOp, GetOptions, SortOrder, SortTarget, Txn, TxnOp};
use netloom_cluster::flannel::Announcement;
use netloom_cluster::record::{BlockRecord, NodeRecord};
use netloom_cluster::{NodeName, key, removal};

use super::call::end_of;
use super::endpoint::within;
use super::settings::Settings;
use super::{Endpoint, Removed, Trouble, subnet_keys};

/// So many records are read at once.
const PAGE: i64 = 500;

/// Takes a node's records out. `now`: seconds since 1970.
pub(super) async fn remove_node(settings: Settings, node: &NodeName, now: u64) -> Result<Removed> {
    let mut endpoint = Endpoint::new(settings);
    let mut trouble = String::new();
    for _ in 0..endpoint.count() {
        match remove(&endpoint, node, now).await {
            Ok(removed) => return Ok(removed),
            Err(Trouble::Refused(why)) => bail!(why),
            Err(error) => trouble = endpoint.blame(&error),
        }
        endpoint.failed();
    }
    bail!("the store does not answer, or not any more; once more does no harm: {trouble}")
}

async fn remove(endpoint: &Endpoint, node: &NodeName, now: u64) -> Result<Removed, Trouble> {
    let mut client = endpoint.connect().await?;
    let alive = within("ask whether it lives", client.get(key::alive(node), None)).await?;
    if !alive.kvs().is_empty() {
        return Err(Trouble::Refused(format!(
            "the daemon of {node} runs: stop it, and if it cannot be stopped wait until its lease has ended"
        )));
    }
    let found = within("read the node", client.get(key::node(node), None)).await?;
    let record = found
        .kvs()
        .first()
        .and_then(|kv| NodeRecord::parse(kv.value()).ok());
    let subnets = match &record {
        Some(record) => parts(&mut client, endpoint.prefix(), record).await?,
        None => 0,
    };
    let blocks = blocks(&mut client, node, now).await?;
    // Last, so that a removal that was cut short is found again.
    within("remove the node", client.delete(key::node(node), None)).await?;
    Ok(Removed {
        subnets,
        blocks,
        known: !found.kvs().is_empty(),
    })
}

/// The parts of the network that the node announced under its own address.
async fn parts(client: &mut Client, prefix: &str, record: &NodeRecord) -> Result<usize, Trouble> {
    let options = GetOptions::new().with_prefix();
    let keys = subnet_keys(prefix);
    let found = within("list the parts", client.get(keys, Some(options))).await?;
    let mut removed = 0;
    for kv in found.kvs() {
        let Ok(said) = Announcement::parse(kv.value()) else {
            continue;
        };
        let v4 = said
            .public_v4
            .is_some_and(|ip| record.addresses.contains(&ip.into()));
        let v6 = said
            .public_v6
            .is_some_and(|ip| record.addresses.contains(&ip.into()));
        if !v4 && !v6 {
            continue;
        }
        let same = Compare::mod_revision(kv.key(), CompareOp::Equal, kv.mod_revision());
        let txn = Txn::new()
            .when([same])
            .and_then([TxnOp::delete(kv.key(), None)]);
        removed += usize::from(within("remove a part", client.txn(txn)).await?.succeeded());
    }
    Ok(removed)
}

/// The grants of the node, block by block, each in one step.
async fn blocks(client: &mut Client, node: &NodeName, now: u64) -> Result<usize, Trouble> {
    let prefix = key::blocks(None);
    let mut from = prefix.clone().into_bytes();
    let mut changed = 0;
    loop {
        let options = GetOptions::new()
            .with_range(end_of(&prefix))
            .with_sort(SortTarget::Key, SortOrder::Ascend)
            .with_limit(PAGE);
        let page = within("read blocks", client.get(from.clone(), Some(options))).await?;
        for kv in page.kvs() {
            changed += usize::from(block(client, kv.key(), node, now).await?);
        }
        let Some(last) = page.kvs().last().filter(|_| page.more()) else {
            return Ok(changed);
        };
        from = [last.key(), &[0]].concat();
    }
}

async fn block(
    client: &mut Client,
    key: &[u8],
    node: &NodeName,
    now: u64,
) -> Result<bool, Trouble> {
    loop {
        let found = within("read a block", client.get(key, None)).await?;
        let Some(kv) = found.kvs().first() else {
            return Ok(false);
        };
        let Ok(mut record) = BlockRecord::parse(kv.value()) else {
            note!("{} cannot be read, and stays", String::from_utf8_lossy(key));
            return Ok(false);
        };
        if !removal::take_out(&mut record, node, now) {
            return Ok(false);
        }
        let then = match record.is_empty() {
            true => TxnOp::delete(key, None),
            false => TxnOp::put(key, record.to_json(), None),
        };
        let same = Compare::mod_revision(key, CompareOp::Equal, kv.mod_revision());
        let txn = Txn::new().when([same]).and_then([then]);
        if within("change a block", client.txn(txn)).await?.succeeded() {
            return Ok(true);
        }
    }
}
