//! Images: archives and layouts, unpacked into a store of layers.
//!
//! An image is hostile input. Digests are compared while it is read; layers are unpacked below a directory
//! that only root enters, by names that cannot lead out of it; device nodes are left out; what unfolds to far
//! more than it was is refused. What is being unpacked has a temporary name until it is whole.

mod archive;
mod layer;
mod manifest;
mod read;
mod reference;
mod store;
mod zstd;

pub use archive::Source;
pub use reference::Reference;
pub use store::{Image, Images, Unpacked};

/// A new directory that only root enters, for an archive that another program is to write. It is swept with
/// the store if its maker dies.
///
/// # Errors
/// If it cannot be made.
pub fn scratch() -> crate::Result<std::path::PathBuf> {
    Images::default().scratch()
}
