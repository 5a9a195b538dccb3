//! When a lease must be extended, and when it ends.

use super::clock::Moment;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A time without end, in either protocol.
const INFINITE: u32 = u32::MAX;

/// A lease is not asked for more often than after this many seconds, whatever its server says.
const RENEWAL_MIN: u64 = 3;

/// A lease that ends sooner is taken for one of this many seconds, so that it can be extended in time.
const LEASE_MIN: u64 = 2 * RENEWAL_MIN;

/// The times of a lease that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Times {
    /// When to ask its server to extend it (T1).
    pub(super) renew: Moment,
    /// When to ask any server (T2).
    pub(super) rebind: Moment,
    pub(super) expire: Moment,
}

impl Times {
    /// From what a server says, in seconds, counted from when it was asked. Times of zero and times
    /// that are not in order are replaced: T1 by half of the lease, T2 by seven eighths. `None` for a
    /// lease without end.
    pub(super) fn new(
        asked: Moment,
        lease: u32,
        renew: Option<u32>,
        rebind: Option<u32>,
    ) -> Option<Self> {
        if lease == INFINITE {
            return None;
        }
        let lease = u64::from(lease).max(LEASE_MIN);
        let given = |time: Option<u32>| time.map(u64::from).filter(|time| *time != 0);
        // At its end a lease cannot be extended any more.
        let rebind = given(rebind).filter(|rebind| *rebind < lease);
        let rebind = rebind.unwrap_or(lease * 7 / 8).max(RENEWAL_MIN);
        let renew = given(renew).filter(|renew| *renew <= rebind);
        let renew = renew.unwrap_or((lease / 2).min(rebind)).max(RENEWAL_MIN);
        let after = |seconds| asked + Duration::from_secs(seconds);
        Some(Self {
            renew: after(renew),
            rebind: after(rebind),
            expire: after(lease),
        })
    }
}
