//! Waiting for what the kernel does in its own time.
//!
//! Each looks first, subscribes only if it must wait, looks again, and then sleeps in poll(2)
//! until something happens or the deadline passes.

use std::time::Instant;

use super::{Address, Group, Link, LinkRef, Socket, Subscription};
use crate::error::{Error, Result};

impl Socket {
    /// Waits until packets can pass a link, and returns it.
    ///
    /// # Errors
    /// `is_timeout()` if it is not up at the deadline; `is_absent()` if it is gone.
    pub fn wait_link_up<'a>(
        &self,
        link: impl Into<LinkRef<'a>>,
        deadline: Instant,
    ) -> Result<Link> {
        let link = link.into();
        let mut last = None;
        let look = || {
            let now = self.get_link(link)?;
            let up = now.is_operational();
            last = Some(now.operational);
            Ok(up.then_some(now))
        };
        match self.wait_for(&[Group::Links], deadline, look)? {
            Some(link) => Ok(link),
            None => Err(
                Error::new("wait for link", link, libc::ETIMEDOUT).with_words(format!(
                    "operational state is {:?}",
                    last.unwrap_or_default()
                )),
            ),
        }
    }

    /// Waits until duplicate address detection has finished for all IPv6 addresses of a link.
    ///
    /// # Errors
    /// `is_timeout()` if an address is still tentative at the deadline; EADDRINUSE if detection
    /// found another owner of an address, which the error names.
    pub fn wait_addresses_settled(&self, link: u32, deadline: Instant) -> Result<()> {
        let operation = "settle address";
        let object =
            |address: &Address| format!("{} on the link with index {link}", address.address);
        let mut pending = None;
        let look = || {
            let addresses = self.list_addresses(link)?;
            if let Some(lost) = addresses.iter().find(|a| a.flags.is_duplicate()) {
                return Err(Error::new(operation, object(lost), libc::EADDRINUSE)
                    .with_words("duplicate address detection found another owner"));
            }
            pending = addresses.into_iter().find(|a| a.flags.is_tentative());
            Ok(pending.is_none().then_some(()))
        };
        match self.wait_for(&[Group::AddressesV6], deadline, look)? {
            Some(()) => Ok(()),
            None => {
                let object = pending.as_ref().map(object).unwrap_or_default();
                Err(Error::new(operation, object, libc::ETIMEDOUT)
                    .with_words("duplicate address detection has not finished"))
            }
        }
    }

    /// Looks until there is something to return. `None` if the deadline passed first.
    ///
    /// # Errors
    /// What `look` fails with; or if the subscription fails.
    pub fn wait_for<T>(
        &self,
        groups: &[Group],
        deadline: Instant,
        mut look: impl FnMut() -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        let subscription = Subscription::open(self, groups)?;
        loop {
            // After the subscription, so that nothing falls between.
            if let Some(found) = look()? {
                return Ok(Some(found));
            }
            if !subscription.wait(deadline)? || Instant::now() >= deadline {
                return look();
            }
        }
    }
}
