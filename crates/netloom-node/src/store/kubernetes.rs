//! The store: the Kubernetes API.
//!
//! Objects are read as the records that etcd has, under the same keys, so that nobody else needs to know
//! which store it is: a `NodeNetwork` is what `nodes/<name>`, `want/<space>/<name>` and a host's part of the
//! network are there, an `IPBlock` is a block. Of both, one object changes at a time, if it is as it was
//! read (`resourceVersion`), which is all that the algorithm asks for.

mod api;
mod call;
mod objects;
mod place;
mod removal;
mod session;
mod settings;
mod source;

use tokio::sync::{mpsc, watch};

use super::{Call, Event, Wish};
pub(super) use removal::remove_node;
pub(crate) use settings::Settings;

/// Runs for as long as the engine listens.
pub(super) async fn run(
    settings: Settings,
    wish: watch::Receiver<Wish>,
    calls: mpsc::Receiver<Call>,
    events: mpsc::Sender<Event>,
) {
    session::run(settings, wish, calls, events).await;
}
