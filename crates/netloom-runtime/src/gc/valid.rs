//! Which attachments GC leaves alone.

use std::fmt;

use netloom_spec::{Attachment, Error as CniError, PluginConf};

use crate::CachedAttachment;

/// What is known of the container of a cached attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It is there, or nothing tells that it is not.
    Living,
    /// Its network namespace is gone.
    Gone,
    /// The path of its network namespace now leads to another container's, or to the host's. The
    /// path is not told to the plugins.
    NetnsReused,
}

/// Finds out who lives. A function of cached attachments is one that knows of no others.
pub trait Judge {
    /// What is known of the container of a cached attachment.
    fn life(&self, cached: &CachedAttachment) -> Life;

    /// The attachments of a network that live, and that the cache does not know: others added them.
    /// `plugins` are those of the network, and those that its cached attachments were added with.
    ///
    /// # Errors
    /// When that cannot be found out: GC of the network then does nothing.
    fn beside(&self, _network: &str, _plugins: &[PluginConf]) -> Result<Vec<Attachment>, CniError> {
        Ok(Vec::new())
    }
}

impl<F: Fn(&CachedAttachment) -> Life> Judge for F {
    fn life(&self, cached: &CachedAttachment) -> Life {
        self(cached)
    }
}

/// Which attachments of a network GC leaves alone.
#[derive(Clone, Copy)]
pub enum Valid<'a> {
    /// These. None at all is refused: it is what a runtime says that has lost its memory.
    Only(&'a [Attachment]),
    /// The cached attachments that this finds [`Life::Living`], and what it finds beside them. It is
    /// asked while no ADD or DEL of the network runs. An entry that cannot be read counts as living. If
    /// nothing lives, the cached attachments are deleted, but the plugins are not asked for more.
    Judged(&'a dyn Judge),
    /// All but the cached attachments that this finds dead. The plugins are not asked for more.
    AllBut(&'a dyn Fn(&CachedAttachment) -> Life),
    /// None: everything goes, and the plugins are told so.
    Nothing,
    /// None, and the plugins are not told which are valid: libcni's GC without arguments.
    Untold,
}

impl Valid<'_> {
    pub(super) fn life(&self, cached: &CachedAttachment) -> Life {
        match self {
            Self::Only(valid) if valid.iter().any(|valid| is_of(valid, cached)) => Life::Living,
            Self::Only(_) | Self::Nothing | Self::Untold => Life::Gone,
            Self::Judged(judge) => judge.life(cached),
            Self::AllBut(judge) => judge(cached),
        }
    }

    /// Who lives beside the cached attachments.
    pub(super) fn beside(
        &self,
        network: &str,
        plugins: &[PluginConf],
    ) -> Result<Vec<Attachment>, CniError> {
        match self {
            Self::Judged(judge) => judge.beside(network, plugins),
            _ => Ok(Vec::new()),
        }
    }
}

fn is_of(valid: &Attachment, cached: &CachedAttachment) -> bool {
    valid.container_id == cached.container_id && valid.if_name == cached.if_name
}

impl fmt::Debug for Valid<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only(valid) => f.debug_tuple("Only").field(valid).finish(),
            Self::Judged(_) => f.write_str("Judged"),
            Self::AllBut(_) => f.write_str("AllBut"),
            Self::Nothing => f.write_str("Nothing"),
            Self::Untold => f.write_str("Untold"),
        }
    }
}
