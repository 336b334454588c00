//! An operation slot: one operation applied to one leaf. [`OperationSlot::compute`] follows the rules for any input;
//! [`OperationSlot::check`] refuses.

use super::{Change, ClaimOf, Effect, Flow, Kind, SignedOperation, Subject};
use crate::{
    account::{Account, Registers, Terms},
    field::{Fr, reduce},
    params::{UNIT_NANO, UNITS_BITS},
    poseidon::DomainTag,
    record::Record,
    schnorr::{self, PublicKey, SchnorrError},
    units::Nano,
};
use ark_ff::AdditiveGroup;

/// Why an operation is refused: clause, what, whose fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// The owner's signature does not verify.
    #[error("OP.1: {0} (owner)")]
    Signature(SchnorrError),
    /// Signed by a key that is not the account's owner.
    #[error("OP.1: the key is not the account's owner (owner)")]
    NotOwner,
    /// Signed for another nonce: a replay, or out of order.
    #[error("OP.1: nonce {got}, the slot is at {expected} (owner)")]
    Nonce {
        /// The slot's.
        expected: u32,
        /// The operation's.
        got: u32,
    },
    /// The nonce cannot advance.
    #[error("OP.1: the slot's nonce is used up (owner)")]
    NonceOverflow,
    /// The meter data manager's signature is missing or does not verify.
    #[error("OP.2: the meter data manager has not signed this operation (meter data manager)")]
    Mdm,
    /// Another community, or no such slot.
    #[error("OP.3: no such slot in this community (owner)")]
    Slot,
    /// A field that the operation does not use is set, or one it needs is missing.
    #[error("OP.9: {0} is set and not used, or needed and missing (owner)")]
    Field(&'static str),
    /// Not a whole number of units, or too many.
    #[error("OP.4: the amount is not a whole number of units (owner)")]
    Units,
    /// More than the balance.
    #[error("OP.4: the amount is more than the balance (owner)")]
    Insufficient,
    /// The account is in debt.
    #[error("OP.4: an account in debt pays nothing out (owner)")]
    InDebt,
    /// The balance leaves 64 bits.
    #[error("OP.4: the balance leaves 64 bits (owner)")]
    Overflow,
    /// `close` must pay exactly all whole units.
    #[error("OP.6: closing pays all whole units of the balance, no more and no less (owner)")]
    NotAll,
    /// A forced withdrawal must pay everything, or nothing where the requester is not the payout address.
    #[error(
        "OP.7: a forced withdrawal pays all whole units to the payout address, or nothing to anybody else (sequencer)"
    )]
    Forced,
    /// The slot is in use.
    #[error("OP.8: the slot is in use (meter data manager)")]
    NotEmpty,
    /// Scale or class do not exist.
    #[error("OP.9: scale is 1, 10 or 100 and class 0 or 1 (meter data manager)")]
    Terms,
}

impl OperationError {
    /// Clause id.
    #[must_use]
    pub const fn clause(&self) -> &'static str {
        match self {
            Self::Signature(_) | Self::NotOwner | Self::Nonce { .. } | Self::NonceOverflow => "OP.1",
            Self::Mdm => "OP.2",
            Self::Slot => "OP.3",
            Self::Units | Self::Insufficient | Self::InDebt | Self::Overflow => "OP.4",
            Self::NotAll => "OP.6",
            Self::Forced => "OP.7",
            Self::NotEmpty => "OP.8",
            Self::Field(_) | Self::Terms => "OP.9",
        }
    }
}

/// What an operation slot came to.
#[derive(Clone, PartialEq, Eq)]
pub struct OperationSlot {
    /// The leaf after.
    pub after: Account,
    /// What L1 sees of it.
    pub record: Option<Record>,
    /// Paid to the supplier account: the rest of a closed balance, nano. Negative only for an operation that
    /// [`OperationSlot::check`] refuses.
    pub rest: Nano,
    /// `balance - debt` after, before it is split.
    pub value: Nano,
}

impl std::fmt::Debug for OperationSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OperationSlot(hidden)")
    }
}

impl OperationSlot {
    /// The operation slot of an operation on `before`, whether the rules accept it or not.
    #[must_use]
    pub fn compute(before: &Account, signed: &SignedOperation) -> Self {
        let (operation, effect) = (&signed.operation, signed.operation.kind.effect());
        let amount = Nano::from(operation.amount);
        let rest = if effect.kind == Kind::Close { Nano::from(before.balance) - amount } else { Nano::ZERO };
        let moved = match effect.flow {
            Flow::None => Nano::ZERO,
            Flow::In => amount,
            Flow::Out => -amount - rest,
        };
        let value = before.value() + moved;
        let mut after = before.clone();
        match effect.terms {
            Change::Keep => {}
            Change::Set => after.terms = operation.terms.unwrap_or_default(),
            Change::Clear => after.terms = Terms::EMPTY,
        }
        after.set_value(value);
        after.nonce = before.nonce.saturating_add(u32::from(effect.owner_signs()));
        after.owner = changed(effect.owner, before.owner, operation.party, Fr::ZERO);
        after.payout = changed(effect.payout, before.payout, operation.payout, [0; 20]);
        after.meter = changed(effect.meter, before.meter, operation.meter, None);
        after.registers = changed(effect.registers, before.registers, before.registers, Registers::default());
        after.salts = changed(effect.salts, before.salts, operation.leaf_salts(), before.salts);
        if effect.finalises {
            after.pending_substitute = Fr::ZERO;
        }
        Self { after, record: record(before, signed, effect), rest, value }
    }

