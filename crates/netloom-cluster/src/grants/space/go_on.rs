//! How a space goes on after the outcome of what it waited for.

use super::super::context::Context;
use super::super::interface::{DiskReply, StoreReply};
use super::pending::Pending;
use super::{Job, Reply, Space};

impl Space {
    /// The job after the outcome of its operation: itself, another one, or none.
    pub(super) fn go_on(
        &mut self,
        job: Job,
        pending: &Pending,
        reply: Reply,
        cx: &mut Context<'_>,
    ) -> Option<(Job, Pending)> {
        match (job, reply) {
            (Job::Verify(verify), Reply::Store(StoreReply::Found(found))) => {
                self.verify_found(verify, &found, cx)
            }
            (Job::Verify(verify), Reply::Store(StoreReply::Done)) => {
                self.verify_swapped(verify, cx)
            }
            (Job::Verify(verify), Reply::Store(StoreReply::Conflict)) => {
                self.verify_block(verify, cx)
            }
            (Job::Verify(verify), Reply::Disk(_)) => self.verify_written(&verify, cx),
            (Job::Count, Reply::Disk(DiskReply::Reserved(usage))) => self.counted(usage, cx),
            (Job::Look(look), Reply::Store(StoreReply::Found(found))) => {
                self.looked(look, &found, cx)
            }
            (Job::Pin(look), Reply::Store(StoreReply::Found(found))) => {
                self.pin_looked(look, &found, cx)
            }
            (Job::Commit(commit), reply) => self.commit_goes_on(commit, pending, reply, cx),
            (Job::Back(back), reply) => self.back_goes_on(back, reply, cx),
            // No other outcome belongs to these operations.
            _ => None,
        }
    }
}
