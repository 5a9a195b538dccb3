//! Calls that the state machine of grants makes.

use etcd_client::{
    Client, Compare, CompareOp, DeleteOptions, GetOptions, PutOptions, SortOrder, SortTarget, Txn,
    TxnOp,
};
use netloom_cluster::grants::{Expected, Found, OpId, StoreOp, StoreReply, Stored};
use tokio::sync::mpsc::UnboundedSender;

use super::Trouble;
use super::endpoint::{revision, within};

/// One call, and where its reply goes.
pub(crate) struct Call {
    pub(crate) id: OpId,
    pub(crate) op: StoreOp,
    pub(crate) reply: UnboundedSender<(OpId, StoreReply)>,
}

impl Call {
    /// There is no connection: it certainly does not happen.
    pub(crate) fn refuse(self, why: &str) {
        self.answer(StoreReply::Failed(why.to_owned()));
    }

    /// Makes the call. `alive`: the lease of the node's daemon.
    pub(super) async fn make(self, mut client: Client, alive: i64) {
        let writes = matches!(self.op, StoreOp::Swap { .. } | StoreOp::Leased { .. });
        let outcome = perform(&mut client, &self.op, alive).await;
        let reply = outcome.unwrap_or_else(|trouble| match writes {
            true => StoreReply::Unknown(trouble.to_string()),
            false => StoreReply::Failed(trouble.to_string()),
        });
        self.answer(reply);
    }

    /// Sends the reply.
    pub(super) fn answer(self, reply: StoreReply) {
        let _ = self.reply.send((self.id, reply));
    }
}

async fn perform(client: &mut Client, op: &StoreOp, alive: i64) -> Result<StoreReply, Trouble> {
    match op {
        StoreOp::Range { from, to } => {
            let options = GetOptions::new().with_range(to.clone());
            read(client, from.clone(), options).await
        }
        StoreOp::Scan {
            prefix,
            after,
            limit,
        } => {
            let from = after
                .as_ref()
                .map_or_else(|| prefix.clone(), |key| format!("{key}\0"));
            let options = GetOptions::new()
                .with_range(end_of(prefix))
                .with_sort(SortTarget::Key, SortOrder::Ascend)
                .with_limit(i64::from(*limit));
            read(client, from, options).await
        }
        StoreOp::Swap {
            key,
            expected,
            value,
        } => swap(client, key, *expected, value.as_deref()).await,
        StoreOp::Leased { key, value } => {
            match value {
                Some(value) => {
                    let options = PutOptions::new().with_lease(alive);
                    let put = client.put(key.clone(), value.clone(), Some(options));
                    within("write", put).await.map(drop)?;
                }
                None => within("remove", client.delete(key.clone(), None))
                    .await
                    .map(drop)?,
            }
            Ok(StoreReply::Done)
        }
    }
}

async fn read(
    client: &mut Client,
    from: String,
    options: GetOptions,
) -> Result<StoreReply, Trouble> {
    let mut found = within("read", client.get(from, Some(options))).await?;
    let revision = revision(found.header())?;
    let more = found.more();
    let stored = found.take_kvs().into_iter().filter_map(|kv| {
        let (key, value) = kv.clone().into_key_value();
        Some(Stored {
            key: String::from_utf8(key).ok()?,
            value,
            revision: u64::try_from(kv.mod_revision()).ok()?,
        })
    });
    Ok(StoreReply::Found(Found {
        revision: u64::try_from(revision).unwrap_or(0),
        stored: stored.collect(),
        more,
    }))
}

async fn swap(
    client: &mut Client,
    key: &str,
    expected: Expected,
    value: Option<&[u8]>,
) -> Result<StoreReply, Trouble> {
    let compare = match expected {
        Expected::Absent => Compare::version(key, CompareOp::Equal, 0),
        Expected::At(revision) => {
            let revision = i64::try_from(revision).unwrap_or(i64::MAX);
            Compare::mod_revision(key, CompareOp::Equal, revision)
        }
    };
    let then = match value {
        Some(value) => TxnOp::put(key, value, None),
        None => TxnOp::delete(key, None::<DeleteOptions>),
    };
    let txn = Txn::new().when([compare]).and_then([then]);
    match within("change", client.txn(txn)).await?.succeeded() {
        true => Ok(StoreReply::Done),
        false => Ok(StoreReply::Conflict),
    }
}

/// The first key that does not begin with a prefix.
pub(super) fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    // Keys are text, so no byte of them is 255.
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}
