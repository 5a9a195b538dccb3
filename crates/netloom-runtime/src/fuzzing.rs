//! The door of the fuzz targets (`fuzz/`) to what this crate reads. Not part of any other build.

pub use crate::cache::fuzzing::attachment_cache;
