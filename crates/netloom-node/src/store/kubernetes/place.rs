//! This node's place in the cluster: its name, its part of the network, and that its daemon lives.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kube_client::api::{Patch, PatchParams, PostParams};
use netloom_cluster::NodeName;
use netloom_cluster::flannel::Subnets;
use netloom_cluster::record::NodeRecord;
use serde_json::{Value, json};

use super::api::{Kinds, Object, answer, leases_resource, within};
use super::objects::{annotations, network_object, new, pod_cidrs};
use super::settings::Settings;
use crate::cli::Peers;
use crate::store::{Trouble, Wish, WishedPlace};

/// Takes the node's name, unless another machine lives under it, and tells the others how it is reached.
/// Returns its part of the network, if it wants one.
pub(super) async fn take(
    kinds: &Kinds,
    settings: &Settings,
    wish: &Wish,
) -> Result<Option<Subnets>, Trouble> {
    let Some(place) = &wish.place else {
        network(kinds, wish, None).await?;
        return Ok(None);
    };
    let node = node(kinds, &wish.name).await?;
    let subnets = pod_cidrs(&node).ok_or_else(|| {
        Trouble::Refused(format!(
            "node {} has no podCIDRs: kube-controller-manager gives them when it runs with \
             --allocate-node-cidrs and --cluster-cidr",
            wish.name
        ))
    })?;
    if !place.config.allows(&subnets) {
        return Err(Trouble::Refused(format!(
            "node {} has the podCIDRs {subnets}: one of each family of --net-conf's network is right, and \
             within it",
            wish.name
        )));
    }
    network(kinds, wish, Some((place, subnets))).await?;
    if settings.peers == Peers::Nodes {
        annotate(kinds, &node, &wish.name, &place.announcement.to_json()).await?;
    }
    Ok(Some(subnets))
}

async fn node(kinds: &Kinds, name: &NodeName) -> Result<Object, Trouble> {
    match answer("read the node", kinds.nodes.get(name.as_str())).await? {
        Ok(node) => Ok(node),
        Err(status) if status.code == 404 => Err(Trouble::Refused(format!(
            "Kubernetes knows no node {name}: --name, or NODE_NAME, is the node's name there"
        ))),
        Err(status) => Err(Trouble::Gone(format!("read the node: {}", status.message))),
    }
}

/// Writes the own `NodeNetwork`, unless it says that already.
async fn network(
    kinds: &Kinds,
    wish: &Wish,
    place: Option<(&WishedPlace, Subnets)>,
) -> Result<(), Trouble> {
    let name = wish.name.as_str();
    let unfit = |error: serde_json::Error| Trouble::Gone(error.to_string());
    let mut object = network_object(&wish.name, &wish.record.to_json()).map_err(unfit)?;
    if let Some((place, subnets)) = place {
        let announcement: Value =
            serde_json::from_str(&place.announcement.to_json()).map_err(unfit)?;
        object.data["spec"]["network"] =
            json!({"subnets": subnets.key(), "announcement": announcement});
    }
    let found = within("read the own record", kinds.networks.get_opt(name)).await?;
    let params = PostParams::default();
    let Some(found) = found else {
        within(
            "write the own record",
            kinds.networks.create(&params, &object),
        )
        .await?;
        return Ok(());
    };
    judge(kinds, &found, wish, &wish.record.machine).await?;
    if let Some(wants) = found.data.pointer("/spec/wants") {
        object.data["spec"]["wants"] = wants.clone();
    }
    if found.data.get("spec") == object.data.get("spec") {
        return Ok(());
    }
    object.metadata.resource_version = found.metadata.resource_version;
    within(
        "write the own record",
        kinds.networks.replace(name, &params, &object),
    )
    .await?;
    Ok(())
}

/// What this node lacked when its daemon ended, nobody waits for any more.
pub(super) async fn forget_wants(kinds: &Kinds, name: &NodeName) -> Result<(), Trouble> {
    let patch = Patch::Merge(json!({"spec": {"wants": null}}));
    let params = PatchParams::default();
    let patched = kinds.networks.patch(name.as_str(), &params, &patch);
    match answer("take old wants back", patched).await? {
        Err(status) if status.code != 404 => Err(Trouble::Gone(status.message.clone())),
        _ => Ok(()),
    }
}

