//! In which network namespace the attachment of a reservation is.
//!
//! Beside the reference's format, like [`boot`](super::boot): an extended attribute of the
//! reservation's file, with the owner's fingerprint, because a file that is given back becomes the
//! next reservation. What bears none proves nothing.

use super::owner::Owner;
use super::store::{Place, Store};
use super::store_error::StoreError;
use crate::wiring::sandbox;
use netloom_kernel::netns::NetnsId;
use netloom_plugin::DelRequest;
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
pub(super) struct Sandbox {
    id: NetnsId,
    path: String,
}

impl Sandbox {
    /// `CNI_NETNS` of ADD, which is only looked at: whether it is a namespace matters at DEL.
    pub(super) fn of_add(path: &str) -> Option<Self> {
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
    pub(super) fn mark(&self, file: impl AsFd, owner: &Owner) {
        let NetnsId { device, inode } = self.id;
        let owner = owner.fingerprint().bits();
        let text = format!("{owner:016x} {device} {inode} {}", self.path);
        let _ = fsetxattr(file, MADE_FOR, text.as_bytes(), XattrFlags::empty());
    }

    /// What is noted on a reservation of this owner.
    fn noted(file: &Path, owner: &Owner) -> Option<Self> {
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

    fn lives(&self) -> bool {
        id_of(Some(&self.path)) == Some(self.id)
    }
}

/// The identity of the namespace at the path; `None` if there is none.
fn id_of(path: Option<&str>) -> Option<NetnsId> {
    sandbox::open_if_there(path).ok()??.id().ok()
}

/// The path of the namespace that a reservation was made for, if DEL names another one and that one
/// still lives.
fn of_another(file: &Path, owner: &Owner, named: Option<&str>) -> Option<String> {
    let made_for = Sandbox::noted(file, owner).filter(|it| named != Some(it.path.as_str()))?;
    let is_another = id_of(named)? != made_for.id && made_for.lives();
    is_another.then_some(made_for.path)
}

/// DEL: releases the owner's reservations; false if there was none. Those that were made for another
/// namespace than DEL names, which lives, stay: after an ADD that was refused, because the container
/// has its addresses already, whoever called it deletes what it thinks that ADD left.
pub(super) fn release(
    store: &mut Store,
    place: &Place,
    owner: &Owner,
    request: &DelRequest<'_>,
) -> Result<bool, Vec<StoreError>> {
    store.release(owner, |name| {
        let file = place.reservations().join(name);
        let other = of_another(&file, owner, request.netns);
        if let Some(path) = &other {
            request.warn(&format!(
                "{name} is reserved for {owner} in {path:?}, which lives: it stays, as CNI_NETNS is \
                 {:?}",
                request.netns.unwrap_or_default()
            ));
        }
        other.is_none()
    })
}
