//! One endpoint at a time, and another one after each failure.

use std::fmt;
use std::time::Duration;

use etcd_client::{Client, Compare, CompareOp, Error, ResponseHeader, Txn, TxnOp, TxnOpResponse};
use netloom_cluster::ClusterId;

use super::pause::Pause;
use super::settings::{PATIENCE, Settings};
use crate::identity::random;

/// Why a session with the store has ended.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It does not answer, or not as it should: try another endpoint.
    Gone(String),
    /// It has forgotten what this session began with: list anew.
    Stale(String),
    /// It answers, but the node cannot have its place.
    Refused(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(why) | Self::Stale(why) | Self::Refused(why) => f.write_str(why),
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Gone(words(&error))
    }
}

/// What a failure says, without the library's many words around it.
pub(super) fn words(error: &Error) -> String {
    match error {
        Error::GRpcStatus(status) => {
            let mut words = status.message().to_owned();
            let mut cause = std::error::Error::source(status);
            while let Some(inner) = cause {
                let text = inner.to_string();
                if !words.contains(&text) {
                    words = format!("{words}: {text}");
                }
                cause = inner.source();
            }
            words
        }
        other => other.to_string(),
    }
}

/// Waits for a call no longer than a call may take.
pub(super) async fn within<T>(
    what: &str,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Trouble> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(outcome) => outcome.map_err(|error| Trouble::Gone(format!("{what}: {}", words(&error)))),
        Err(_) => Err(Trouble::Gone(format!(
            "{what}: no answer within {PATIENCE:?}"
        ))),
    }
}

/// Which revision an answer is of.
pub(super) fn revision(header: Option<&ResponseHeader>) -> Result<i64, Trouble> {
    let header = header.ok_or_else(|| Trouble::Gone("an answer without a header".into()))?;
    Ok(header.revision())
}

/// Which store this is, and its revision. etcd's own cluster id follows from its members' URLs, so that one
/// which was wiped has it again: a key beside it, which the first node writes, goes with the data.
pub(super) async fn identify(client: &mut Client) -> Result<(ClusterId, i64), Trouble> {
    let key = super::store_key();
    let fresh = format!("{:016x}", random());
    let absent = Compare::version(key.clone(), CompareOp::Equal, 0);
    let txn = Txn::new()
        .when([absent])
        .and_then([TxnOp::put(key.clone(), fresh.clone(), None)])
        .or_else([TxnOp::get(key, None)]);
    let mut answer = within("reach the store", client.txn(txn)).await?;
    let header = answer.take_header();
    let revision = revision(header.as_ref())?;
    let id = header.map_or(0, |header| header.cluster_id());
    let mut kept = fresh;
    if let Some(TxnOpResponse::Get(found)) = answer.op_responses().first() {
        let value = found
            .kvs()
            .first()
            .map(|kv| String::from_utf8_lossy(kv.value()).into_owned());
        kept = value.unwrap_or_default();
    }
    let id = ClusterId::new(format!("{id:x}.{kept}"));
    let id = id.map_err(|error| Trouble::Gone(format!("{}: {error}", super::store_key())))?;
    Ok((id, revision))
}

/// Which endpoint is used now, and how long to pause before the next is tried.
pub(crate) struct Endpoint {
    settings: Settings,
    current: usize,
    pause: Pause,
}

impl Endpoint {
    pub(crate) fn new(settings: Settings) -> Self {
        // Not all nodes shall ask the same member.
        let count = settings.endpoints.len().max(1);
        Self {
            current: (random() % count as u64) as usize,
            settings,
            pause: Pause::default(),
        }
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.settings.prefix
    }

    pub(crate) fn name(&self) -> &str {
        self.settings
            .endpoints
            .get(self.current)
            .map_or("", String::as_str)
    }

    pub(crate) fn count(&self) -> usize {
        self.settings.endpoints.len()
    }

    /// Writes a key unless it is there; returns what it says if it is.
    pub(crate) async fn create(&self, key: &str, value: &str) -> Result<Option<String>, Trouble> {
        let mut client = self.connect().await?;
        let absent = Compare::version(key, CompareOp::Equal, 0);
        let txn = Txn::new()
            .when([absent])
            .and_then([TxnOp::put(key, value, None)])
            .or_else([TxnOp::get(key, None)]);
        let answer = within("write", client.txn(txn)).await?;
        let responses = answer.op_responses();
        let found = responses.iter().find_map(|response| match response {
            TxnOpResponse::Get(found) => found.kvs().first(),
            _ => None,
        });
        Ok(found.map(|kv| String::from_utf8_lossy(kv.value()).into_owned()))
    }

    /// A client of the endpoint.
    pub(crate) async fn connect(&self) -> Result<Client, Trouble> {
        let options = Some(self.settings.options.clone());
        within(self.name(), Client::connect([self.name()], options)).await
    }

    /// Says whose failure it is, and what may help.
    pub(crate) fn blame(&self, trouble: &Trouble) -> String {
        let why = format!("{}: {trouble}", self.name());
        match self.settings.anonymous && why.contains("connection closed") {
            true => format!("{why} (it may want a certificate: --etcd-certfile, --etcd-keyfile)"),
            false => why,
        }
    }

    /// It answered.
    pub(crate) fn succeeded(&mut self) {
        self.pause.succeeded();
    }

    /// Turns to the next endpoint, and tells how long to wait before it is tried.
    pub(crate) fn failed(&mut self) -> Duration {
        self.current = (self.current + 1) % self.settings.endpoints.len().max(1);
        self.pause.after_failure()
    }
}
