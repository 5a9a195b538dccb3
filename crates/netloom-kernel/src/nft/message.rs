//! The messages of nf_tables that delete something.

/// `NFNL_SUBSYS_NFTABLES`, in the upper half of a message's type.
pub(super) const SUBSYSTEM: u16 = 10 << 8;

pub(super) const NFT_MSG_DELTABLE: u16 = SUBSYSTEM | 2;
pub(super) const NFT_MSG_DELCHAIN: u16 = SUBSYSTEM | 5;
pub(super) const NFT_MSG_DELRULE: u16 = SUBSYSTEM | 8;
pub(super) const NFT_MSG_DELSET: u16 = SUBSYSTEM | 11;
pub(super) const NFT_MSG_DELSETELEM: u16 = SUBSYSTEM | 14;