async fn judge(kinds: &Kinds, found: &Object, wish: &Wish, machine: &str) -> Result<(), Trouble> {
    let record = found
        .data
        .pointer("/spec/record")
        .map(Value::to_string)
        .unwrap_or_default();
    let Ok(other) = NodeRecord::parse(record.as_bytes()) else {
        note!(
            "the record of node {} cannot be read, and is written anew",
            wish.name
        );
        return Ok(());
    };
    if other.machine == machine || !lives(kinds, &wish.name).await? {
        return Ok(());
    }
    Err(Trouble::Refused(format!(
        "the node's name {} is that of another machine, {}, whose daemon runs: --name gives this one \
         another",
        wish.name, other.machine
    )))
}

/// The others that run flannel read a node's annotations.
async fn annotate(
    kinds: &Kinds,
    node: &Object,
    name: &NodeName,
    announcement: &str,
) -> Result<(), Trouble> {
    let patch = annotations(announcement);
    let wanted = patch
        .pointer("/metadata/annotations")
        .and_then(Value::as_object);
    let has = |name: &String, value: &Value| {
        let found = node
            .metadata
            .annotations
            .as_ref()
            .and_then(|all| all.get(name));
        found.map(String::as_str) == value.as_str()
    };
    if wanted.is_some_and(|wanted| wanted.iter().all(|(name, value)| has(name, value))) {
        return Ok(());
    }
    let params = PatchParams::default();
    let patch = Patch::Strategic(patch);
    let patched = kinds.nodes.patch_status(name.as_str(), &params, &patch);
    within("annotate the node", patched).await?;
    Ok(())
}

/// The name of the lease of a node's daemon.
pub(super) fn lease_name(name: &NodeName) -> String {
    format!("netloom-node-{name}")
}

/// Says that the daemon lives, for so long.
pub(super) async fn renew(kinds: &Kinds, wish: &Wish) -> Result<(), Trouble> {
    let name = lease_name(&wish.name);
    let spec = json!({
        "holderIdentity": wish.instance,
        "leaseDurationSeconds": wish.alive.as_secs().max(2),
        "renewTime": now(),
    });
    let patch = Patch::Merge(json!({"spec": spec}));
    let params = PatchParams::default();
    let patched = kinds.leases.patch(&name, &params, &patch);
    match answer("say that the node lives", patched).await? {
        Ok(_) => Ok(()),
        Err(status) if status.code == 404 => {
            let mut lease = new(&leases_resource(), &name);
            lease.data = json!({"spec": spec});
            let params = PostParams::default();
            let created = kinds.leases.create(&params, &lease);
            within("say that the node lives", created).await.map(drop)
        }
        Err(status) => Err(Trouble::Gone(format!(
            "say that the node lives: {}",
            status.message
        ))),
    }
}

/// Whether a node's daemon has said so lately, by this host's clock.
pub(super) async fn lives(kinds: &Kinds, name: &NodeName) -> Result<bool, Trouble> {
    let lease = within(
        "ask whether it lives",
        kinds.leases.get_opt(&lease_name(name)),
    )
    .await?;
    let Some(lease) = lease else {
        return Ok(false);
    };
    let seconds = lease
        .data
        .pointer("/spec/leaseDurationSeconds")
        .and_then(Value::as_u64);
    let renewed = lease
        .data
        .pointer("/spec/renewTime")
        .and_then(Value::as_str);
    let renewed = renewed.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let (Some(seconds), Some(renewed)) = (seconds, renewed) else {
        return Ok(false);
    };
    let age = jiff::Timestamp::now().duration_since(renewed);
    Ok(age.as_secs() < i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// As Kubernetes writes it, with microseconds.
fn now() -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    let micros = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_microsecond(micros).unwrap_or_default();
    format!("{time:.6}")
}
