//! Spending one certificate note: transfer, split, retire (`docs/spec/certificates.md`).
//!
//! [`Spend::compute`] is total: it follows the rules for any input and refuses nothing. [`Spend::check`] refuses,
//! clause by clause, in the order of [`CertificateError`]. The circuit proves what `check` accepts; tests feed the
//! circuit what it refuses.

mod holding;
mod path;
mod retirement;
mod shown;

use serde::{Deserialize, Serialize};

use crate::{
    field::{Fr, hex_fr},
    note::{AMOUNT_BITS, Note},
    owner::{NullifierKey, OwnerKey, owner_of},
    poseidon::DomainTag,
    schnorr::{self, SchnorrError, SecretKey, Signature},
    units::Wh,
};
use ark_ff::AdditiveGroup;

pub use holding::{HOLDING_VERSION, ShownHolding, holding_domain};
pub use path::{DENSE_LEVELS, NotePath, Position, Trees};
pub use retirement::{Kind, Purpose, Retirement, RetirementStatement, StatementError};
pub use shown::ShownRetirement;

/// Version of the certificate circuit, part of the domain of its statements.
pub const CERTIFICATE_VERSION: u64 = crate::version::FIRST_CERTIFICATE;

/// Row names of the public inputs, in order.
pub const ROWS: [&str; 9] =
    ["domain", "anchor", "nullifier", "note_1", "note_2", "retirement", "disclosed", "beneficiary", "kind"];

/// Why a spending is refused. Variants are in the order they are checked; each names its clause and whose input it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// A path of another form than the trees have.
    #[error("CERT.1: {part} of the path has {got} levels, not {expected} (whoever gave the path)")]
    PathLength {
        /// Which tree.
        part: &'static str,
        /// Levels it may have.
        expected: &'static str,
        /// Levels given.
        got: usize,
    },
    /// The running node is not among the children of a level.
    #[error("CERT.1: level {level} of {part} does not hold the node below it (whoever gave the path)")]
    Path {
        /// Which tree.
        part: &'static str,
        /// Level, bottom up.
        level: usize,
    },
    /// The note belongs to another owner.
    #[error("CERT.2: the note's owner is not this key (spender)")]
    Owner,
    /// Signature.
    #[error("CERT.2: {0} (spender)")]
    Signature(#[from] SchnorrError),
    /// The nullifier key is not the one that the owner's commitment binds.
    #[error("CERT.3: the nullifier key is not the owner's (spender)")]
    NullifierKey,
    /// An amount that does not fit its 48 bits.
    #[error("CERT.4: the amount of {part} is 2^48 Wh or more (spender)")]
    AmountOverflow {
        /// Of which note, or of the retirement.
        part: &'static str,
    },
    /// More, or less, than the note holds.
    #[error("CERT.4: outputs and retirement are not together the note's amount (spender)")]
    Conservation,
    /// A sealed retirement for another purpose than consumption.
    #[error("CERT.5: an expiry or an export is public (spender)")]
    SealedPurpose,
}

impl CertificateError {
    /// Clause id, as in the specification, the gates and the tests.
    #[must_use]
    pub const fn clause(&self) -> &'static str {
        match self {
            Self::PathLength { .. } | Self::Path { .. } => "CERT.1",
            Self::Owner | Self::Signature(_) => "CERT.2",
            Self::NullifierKey => "CERT.3",
            Self::AmountOverflow { .. } | Self::Conservation => "CERT.4",
            Self::SealedPurpose => "CERT.5",
        }
    }
}

/// A note to be made. It takes its origin from the note that is spent; an unused one has amount 0 and any owner.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Commitment of the new owner.
    #[serde(with = "hex_fr")]
    pub owner: Fr,
    /// Wh, below 2^48.
    pub amount: Wh,
    /// s5, s6. Fresh for an unused output too, because it must look like a used one.
    #[serde(with = "hex_fr::seq")]
    pub salts: [Fr; 2],
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Output(hidden)")
    }
}

/// What a wallet decides before the owner signs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendPlan {
    /// Chain, contract and [`CERTIFICATE_VERSION`].
    #[serde(with = "hex_fr")]
    pub domain: Fr,
    /// The note that is spent.
    pub note: Note,
    /// Its opening in a state root that was final.
    pub path: NotePath,
    /// Two new notes.
    pub outputs: [Output; 2],
    /// What is retired.
    pub retirement: Option<Retirement>,
}

impl std::fmt::Debug for SpendPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpendPlan").field("retires", &self.retirement.is_some()).finish_non_exhaustive()
    }
}

impl SpendPlan {
    /// Openings of the two new notes, for their owners.
    #[must_use]
    pub fn notes(&self) -> [Note; 2] {
        self.outputs.clone().map(|Output { owner, amount, salts }| Note { owner, amount, salts, ..self.note.clone() })
    }

    /// What the holder of the retirement keeps, if there is one.
    #[must_use]
    pub fn statement(&self) -> Option<RetirementStatement> {
        self.retirement.as_ref().map(|retirement| retirement.statement(self.note.origin()))
    }

