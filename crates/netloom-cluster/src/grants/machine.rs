//! The machine as a whole: what concerns all spaces.

use super::interface::{Config, Input, Instant, Now, Output};
use crate::SpaceName;
use crate::disk::{ClusterFile, GrantsFile};
use std::collections::BTreeMap;

/// The state machine of one node, see the [module](super).
#[derive(Debug)]
pub struct Machine {
    config: Config,
    cluster: Option<ClusterFile>,
    spaces: BTreeMap<SpaceName, Option<GrantsFile>>,
}

impl Machine {
    /// With what is on the disk: `cluster` is `None` where the node has no such file, or a damaged one,
    /// and a space's grants are `None` where its file is damaged. A space without a file is left out.
    pub fn new(
        config: Config,
        cluster: Option<ClusterFile>,
        spaces: BTreeMap<SpaceName, Option<GrantsFile>>,
    ) -> Self {
        Self {
            config,
            cluster,
            spaces,
        }
    }

    /// Takes in what happened; what is to be done is added to `out`.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Vec<Output>) {
        let _ = (now, input, out, &self.config, &self.cluster, &self.spaces);
    }

    /// When an [`Input::Tick`] is needed at the latest.
    pub fn wake_at(&self) -> Option<Instant> {
        None
    }
}
