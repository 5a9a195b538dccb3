//! Leases that are kept alive.

use std::time::Duration;

use etcd_client::{Client, Error, LeaseKeepAliveStream, LeaseKeeper};
use tokio::time::Instant;

use super::Trouble;
use super::endpoint::within;

/// However long a lease is, the store hears of this node this often.
const SELDOM: Duration = Duration::from_secs(600);

/// A lease, and when it is to be renewed next.
pub(super) struct Kept {
    id: i64,
    keeper: LeaseKeeper,
    answers: LeaseKeepAliveStream,
    pub(super) next: Instant,
}

impl Kept {
    /// Renews a lease now. `None`: it is not there any more.
    pub(super) async fn begin(client: &mut Client, id: i64) -> Result<Option<Self>, Trouble> {
        let begun = async {
            match client.lease_keep_alive(id).await {
                Ok(streams) => Ok(Some(streams)),
                Err(Error::LeaseKeepAliveError(_)) => Ok(None),
                Err(error) => Err(error),
            }
        };
        let Some((keeper, answers)) = within("keep a lease", begun).await? else {
            return Ok(None);
        };
        let mut kept = Self {
            id,
            keeper,
            answers,
            next: Instant::now(),
        };
        Ok(kept.renew().await?.then_some(kept))
    }

    /// Renews it. `false`: it has ended.
    pub(super) async fn renew(&mut self) -> Result<bool, Trouble> {
        within("renew a lease", self.keeper.keep_alive()).await?;
        let answer = within("renew a lease", self.answers.message()).await?;
        let answer =
            answer.ok_or_else(|| Trouble::Gone("the store ends the keeping of leases".into()))?;
        let left = u64::try_from(answer.ttl()).unwrap_or(0);
        debug_assert_eq!(answer.id(), self.id);
        let third = Duration::from_millis(left.saturating_mul(1000) / 3);
        self.next = Instant::now() + third.clamp(Duration::from_millis(200), SELDOM);
        Ok(left != 0)
    }
}
