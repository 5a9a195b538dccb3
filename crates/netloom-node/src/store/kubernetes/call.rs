//! Calls that the state machine of grants makes.

use either::Either;
use kube_client::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube_client::core::Status;
use netloom_cluster::grants::{Expected, Found, StoreOp, StoreReply, Stored};
use netloom_cluster::grid::Block;
use netloom_cluster::{NodeName, SpaceName, key};
use serde_json::{Value, json};

use super::api::{Kinds, answer, within};
use super::objects::{
    SPACE, WINDOW, block_name, block_object, block_record, revision, space_label, windows_from,
};
use crate::store::{Call, Trouble};

/// Makes the call and sends its reply.
pub(super) async fn make(call: Call, kinds: Kinds, node: NodeName) {
    let writes = matches!(call.op, StoreOp::Swap { .. } | StoreOp::Leased { .. });
    let reply = perform(&kinds, &node, &call.op)
        .await
        .unwrap_or_else(|trouble| match writes {
            true => StoreReply::Unknown(trouble.to_string()),
            false => StoreReply::Failed(trouble.to_string()),
        });
    call.answer(reply);
}

async fn perform(kinds: &Kinds, node: &NodeName, op: &StoreOp) -> Result<StoreReply, Trouble> {
    match op {
        StoreOp::Range { from, to } => match key::parse_block(from) {
            Some((space, block)) => {
                let windows = windows_from(block).join(",");
                let selector = format!("{SPACE}={},{WINDOW} in ({windows})", space_label(&space));
                read(kinds, Some(selector), |key| {
                    key >= from.as_str() && key < to.as_str()
                })
                .await
            }
            None => Ok(StoreReply::Failed(format!("{from} is the key of no block"))),
        },
        // The server hands out all that match at once, in no order of keys: there are no pages to ask for.
        StoreOp::Scan { prefix, after, .. } => {
            let after = after.as_deref().unwrap_or_default();
            read(kinds, scanned(prefix), |key| {
                key.starts_with(prefix) && key > after
            })
            .await
        }
        StoreOp::Swap {
            key,
            expected,
            value,
        } => match key::parse_block(key) {
            Some((space, block)) => swap(kinds, &space, block, *expected, value.as_deref()).await,
            None => Ok(StoreReply::Failed(format!("{key} is the key of no block"))),
        },
        StoreOp::Leased { key, value } => want(kinds, node, key, value.as_deref()).await,
    }
}

/// Which blocks a scan's prefix means; `None` for those of all spaces.
fn scanned(prefix: &str) -> Option<String> {
    let rest = prefix.strip_prefix(&key::blocks(None))?;
    let space = SpaceName::new(rest.split('/').next()?).ok()?;
    Some(format!("{SPACE}={}", space_label(&space)))
}

async fn read(
    kinds: &Kinds,
    labels: Option<String>,
    wanted: impl Fn(&str) -> bool,
) -> Result<StoreReply, Trouble> {
    let params = ListParams {
        label_selector: labels,
        ..ListParams::default()
    };
    let list = within("list the blocks", kinds.blocks.list(&params)).await?;
    let mut stored: Vec<Stored> = list
        .items
        .iter()
        .filter_map(|object| {
            let (key, value) = block_record(object)?;
            let revision = revision(object.metadata.resource_version.as_ref());
            wanted(&key).then_some(Stored {
                key,
                value,
                revision,
            })
        })
        .collect();
    stored.sort_by(|a, b| a.key.cmp(&b.key));
    let revision = revision(list.metadata.resource_version.as_ref());
    Ok(StoreReply::Found(Found {
        revision,
        stored,
        more: false,
    }))
}

pub(super) async fn swap(
    kinds: &Kinds,
    space: &SpaceName,
    block: Block,
    expected: Expected,
    value: Option<&[u8]>,
) -> Result<StoreReply, Trouble> {
    let name = block_name(space, block);
    let version = match expected {
        Expected::Absent => None,
        Expected::At(version) => Some(version),
    };
    let Some(value) = value else {
        return remove(kinds, &name, version).await;
    };
    let object = match block_object(space, block, value, version) {
        Ok(object) => object,
        Err(error) => return Ok(StoreReply::Failed(error.to_string())),
    };
    let params = PostParams::default();
    let outcome = match version {
        None => answer("write a block", kinds.blocks.create(&params, &object)).await?,
        Some(_) => {
            answer(
                "write a block",
                kinds.blocks.replace(&name, &params, &object),
            )
            .await?
        }
    };
    outcome.map_or_else(|status| meaning(&status), |_| Ok(StoreReply::Done))
}

async fn remove(kinds: &Kinds, name: &str, version: Option<u64>) -> Result<StoreReply, Trouble> {
    let Some(version) = version else {
        return Ok(StoreReply::Failed(format!(
            "{name}: what is absent cannot be removed"
        )));
    };
    let preconditions = Preconditions {
        resource_version: Some(version.to_string()),
        uid: None,
    };
    let params = DeleteParams {
        preconditions: Some(preconditions),
        ..DeleteParams::default()
    };
    let outcome = answer("remove a block", kinds.blocks.delete(name, &params)).await?;
    outcome.map_or_else(
        |status| meaning(&status),
        |_: Either<_, Status>| Ok(StoreReply::Done),
    )
}

/// What a refusal means for who wanted to write.
fn meaning(status: &Status) -> Result<StoreReply, Trouble> {
    match status.code {
        404 | 409 | 410 => Ok(StoreReply::Conflict),
        400..500 => Ok(StoreReply::Failed(status.message.clone())),
        _ => Err(Trouble::Gone(status.message.clone())),
    }
}

/// Kubernetes has no leases for other objects: what a node lacks is a part of what it tells, and is taken
/// back when the daemon starts anew.
async fn want(
    kinds: &Kinds,
    node: &NodeName,
    wanted: &str,
    value: Option<&[u8]>,
) -> Result<StoreReply, Trouble> {
    let Some((space, name)) = key::parse_want(wanted).filter(|(_, name)| name == node) else {
        return Ok(StoreReply::Failed(format!(
            "{wanted} is no want of this node"
        )));
    };
    let value: Value = match value.map(serde_json::from_slice).transpose() {
        Ok(value) => value.unwrap_or_default(),
        Err(error) => return Ok(StoreReply::Failed(error.to_string())),
    };
    let patch = json!({"spec": {"wants": {space.as_str(): value}}});
    let (patch, params) = (Patch::Merge(&patch), PatchParams::default());
    let patched = kinds.networks.patch(name.as_str(), &params, &patch);
    let outcome = answer("tell what is missing", patched).await?;
    outcome.map_or_else(|status| meaning(&status), |_| Ok(StoreReply::Done))
}
