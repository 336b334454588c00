//! On whose side the reason is that a statement does not hold. The operator is accused only where that is proven.

use std::fmt;

use super::StatementError;

/// As far as it is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The operator's answer contradicts L1, a signature, or itself. Nothing on the member's side can make it so.
    Answer,
    /// The operator does not show what it must have. It can be at fault; so can whoever else has the meter's key.
    NotShown,
    /// The key file or the folder is not the account's, or not its newest.
    Own,
    /// L1, or the node that was asked.
    L1,
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answer => "the operator's answer is wrong, and nothing of it was kept",
            Self::NotShown => {
                "no fault is proven: ask the operator for it, and look for another folder that signs with this key"
            }
            Self::Own => {
                "that is no fault of the operator: look for the key file and folder that belong to this account"
            }
            Self::L1 => "no fault is proven: the L1 node may be behind, so ask again or ask another one (--rpc)",
        })
    }
}

impl StatementError {
    /// On whose side the reason is.
    #[must_use]
    pub const fn whose(&self) -> Whose {
        match self {
            Self::Other(_)
            | Self::Foreign { .. }
            | Self::Correction
            | Self::Continuity
            | Self::Receipt(_)
            | Self::Tariff
            | Self::Empty => Whose::Answer,
            Self::NoPacket | Self::Salts => Whose::NotShown,
            Self::NotMine | Self::Signature(_) => Whose::Own,
            Self::NotFinal | Self::L1(_) => Whose::L1,
        }
    }
}
