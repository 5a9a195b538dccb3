//! Calls with a time limit, and what their failures mean.

use kube_client::api::{Api, ApiResource, DynamicObject};
use kube_client::core::{GroupVersionKind, Status};
use kube_client::{Client, Error};
use netloom_cluster::ClusterId;

use super::settings::PATIENCE;
use crate::store::Trouble;

/// An object of any kind.
pub(super) type Object = DynamicObject;

/// Whose objects netloom-node's own are.
pub(super) const GROUP: &str = "netloom.dev";
/// The version of both.
pub(super) const VERSION: &str = "v1";

fn own(kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, kind), plural)
}

/// The kind of blocks.
pub(super) fn blocks_resource() -> ApiResource {
    own("IPBlock", "ipblocks")
}

/// The kind of what a node tells.
pub(super) fn networks_resource() -> ApiResource {
    own("NodeNetwork", "nodenetworks")
}

/// Kubernetes' own kind of nodes.
pub(super) fn nodes_resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Node"), "nodes")
}

/// The kind that says that a node's daemon lives.
pub(super) fn leases_resource() -> ApiResource {
    let kind = GroupVersionKind::gvk("coordination.k8s.io", "v1", "Lease");
    ApiResource::from_gvk_with_plural(&kind, "leases")
}

/// The client, and the kinds of objects that are used.
#[derive(Clone)]
pub(super) struct Kinds {
    pub(super) blocks: Api<Object>,
    pub(super) networks: Api<Object>,
    pub(super) nodes: Api<Object>,
    pub(super) leases: Api<Object>,
    namespaces: Api<Object>,
}

impl Kinds {
    pub(super) fn new(client: &Client) -> Self {
        let all = |resource: &ApiResource| Api::all_with(client.clone(), resource);
        let namespace = client.default_namespace();
        let namespaces = ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk("", "v1", "Namespace"),
            "namespaces",
        );
        Self {
            blocks: all(&blocks_resource()),
            networks: all(&networks_resource()),
            nodes: all(&nodes_resource()),
            leases: Api::namespaced_with(client.clone(), namespace, &leases_resource()),
            namespaces: all(&namespaces),
        }
    }

    /// What tells this cluster from another: the UID of a namespace that every cluster has.
    pub(super) async fn cluster(&self) -> Result<ClusterId, Trouble> {
        let found = within(
            "read namespace kube-system",
            self.namespaces.get_metadata("kube-system"),
        )
        .await?;
        let uid = found.metadata.uid.unwrap_or_default();
        ClusterId::new(uid)
            .map_err(|error| Trouble::Gone(format!("namespace kube-system: {error}")))
    }
}

/// Waits for a call no longer than a call may take.
pub(super) async fn within<T>(
    what: &str,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Trouble> {
    answer(what, call)
        .await?
        .map_err(|status| refused(what, &status))
}

/// The same, and the server's refusal is an answer too.
pub(super) async fn answer<T>(
    what: &str,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<Result<T, Box<Status>>, Trouble> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(Ok(done)) => Ok(Ok(done)),
        Ok(Err(Error::Api(status))) => Ok(Err(status)),
        Ok(Err(error)) => Err(Trouble::Gone(format!("{what}: {}", words(&error)))),
        Err(_) => Err(Trouble::Gone(format!(
            "{what}: no answer within {PATIENCE:?}"
        ))),
    }
}

fn refused(what: &str, status: &Status) -> Trouble {
    let words = format!("{what}: {}", status.message);
    match status.code {
        410 => Trouble::Stale(words),
        _ => Trouble::Gone(words),
    }
}

/// What a failure says, causes included, each once.
pub(super) fn words(error: &Error) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        cause = inner.source();
    }
    words
}
