//! Account operations: what an owner signs, and what each changes (`docs/spec/operations.md`).
//!
//! Each operation has a file of its own with its [`Effect`]; [`slot`] applies any of them natively, and the circuit
//! writes its constraints from the same table. A new operation is a file and a line in the table
//! (`docs/how-to/add-an-operation.md`).

mod close;
mod deposit;
mod enrol;
mod forced;
mod receive;
mod replace;
mod rotate;
mod send;
pub mod slot;
mod terms;
mod withdraw;

use serde::{Deserialize, Serialize};

use crate::{
    account::{LeafSalts, Terms},
    field::{Fr, hex_fr, reduce, shifted},
    hex::hex_bytes,
    owner::OwnerKey,
    params::UNIT_NANO,
    poseidon::{DomainTag, hash4, sponge},
    record::RecordKind,
    schnorr::{self, PublicKey, SchnorrError, SecretKey, Signature},
    version::CircuitVersion,
};
use ark_ff::AdditiveGroup;

/// Elements of an operation's message.
pub const MESSAGE: usize = 12;

/// Makes [`Kind`] and the table of effects of lines `name = number, file, version`.
macro_rules! operations {
    ($($(#[$doc:meta])* $kind:ident = $number:literal, $file:ident, $since:ident;)+) => {
        /// What an operation does. The number is part of what is signed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[repr(u8)]
        pub enum Kind {
            $($(#[$doc])* $kind = $number,)+
        }

        const ALL: [Effect; [$($number),+].len()] = [$($file::EFFECT),+];

        impl Kind {
            /// Its effect.
            #[must_use]
            pub const fn effect(self) -> &'static Effect {
                match self {
                    $(Self::$kind => &$file::EFFECT,)+
                }
            }

            /// The first circuit version that has it; all later ones have it too.
            #[must_use]
            pub const fn since(self) -> CircuitVersion {
                match self {
                    $(Self::$kind => CircuitVersion::$since,)+
                }
            }
        }
    };
}

// The table of operations: name, number, file of its effect, first circuit version. Lines are added at the end only,
// since the order is that of the circuit's kind bits.
operations! {
    /// Takes in a deposit.
    Deposit = 1, deposit, V2;
    /// Pays out to L1.
    Withdraw = 2, withdraw, V2;
    /// Opens a claim for another owner.
    Send = 3, send, V2;
    /// Takes in such a claim.
    Receive = 4, receive, V2;
    /// Another owner key and payout.
    Rotate = 5, rotate, V2;
    /// Pays everything and empties the slot.
    Close = 6, close, V2;
    /// A new account.
    Enrol = 7, enrol, V2;
    /// Another meter.
    Replace = 8, replace, V2;
    /// Other terms.
    Terms = 9, terms, V2;
    /// Asked for on L1.
    Forced = 10, forced, V2;
}

/// Operations of a circuit version, as a count from the beginning of the table.
const fn count(version: CircuitVersion) -> usize {
    let mut count = 0;
    while count < ALL.len() && ALL[count].kind.since().number() <= version.number() {
        count += 1;
    }
    count
}

/// The effects of a circuit version's operations, in the order of its kind bits.
#[must_use]
pub fn effects_of(version: CircuitVersion) -> &'static [Effect] {
    const { &ALL }.get(..count(version)).unwrap_or_default()
}

/// The effects of the operations that a new deployment begins with ([`CircuitVersion::CURRENT`]).
pub const EFFECTS: [Effect; count(CircuitVersion::CURRENT)] = {
    let mut effects = [ALL[0]; count(CircuitVersion::CURRENT)];
    let mut at = 0;
    while at < effects.len() {
        effects[at] = ALL[at];
        at += 1;
    }
    effects
};

// A version's operations are all lines down to some line.
const _: () = {
    let mut at = 1;
    while at < ALL.len() {
        assert!(ALL[at - 1].kind.since().number() <= ALL[at].kind.since().number());
        assert!((ALL[at - 1].kind as u8) < ALL[at].kind as u8);
        at += 1;
    }
};

/// Direction of the amount, seen from the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// No money moves.
    None,
    /// Into the account.
    In,
    /// Out of the account.
    Out,
}

/// Whom a claim is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimOf {
    /// The account's owner.
    Owner,
    /// The message's `party`.
    Party,
}

