//! Why a period's totals, or what a holder shows, are not believed.

use gridveil_protocol::units::Wh;
use gridveil_verifier_contract::L1Error;

use crate::{date::PeriodAt, proof::VerifierError, retirement::RetirementError};

/// One of the two headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Before the period's batch.
    Before,
    /// After it.
    After,
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::Before { "before" } else { "after" })
    }
}

/// Why a period's totals are not what is said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TotalsError {
    /// L1.
    #[error("L1: {0}")]
    L1(#[from] L1Error),
    /// The batches do not begin with the first, or do not follow one another.
    #[error("L1.SEQUENCE: batch {got} in the place of batch {expected}: is --from-block at most the deployment's?")]
    Sequence {
        /// Found.
        got: u64,
        /// In its place.
        expected: u64,
    },
    /// Something in events or calldata that the contract cannot have done: a node that lies.
    #[error("{clause}: {what}")]
    Published {
        /// Clause of the specification.
        clause: &'static str,
        /// What was found.
        what: String,
    },
    /// Another chain or contract than the one asked.
    #[error("the opening is for another chain or contract")]
    OtherDeployment,
    /// No such community, or one of no known shape.
    #[error("L1 has no community {0} of a known shape")]
    Community(u32),
    /// No batch.
    #[error("L1 has no batch of community {community} for the {period}")]
    NotSettled {
        /// Community.
        community: u32,
        /// Period.
        period: PeriodAt,
    },
    /// Another period's header.
    #[error("the header {which} the batch is that of another period: it opens the leaf of batch {batch}")]
    Period {
        /// Which.
        which: Which,
        /// Whose leaf it opens.
        batch: u64,
    },
    /// Not the header that was committed.
    #[error("the header {0} the batch does not open to the leaf on L1")]
    Leaf(Which),
    /// The first batch of a community that was in the genesis root, and no way to that root.
    #[error(
        "the header before the community's first batch is in the genesis root, and the opening does not lead there"
    )]
    Genesis,
    /// There was no header before.
    #[error("STATE.INIT: the community began with this batch: there is no header before it to open")]
    Beginning,
    /// Life totals only grow.
    #[error("SETTLE.11: the total of {0} certificates fell in this period")]
    Falling(&'static str),
    /// The opened totals contradict themselves.
    #[error("SETTLE.11: {issued_wh} Wh issued are not {retired_wh} Wh retired and {outstanding_wh} Wh outstanding")]
    Conservation {
        /// Issued.
        issued_wh: Wh,
        /// Retired by local trade.
        retired_wh: Wh,
        /// Outstanding as notes.
        outstanding_wh: Wh,
    },
    /// A sealed retirement.
    #[error("statement {number}: {why}")]
    Sealed {
        /// In the order given, from 1.
        number: usize,
        /// Why not.
        why: SealedError,
    },
    /// A note that is said to be held.
    #[error("holding {number}: {why}")]
    Held {
        /// In the order given, from 1.
        number: usize,
        /// Why not.
        why: HeldError,
    },
    /// More became of the notes than there were.
    #[error("CERT.4: {used_wh} Wh of this period are retired, exported or held, of {outstanding_wh} Wh outstanding")]
    TooMuch {
        /// Retired, exported and shown as held.
        used_wh: u128,
        /// Made into notes.
        outstanding_wh: Wh,
    },
    /// Holdings without a key to check their proofs.
    #[error("no verifying key for holdings")]
    NoVerifier,
    /// A proof that could not be checked.
    #[error(transparent)]
    Verifier(#[from] VerifierError),
}

/// Why a shown statement is not counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealedError {
    /// As the check of the statement finds.
    #[error(transparent)]
    Retirement(#[from] RetirementError),
    /// In the public sum already.
    #[error("the retirement is public: it is counted without its statement")]
    Public,
    /// Of another community or period.
    #[error("the statement is of another origin: community {community}, {period}")]
    Origin {
        /// Community.
        community: u32,
        /// Period.
        period: PeriodAt,
    },
    /// Shown before.
    #[error("the same retirement was shown before")]
    Twice,
}

/// Why a note is not counted as held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeldError {
    /// Another chain or contract.
    #[error("the holding is for another chain or contract")]
    OtherDeployment,
    /// Public inputs of another form.
    #[error("the statement is none of a holding")]
    Form,
    /// Of another community or period.
    #[error("the note is of another origin: community {community}, {period}")]
    Origin {
        /// Community.
        community: u32,
        /// Period.
        period: PeriodAt,
    },
    /// Not a state that was final.
    #[error("the note is shown under a root that was never final on L1")]
    NotFinal,
    /// Spent.
    #[error("L1 has the note's nullifier: it is spent")]
    Spent,
    /// Shown before.
    #[error("the same note was shown before")]
    Twice,
    /// The proof.
    #[error("the proof does not hold")]
    Proof,
}