    /// Public inputs; refuses nothing.
    #[must_use]
    pub fn instance(&self, key: &NullifierKey) -> CertificateInstance {
        let statement = self.statement();
        let kind = self.retirement.as_ref().map_or(Kind::NONE, Retirement::kind);
        let (disclosed, beneficiary) = match &statement {
            Some(statement) if !kind.is_sealed() => (statement.info(), statement.beneficiary),
            _ => (Fr::ZERO, Fr::ZERO),
        };
        CertificateInstance {
            domain: self.domain,
            anchor: self.path.anchor(),
            nullifier: key.nullifier(self.note.commitment()),
            notes: self.notes().map(|note| note.commitment()),
            retirement: statement.map_or(Fr::ZERO, |statement| statement.commitment()),
            disclosed,
            beneficiary,
            kind: kind.code(),
        }
    }

    /// Signs with the owner's key, from which the nullifier key is derived ([`NullifierKey::of`]). Nothing is checked
    /// yet.
    ///
    /// # Errors
    /// [`CertificateError::Signature`], practically never.
    pub fn sign(self, secret: &SecretKey) -> Result<Spend, CertificateError> {
        let nullifier_key = NullifierKey::of(secret);
        let signature = secret.sign(DomainTag::Certificate, &self.instance(&nullifier_key).message())?;
        Ok(Spend { plan: self, owner: owner_of(secret), nullifier_key, signature })
    }
}

/// One spending, signed: the statement's witness. It holds the nullifier key, which shows which notes are
/// its owner's. It does not hold the signing key, so a helper can make the proof but cannot change what is spent.
#[derive(Clone, Debug)]
pub struct Spend {
    /// What is spent, and into what.
    pub plan: SpendPlan,
    /// The owner's public half.
    pub owner: OwnerKey,
    /// nk.
    pub nullifier_key: NullifierKey,
    /// Over [`CertificateInstance::message`].
    pub signature: Signature,
}

impl Spend {
    /// Public inputs; refuses nothing.
    #[must_use]
    pub fn compute(&self) -> CertificateInstance {
        self.plan.instance(&self.nullifier_key)
    }

    /// Public inputs of a spending that the rules accept.
    ///
    /// # Errors
    /// [`CertificateError`], the first clause that refuses.
    pub fn check(&self) -> Result<CertificateInstance, CertificateError> {
        let plan = &self.plan;
        plan.path.check(plan.note.commitment())?;
        if self.owner.commitment() != plan.note.owner {
            return Err(CertificateError::Owner);
        }
        let instance = self.compute();
        schnorr::verify(DomainTag::Certificate, &self.owner.key, &instance.message(), &self.signature)?;
        if self.nullifier_key.commitment() != self.owner.nullifier {
            return Err(CertificateError::NullifierKey);
        }
        self.check_amounts()?;
        match &plan.retirement {
            Some(retirement) if retirement.sealed && retirement.purpose != Purpose::Consumption => {
                Err(CertificateError::SealedPurpose)
            }
            _ => Ok(instance),
        }
    }

    fn check_amounts(&self) -> Result<(), CertificateError> {
        let [first, second] = &self.plan.outputs;
        let retired = self.plan.retirement.as_ref().map_or(Wh::ZERO, |retirement| retirement.amount);
        let spent = self.plan.note.amount;
        for (part, amount) in
            [("the note", spent), ("output 1", first.amount), ("output 2", second.amount), ("the retirement", retired)]
        {
            if !amount.fits(AMOUNT_BITS) {
                return Err(CertificateError::AmountOverflow { part });
            }
        }
        // Three times 2^48 do not overflow.
        if first.amount + second.amount + retired == spent { Ok(()) } else { Err(CertificateError::Conservation) }
    }
}

/// Public inputs, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateInstance {
    /// Chain, contract and [`CERTIFICATE_VERSION`].
    #[serde(with = "hex_fr")]
    pub domain: Fr,
    /// A state root that was final.
    #[serde(with = "hex_fr")]
    pub anchor: Fr,
    /// Of the note that is spent.
    #[serde(with = "hex_fr")]
    pub nullifier: Fr,
    /// New notes.
    #[serde(with = "hex_fr::seq")]
    pub notes: [Fr; 2],
    /// Commitment, 0 if nothing is retired.
    #[serde(with = "hex_fr")]
    pub retirement: Fr,
    /// `info'` of a public retirement, else 0.
    #[serde(with = "hex_fr")]
    pub disclosed: Fr,
    /// Of a public retirement, else 0.
    #[serde(with = "hex_fr")]
    pub beneficiary: Fr,
    /// [`Kind::code`].
    pub kind: u64,
}

impl CertificateInstance {
    /// The one encoder.
    #[must_use]
    pub fn rows(&self) -> [Fr; 9] {
        let [note_1, note_2] = self.notes;
        let kind = Fr::from(self.kind);
        [
            self.domain,
            self.anchor,
            self.nullifier,
            note_1,
            note_2,
            self.retirement,
            self.disclosed,
            self.beneficiary,
            kind,
        ]
    }

    /// What the owner signs. The anchor is not part of it, because under any anchor the same note is spent into the
    /// same notes. `disclosed` and `beneficiary` follow from the retirement's commitment and the kind.
    #[must_use]
    pub fn message(&self) -> [Fr; 6] {
        let [note_1, note_2] = self.notes;
        [self.domain, self.nullifier, note_1, note_2, self.retirement, Fr::from(self.kind)]
    }
}

#[cfg(test)]
mod tests;
