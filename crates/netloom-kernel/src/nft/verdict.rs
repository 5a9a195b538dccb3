//! What becomes of a packet.

use crate::netlink::{Attributes, Buffer};

pub(super) const NFTA_DATA_VALUE: u16 = 1;
pub(super) const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
const NFTA_VERDICT_CHAIN: u16 = 2;
const DROP: i32 = 0;
const ACCEPT: i32 = 1;
const CONTINUE: i32 = -1;
const JUMP: i32 = -3;
const GOTO: i32 = -4;
const RETURN: i32 = -5;

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It goes on to the next base chain.
    Accept,
    /// It is dropped.
    Drop,
    /// It goes on with the next rule.
    Continue,
    /// It goes back to where it jumped from.
    Return,
    /// It goes through a chain and comes back.
    Jump(String),
    /// It goes through a chain and does not come back.
    Goto(String),
}

impl Verdict {
    /// Writes it as `NFTA_DATA_VERDICT`.
    pub(super) fn put(&self, b: &mut Buffer) {
        let (code, chain) = match self {
            Self::Accept => (ACCEPT, None),
            Self::Drop => (DROP, None),
            Self::Continue => (CONTINUE, None),
            Self::Return => (RETURN, None),
            Self::Jump(chain) => (JUMP, Some(chain)),
            Self::Goto(chain) => (GOTO, Some(chain)),
        };
        b.nest(NFTA_DATA_VERDICT, |b| {
            b.put_be32(NFTA_VERDICT_CODE, code.cast_unsigned());
            if let Some(chain) = chain {
                b.put_str(NFTA_VERDICT_CHAIN, chain);
            }
        });
    }

    /// Reads the inside of `NFTA_DATA_VERDICT`.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let code = Attributes::find(value, NFTA_VERDICT_CODE)?
            .be32()?
            .cast_signed();
        let chain = || Attributes::find(value, NFTA_VERDICT_CHAIN).map(|a| a.string());
        Some(match code {
            ACCEPT => Self::Accept,
            DROP => Self::Drop,
            CONTINUE => Self::Continue,
            RETURN => Self::Return,
            JUMP => Self::Jump(chain()?),
            GOTO => Self::Goto(chain()?),
            _ => return None,
        })
    }
}
