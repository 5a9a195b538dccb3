//! Transactions.

use super::Socket;
use super::message::{
    NFT_MSG_DELCHAIN, NFT_MSG_DELRULE, NFT_MSG_DELSET, NFT_MSG_DELSETELEM, NFT_MSG_DELTABLE,
};
use crate::error::{Error, Result};
use crate::netlink::{Buffer, Framing, NLM_F_REQUEST};

const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFNL_BATCH_GENID: u16 = 1;
/// `struct nfgenmsg` that names the nf_tables subsystem.
const BATCH_HEADER: [u8; 4] = [0, 0, 0, 10];

/// What the kernel frees some time after the transaction.
const DELETIONS: [u16; 5] = [
    NFT_MSG_DELTABLE,
    NFT_MSG_DELCHAIN,
    NFT_MSG_DELRULE,
    NFT_MSG_DELSET,
    NFT_MSG_DELSETELEM,
];

/// Changes that are made together or not at all, in one system call.
///
/// `ensure_` is what `nft` calls `add`; `create_` fails if the object exists; `delete_` fails if
/// it does not. A failure of any undoes all.
#[derive(Debug)]
#[must_use = "nothing happens before commit()"]
pub struct Batch<'s> {
    socket: &'s Socket,
    buffer: Buffer,
    /// What each message does, to what.
    messages: Vec<(&'static str, String)>,
    set_ids: u32,
    deletes: bool,
}

impl Socket {
    /// Begins a transaction.
    pub fn batch(&self) -> Batch<'_> {
        self.begin(|_| {})
    }

    /// Begins a transaction that fails with ERESTART if anything in nf_tables has changed since
    /// [`Socket::generation`] was read: for changes that depend on what was read before.
    pub fn batch_of_generation(&self, generation: u32) -> Batch<'_> {
        self.begin(|b| b.put_be32(NFNL_BATCH_GENID, generation))
    }

    fn begin(&self, attributes: impl FnOnce(&mut Buffer)) -> Batch<'_> {
        let mut buffer = Buffer::with_capacity(1024);
        buffer.begin(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, &BATCH_HEADER);
        attributes(&mut buffer);
        Batch {
            socket: self,
            buffer,
            messages: Vec::with_capacity(8),
            set_ids: 0,
            deletes: false,
        }
    }
}

impl Batch<'_> {
    pub(super) fn message(
        &mut self,
        operation: &'static str,
        object: String,
        kind: u16,
        flags: u16,
        header: [u8; 4],
        body: impl FnOnce(&mut Buffer),
    ) -> &mut Self {
        self.buffer.begin(kind, flags | NLM_F_REQUEST, &header);
        body(&mut self.buffer);
        self.deletes |= DELETIONS.contains(&kind);
        self.messages.push((operation, object));
        self
    }

    /// A number by which the kernel tells the new sets of one transaction apart.
    pub(super) fn next_set_id(&mut self) -> u32 {
        self.set_ids += 1;
        self.set_ids
    }

    /// How many changes wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether no change waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Makes the changes.
    ///
    /// # Errors
    /// The first change that the kernel refused; nothing has changed then.
    pub fn commit(self) -> Result<()> {
        self.commit_or_index().map_err(|(_, error)| error)
    }

    /// Like [`Batch::commit`], with the index of the change that was refused; `None` if the kernel
    /// refused the transaction as a whole.
    ///
    /// # Errors
    /// See [`Batch::commit`].
    pub fn commit_or_index(mut self) -> Result<(), (Option<usize>, Error)> {
        if self.messages.is_empty() {
            return Ok(());
        }
        self.buffer
            .begin(NFNL_MSG_BATCH_END, NLM_F_REQUEST, &BATCH_HEADER);
        let mut bytes = self.buffer.into_bytes();
        let messages = self.messages;
        let whole = || format!("nf_tables transaction of {} changes", messages.len());
        let mut first = None;
        self.socket
            .channel
            .transact(
                &mut bytes,
                Framing::NfBatch,
                |index, refusal| {
                    first.get_or_insert((index, refusal));
                },
                |_, _, _| {},
            )
            .map_err(|errno| (None, Error::of("commit", whole(), errno)))?;
        let Some((index, refusal)) = first else {
            if self.deletes {
                self.socket.channel.has_deleted();
            }
            return Ok(());
        };
        // Message 0 begins the transaction.
        let change = index.checked_sub(1).filter(|index| *index < messages.len());
        let error = match change.and_then(|index| messages.get(index)) {
            Some((operation, object)) => Error::new(operation, object, refusal.errno),
            None => Error::new("commit", whole(), refusal.errno),
        };
        Err((change, error.with_words(refusal.words)))
    }
}
