//! What a server grants.

use serde::{Deserialize, Serialize};

/// A granted address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Lease {}
