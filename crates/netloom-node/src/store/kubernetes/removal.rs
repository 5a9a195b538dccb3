//! What a node that is gone for good had in the API.

use anyhow::{Result, bail};
use kube_client::api::{DeleteParams, ListParams};
use netloom_cluster::grants::{Expected, StoreReply};
use netloom_cluster::record::BlockRecord;
use netloom_cluster::{NodeName, key, removal};

use super::api::{Kinds, Object, answer, within};
use super::objects::{block_record, revision};
use super::settings::Settings;
use super::{call, place};
use crate::store::{Removed, Trouble};

/// Takes a node's objects out. `now`: seconds since 1970.
pub(in crate::store) async fn remove_node(
    settings: Settings,
    node: &NodeName,
    now: u64,
) -> Result<Removed> {
    let kinds = Kinds::new(&settings.client().await?);
    match remove(&kinds, node, now).await {
        Ok(removed) => Ok(removed),
        Err(Trouble::Refused(why)) => bail!(why),
        Err(trouble) => bail!(
            "{} does not answer, or not any more; once more does no harm: {trouble}",
            settings.name()
        ),
    }
}

async fn remove(kinds: &Kinds, node: &NodeName, now: u64) -> Result<Removed, Trouble> {
    if place::lives(kinds, node).await? {
        return Err(Trouble::Refused(format!(
            "the daemon of {node} runs: stop it, and if it cannot be stopped wait until its lease has ended"
        )));
    }
    let list = within("list the blocks", kinds.blocks.list(&ListParams::default())).await?;
    let mut blocks = 0;
    for object in list.items {
        blocks += usize::from(block(kinds, object, node, now).await?);
    }
    let params = DeleteParams::default();
    answer(
        "remove the lease",
        kinds.leases.delete(&place::lease_name(node), &params),
    )
    .await?
    .ok();
    // Last, so that a removal that was cut short is found again.
    let removed = answer(
        "remove the node",
        kinds.networks.delete(node.as_str(), &params),
    )
    .await?;
    let known = match removed {
        Ok(_) => true,
        Err(status) if status.code == 404 => false,
        Err(status) => return Err(Trouble::Gone(status.message.clone())),
    };
    // Its part of the network is Kubernetes' to give.
    Ok(Removed {
        subnets: usize::from(known),
        blocks,
        known,
    })
}

/// Takes a node's grants out of a block, in one step.
async fn block(
    kinds: &Kinds,
    mut object: Object,
    node: &NodeName,
    now: u64,
) -> Result<bool, Trouble> {
    loop {
        let name = object.metadata.name.clone().unwrap_or_default();
        let read = block_record(&object)
            .and_then(|(key, value)| Some((key::parse_block(&key)?, value)))
            .and_then(|(place, value)| Some((place, BlockRecord::parse(&value).ok()?)));
        let Some(((space, block), mut record)) = read else {
            note!("IPBlock {name} cannot be read, and stays");
            return Ok(false);
        };
        if !removal::take_out(&mut record, node, now) {
            return Ok(false);
        }
        let value = (!record.is_empty()).then(|| record.to_json());
        let at = Expected::At(revision(object.metadata.resource_version.as_ref()));
        match call::swap(kinds, &space, block, at, value.as_deref()).await? {
            StoreReply::Done => return Ok(true),
            StoreReply::Conflict => {}
            StoreReply::Failed(why) | StoreReply::Unknown(why) => return Err(Trouble::Gone(why)),
            StoreReply::Found(_) => return Ok(false),
        }
        let Some(again) = within("read a block", kinds.blocks.get_opt(&name)).await? else {
            return Ok(false);
        };
        object = again;
    }
}
