//! The numbers by which one network namespace knows others.

use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};

use super::Socket;
use crate::error::Result;
use crate::netlink::{Attributes, NLM_F_DUMP, Request};
use crate::netns::Netns;

const RTM_GETNSID: u16 = 90;
const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;
const SO_NETNS_COOKIE: libc::c_int = 71;

impl Socket {
    /// The number that the socket's namespace shares with no other, before or after it, as long as
    /// the kernel runs: the inode of one that is gone is soon another's. `None` before Linux 5.14.
    #[must_use]
    pub fn namespace_cookie(&self) -> Option<u64> {
        let mut cookie = 0_u64;
        let mut length = size_of::<u64>() as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes, which `cookie` has, and the length.
        #[expect(unsafe_code, reason = "rustix has no SO_NETNS_COOKIE")]
        let outcome = unsafe {
            libc::getsockopt(
                self.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                SO_NETNS_COOKIE,
                (&raw mut cookie).cast(),
                &raw mut length,
            )
        };
        (outcome == 0).then_some(cookie)
    }

    /// The number by which the socket's namespace knows another: what
    /// [`Link::lower_netns`](super::Link::lower_netns) says of a veth's peer. `None` if no link
    /// has ever connected the two.
    ///
    /// # Errors
    /// If the kernel refuses the request.
    pub fn namespace_id(&self, netns: &Netns) -> Result<Option<i32>> {
        let header = [0; 4]; // struct rtgenmsg, padded
        let mut r = Request::new(
            "identify namespace",
            netns.to_string(),
            RTM_GETNSID,
            0,
            &header,
        );
        r.buffer
            .put_u32(NETNSA_FD, netns.as_fd().as_raw_fd().cast_unsigned());
        self.ask(r, |_, payload| {
            Attributes::after(payload, 4)
                .find(|a| a.kind == NETNSA_NSID)
                .and_then(|a| a.i32())
                .filter(|id| *id >= 0)
        })
    }

    /// The numbers of all namespaces that this one knows and that still exist. It knows those
    /// that a link of its own has been moved to, or has its other end in.
    ///
    /// # Errors
    /// If the kernel refuses the dump.
    pub fn list_namespace_ids(&self) -> Result<Vec<i32>> {
        let header = [0; 4]; // struct rtgenmsg, padded
        let r = Request::new(
            "list",
            "known namespaces".into(),
            RTM_GETNSID,
            NLM_F_DUMP,
            &header,
        );
        self.dump(r, |_, payload| {
            Attributes::after(payload, 4)
                .find(|a| a.kind == NETNSA_NSID)
                .and_then(|a| a.i32())
                .filter(|id| *id >= 0)
        })
    }
}
