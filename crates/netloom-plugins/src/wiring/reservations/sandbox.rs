//! In which network namespace the attachment of a reservation is.
//!
//! Beside the reference's format, like [`boot`](super::boot): an extended attribute of the
//! reservation's file, with the owner's fingerprint, because a file that is given back becomes the
//! next reservation. What bears none proves nothing.

use super::owner::Owner;
use crate::wiring::sandbox;
use netloom_kernel::netns::NetnsId;
use rustix::fs::{XattrFlags, fsetxattr, lgetxattr};
use std::fs::metadata;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

const MADE_FOR: &str = "user.netloom.netns";
/// As long as a path can be, and what stands before it.
const LONGEST: usize = 4096 + 64;

/// A namespace and how it was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sandbox {
    pub(crate) id: NetnsId,
    pub(crate) path: String,
}

impl Sandbox {
    /// `CNI_NETNS` of ADD, which is only looked at: whether it is a namespace matters at DEL.
    pub(crate) fn of_add(path: &str) -> Option<Self> {
        let file = metadata(path).ok()?;
        Some(Self {
            id: NetnsId {
                device: file.dev(),
                inode: file.ino(),
            },
            path: path.to_owned(),
        })
    }

    /// Notes it on a reservation. Where that cannot be noted it is not.
    pub(crate) fn mark(&self, file: impl AsFd, owner: &Owner) {
        let NetnsId { device, inode } = self.id;
        let owner = owner.fingerprint().bits();
        let text = format!("{owner:016x} {device} {inode} {}", self.path);
        let _ = fsetxattr(file, MADE_FOR, text.as_bytes(), XattrFlags::empty());
    }

    /// What is noted on a reservation of this owner.
    pub(crate) fn noted(file: &Path, owner: &Owner) -> Option<Self> {
        let mut value = [0_u8; LONGEST];
        let length = lgetxattr(file, MADE_FOR, &mut value).ok()?;
        let text = std::str::from_utf8(value.get(..length)?).ok()?;
        let mut words = text.splitn(4, ' ');
        let noted = u64::from_str_radix(words.next()?, 16).ok()?;
        let (device, inode) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let path = words.next()?.to_owned();
        let id = NetnsId { device, inode };
        (noted == owner.fingerprint().bits()).then_some(Self { id, path })
    }

    /// Whether it is still at its path.
    pub(crate) fn lives(&self) -> bool {
        id_of(Some(&self.path)) == Some(self.id)
    }
}

/// The identity of the namespace at the path; `None` if there is none.
pub(crate) fn id_of(path: Option<&str>) -> Option<NetnsId> {
    sandbox::open_if_there(path).ok()??.id().ok()
}