    /// Everything that can be refused, in the order of the clauses.
    ///
    /// # Errors
    /// [`OperationError`].
    pub fn check(
        &self,
        before: &Account,
        signed: &SignedOperation,
        domain: Fr,
        community: u32,
        mdm: &PublicKey,
    ) -> Result<(), OperationError> {
        let (operation, effect) = (&signed.operation, signed.operation.kind.effect());
        if operation.community != community {
            return Err(OperationError::Slot);
        }
        check_fields(signed, effect)?;
        // Nonce and signature of a forced operation slot have no meaning: L1's queue asks for it.
        if effect.owner_signs() {
            check_owner(before, signed, domain, effect)?;
        }
        if effect.mdm {
            let signature = signed.mdm.as_ref().ok_or(OperationError::Mdm)?;
            schnorr::verify(DomainTag::Operation, mdm, &[operation.message(domain)], signature)
                .map_err(|_| OperationError::Mdm)?;
        }
        self.check_money(before, signed, effect)?;
        if effect.kind == Kind::Enrol && before.meter.is_some() {
            return Err(OperationError::NotEmpty);
        }
        if operation.terms.is_some_and(|terms| !terms.exist()) {
            return Err(OperationError::Terms);
        }
        Ok(())
    }

    fn check_money(&self, before: &Account, signed: &SignedOperation, effect: &Effect) -> Result<(), OperationError> {
        let operation = &signed.operation;
        if effect.whole_units && (!operation.amount.is_multiple_of(UNIT_NANO) || operation.units() >> UNITS_BITS != 0) {
            return Err(OperationError::Units);
        }
        let all = before.balance - before.balance % UNIT_NANO;
        if effect.kind == Kind::Forced {
            let due = if operation.payout == before.payout { all } else { 0 };
            return if operation.amount == due { Ok(()) } else { Err(OperationError::Forced) };
        }
        if effect.kind == Kind::Close && operation.amount != all {
            return Err(OperationError::NotAll);
        }
        if effect.flow == Flow::Out && before.debt != 0 {
            return Err(OperationError::InDebt);
        }
        if effect.flow == Flow::Out && self.value < Nano::ZERO {
            return Err(OperationError::Insufficient);
        }
        if self.value.fits() { Ok(()) } else { Err(OperationError::Overflow) }
    }
}

const fn used(change: Change) -> bool {
    matches!(change, Change::Set)
}

/// A message says nothing that the operation does not do.
fn check_fields(signed: &SignedOperation, effect: &Effect) -> Result<(), OperationError> {
    let o = &signed.operation;
    let require = |holds: bool, field| if holds { Ok(()) } else { Err(OperationError::Field(field)) };
    require(effect.flow != Flow::None || o.amount == 0, "amount")?;
    let party = used(effect.owner) || effect.claim == Some(ClaimOf::Party);
    require(party == (o.party != Fr::ZERO), "party")?;
    let payout = used(effect.payout) || effect.claim.is_some() || effect.kind == Kind::Forced;
    require(payout || o.payout == [0; 20], "payout")?;
    require(used(effect.meter) == o.meter.is_some(), "meter")?;
    require(used(effect.terms) == o.terms.is_some(), "terms")?;
    let salts = if used(effect.salts) {
        4
    } else if effect.claim.is_some() {
        2
    } else {
        0
    };
    require(o.salts.iter().skip(salts).all(|s| *s == Fr::ZERO), "salts")?;
    require(effect.mdm == signed.mdm.is_some(), "the meter data manager's signature")
}

/// OP.1.
fn check_owner(before: &Account, signed: &SignedOperation, domain: Fr, effect: &Effect) -> Result<(), OperationError> {
    let operation = &signed.operation;
    let owner = if effect.kind == Kind::Enrol { operation.party } else { before.owner };
    // An empty slot has owner 0, which is the commitment of no key.
    if signed.owner.commitment() != owner {
        return Err(OperationError::NotOwner);
    }
    if operation.nonce != before.nonce {
        return Err(OperationError::Nonce { expected: before.nonce, got: operation.nonce });
    }
    if before.nonce == u32::MAX {
        return Err(OperationError::NonceOverflow);
    }
    schnorr::verify(DomainTag::Operation, &signed.owner.key, &[operation.message(domain)], &signed.signature)
        .map_err(OperationError::Signature)
}

fn changed<T>(change: Change, keep: T, set: T, clear: T) -> T {
    match change {
        Change::Keep => keep,
        Change::Set => set,
        Change::Clear => clear,
    }
}

fn record(before: &Account, signed: &SignedOperation, effect: &Effect) -> Option<Record> {
    let operation = &signed.operation;
    let (kind, subject) = effect.record?;
    let recipient = if effect.claim == Some(ClaimOf::Party) { operation.party } else { before.owner };
    let (extra, w1) = match subject {
        Subject::Claim => (0, operation.claim(recipient)),
        Subject::Payout => (0, reduce(&before.payout)),
        Subject::Requester => (u32::from(operation.slot), reduce(&operation.payout)),
    };
    let units = if effect.whole_units { operation.units() } else { 0 };
    Some(Record::new(kind, units, extra, w1))
}

#[cfg(test)]
#[path = "slot_tests.rs"]
mod tests;