/// What the second word of a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The claim.
    Claim,
    /// The payout address of the leaf.
    Payout,
    /// Who asked on L1 (the message's `payout`); the slot is public then.
    Requester,
}

/// What happens to a part of the leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It stays.
    Keep,
    /// It becomes the message's.
    Set,
    /// It becomes what it is in an empty slot.
    Clear,
}

/// An operation's effect: everything that the native operation slot and the circuit's know of an operation.
#[derive(Clone, Copy, Debug)]
pub struct Effect {
    /// Which operation.
    pub kind: Kind,
    /// What a member's statement calls it.
    pub title: &'static str,
    /// Direction of the amount.
    pub flow: Flow,
    /// The amount is a whole number of units.
    pub whole_units: bool,
    /// The amount is all whole units of the balance.
    pub all_units: bool,
    /// The meter data manager signs too.
    pub mdm: bool,
    /// The claim that is opened or taken in.
    pub claim: Option<ClaimOf>,
    /// Kind and second word of the record.
    pub record: Option<(RecordKind, Subject)>,
    /// Owner commitment.
    pub owner: Change,
    /// Payout address.
    pub payout: Change,
    /// Meter key.
    pub meter: Change,
    /// Terms (not debt and nonce).
    pub terms: Change,
    /// Registers.
    pub registers: Change,
    /// Salts of the leaf.
    pub salts: Change,
    /// A pending substitute becomes final.
    pub finalises: bool,
}

impl Effect {
    const fn nothing(kind: Kind, title: &'static str) -> Self {
        Self {
            kind,
            title,
            flow: Flow::None,
            whole_units: false,
            all_units: false,
            mdm: false,
            claim: None,
            record: None,
            owner: Change::Keep,
            payout: Change::Keep,
            meter: Change::Keep,
            terms: Change::Keep,
            registers: Change::Keep,
            salts: Change::Keep,
            finalises: false,
        }
    }

    /// Does the owner sign? (All but the forced withdrawal, which L1's queue asks for.)
    #[must_use]
    pub const fn owner_signs(&self) -> bool {
        !matches!(self.kind, Kind::Forced)
    }
}

/// One operation, before it is signed. Fields it does not use are zero.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// What it does.
    pub kind: Kind,
    /// Community index.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// The slot's nonce before.
    pub nonce: u32,
    /// Nano-currency.
    pub amount: u64,
    /// Owner commitment: recipient of `send`, new owner of `rotate` and `enrol`.
    #[serde(with = "hex_fr")]
    pub party: Fr,
    /// L1 address: new payout, payout in a claim, or who asked for a forced withdrawal.
    #[serde(with = "hex_bytes")]
    pub payout: [u8; 20],
    /// Salts of a claim (two), or of a new leaf (s1 to s4).
    #[serde(with = "hex_fr::seq")]
    pub salts: [Fr; 4],
    /// New meter.
    pub meter: Option<PublicKey>,
    /// New terms.
    pub terms: Option<Terms>,
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operation").field("kind", &self.kind).field("slot", &self.slot).finish_non_exhaustive()
    }
}

impl Operation {
    /// An operation of `kind` that uses no other field yet.
    #[must_use]
    pub const fn new(kind: Kind, community: u32, slot: u16, nonce: u32) -> Self {
        let (party, salts) = (Fr::ZERO, [Fr::ZERO; 4]);
        Self { kind, community, slot, nonce, amount: 0, party, payout: [0; 20], salts, meter: None, terms: None }
    }

    /// `community | slot<<32 | kind<<48 | nonce<<56`.
    #[must_use]
    pub fn place(&self) -> Fr {
        Fr::from(u64::from(self.community) | u64::from(self.slot) << 32 | (self.kind as u64) << 48)
            + shifted(u64::from(self.nonce), 56)
    }

    /// The elements of the message, in order.
    #[must_use]
    pub fn elements(&self, domain: Fr) -> [Fr; MESSAGE] {
        let (x, y) = self.meter.map_or((Fr::ZERO, Fr::ZERO), |key| key.xy());
        let [sa, sb, sc, sd] = self.salts;
        let terms = self.terms.map_or(Fr::ZERO, |terms| terms.packed());
        [domain, self.place(), Fr::from(self.amount), self.party, reduce(&self.payout), sa, sb, sc, sd, x, y, terms]
    }

