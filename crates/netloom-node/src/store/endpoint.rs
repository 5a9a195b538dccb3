//! One endpoint at a time, and another one after each failure.

use std::fmt;
use std::time::Duration;

use etcd_client::{Client, Error, ResponseHeader};
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

/// Whose answer it is.
pub(super) fn cluster(header: Option<&ResponseHeader>) -> Result<(ClusterId, i64), Trouble> {
    let header = header.ok_or_else(|| Trouble::Gone("an answer without a header".into()))?;
    let id = ClusterId::new(format!("{:x}", header.cluster_id()));
    let id = id.map_err(|error| Trouble::Gone(error.to_string()))?;
    Ok((id, header.revision()))
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

    /// A client of the endpoint.
    pub(crate) async fn connect(&self) -> Result<Client, Trouble> {
        let options = Some(self.settings.options.clone());
        within(self.name(), Client::connect([self.name()], options)).await
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