    /// What is signed.
    #[must_use]
    pub fn message(&self, domain: Fr) -> Fr {
        sponge(DomainTag::Operation, &self.elements(domain))
    }

    /// The salts of a new leaf.
    #[must_use]
    pub const fn leaf_salts(&self) -> LeafSalts {
        let [s1, s2, s3, s4] = self.salts;
        LeafSalts { exit: [s1, s2], private: [s3, s4] }
    }

    /// Whole units in the amount.
    #[must_use]
    pub const fn units(&self) -> u64 {
        self.amount / UNIT_NANO
    }

    /// The claim that this operation opens for, or takes in as, `recipient`.
    #[must_use]
    pub fn claim(&self, recipient: Fr) -> Fr {
        let [sa, sb, ..] = self.salts;
        claim(recipient, self.amount, &self.payout, [sa, sb])
    }

    /// Signs as the owner; managed operations take the meter data manager's signature later
    /// ([`SignedOperation::countersign`]).
    ///
    /// # Errors
    /// Practically never ([`SchnorrError::Degenerate`]).
    pub fn sign(self, domain: Fr, secret: &SecretKey, owner: OwnerKey) -> Result<SignedOperation, SchnorrError> {
        let signature = secret.sign(DomainTag::Operation, &[self.message(domain)])?;
        Ok(SignedOperation { operation: self, owner, signature, mdm: None })
    }
}

/// `P(recipient, amount + payout 2^64, sa, sb)`: money on its way to an owner, as L1 records it.
#[must_use]
pub fn claim(recipient: Fr, amount: u64, payout: &[u8; 20], [sa, sb]: [Fr; 2]) -> Fr {
    let carried = Fr::from(amount) + reduce::<Fr>(payout) * shifted(1, 64);
    hash4([recipient, carried, sa, sb])
}

/// An operation with its signatures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedOperation {
    /// What is signed.
    pub operation: Operation,
    /// Key of the account's owner (of the new owner, for `enrol`).
    pub owner: OwnerKey,
    /// The owner's.
    pub signature: Signature,
    /// The meter data manager's, where the kind asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mdm: Option<Signature>,
}

impl SignedOperation {
    /// Adds the meter data manager's signature.
    ///
    /// # Errors
    /// Practically never ([`SchnorrError::Degenerate`]).
    pub fn countersign(mut self, domain: Fr, mdm: &SecretKey) -> Result<Self, SchnorrError> {
        self.mdm = Some(mdm.sign(DomainTag::Operation, &[self.operation.message(domain)])?);
        Ok(self)
    }

    /// The claim that it opens or takes in, where its kind has one.
    #[must_use]
    pub fn claim(&self) -> Option<Fr> {
        let recipient = match self.operation.kind.effect().claim? {
            ClaimOf::Owner => self.owner.commitment(),
            ClaimOf::Party => self.operation.party,
        };
        Some(self.operation.claim(recipient))
    }

    /// A forced withdrawal, as the sequencer writes it from L1's queue. Nobody signs it.
    ///
    /// # Errors
    /// Practically never ([`SchnorrError::Degenerate`]).
    pub fn forced(domain: Fr, operation: Operation) -> Result<Self, SchnorrError> {
        operation.sign(domain, &schnorr::empty_slot_key(), nobody())
    }
}

/// The public empty-slot key as an owner: signs for operation slots that nobody signs.
#[must_use]
pub fn nobody() -> OwnerKey {
    OwnerKey { key: schnorr::empty_slot_key().public(), nullifier: Fr::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_the_operations_that_began_with_it_or_before() {
        assert!(effects_of(CircuitVersion::new(1)).is_empty());
        let kinds = effects_of(CircuitVersion::V2).iter().map(|effect| effect.kind as u8);
        assert!(kinds.eq(1..=10), "version 2 never has another operation");
        assert!(effects_of(CircuitVersion::CURRENT).iter().map(|e| e.kind).eq(EFFECTS.map(|e| e.kind)));
        assert_eq!(effects_of(CircuitVersion::new(u64::MAX)).len(), ALL.len());
        for effect in &ALL {
            let since = effect.kind.since().number();
            let has = |number| effects_of(CircuitVersion::new(number)).iter().any(|e| e.kind == effect.kind);
            assert!(has(since) && has(since + 1) && !has(since - 1), "{:?}", effect.kind);
            assert_eq!(effect.kind.effect().kind, effect.kind);
        }
    }
}
