//! Operations as a member signs them, from the account as the wallet knows it (`docs/spec/operations.md`). They are not
//! signed if a settlement would surely refuse them. What depends on the bill of the open period, only the settlement
//! can refuse.

pub mod close;
pub mod deposit;
pub mod enrol;
pub mod plain;
pub mod receive;
pub mod replace;
pub mod rotate;
pub mod send;
pub mod terms;
pub mod withdraw;

use gridveil_protocol::{
    account::Account,
    field::{Fr, hex_fr, reduce},
    hex::hex_bytes,
    operation::{
        Kind, Operation, SignedOperation, claim, nobody,
        slot::{OperationError, OperationSlot},
    },
    owner::owner_of,
    params::{UNIT_NANO, UNITS_BITS},
    schnorr::{SchnorrError, SecretKey},
    units::{Interval, Nano},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Most pending operations of one slot. The sequencer refuses more.
pub const MAX_WAITING: usize = 4;

/// Why an operation is not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Nobody's account.
    #[error("the slot is empty: there is no account to operate on")]
    Empty,
    /// An account is there already.
    #[error("the slot has an account already")]
    InUse,
    /// The key is not the account's.
    #[error("the owner key of this key file is not the account's (was it rotated?)")]
    NotOwner,
    /// Four wait.
    #[error("{MAX_WAITING} operations of this account wait already: wait for the next settlement")]
    TooManyWaiting,
    /// Nothing moves.
    #[error("the amount is zero")]
    ZeroAmount,
    /// Parts of a unit.
    #[error("{} is not a whole number of hundredths: only those cross L1", Nano(i128::from(*.amount_nano)))]
    NotWholeUnits {
        /// Nano.
        amount_nano: u64,
    },
    /// 48 bits of units.
    #[error("the amount is more than L1 can carry at once")]
    TooMuch,
    /// Debts are paid first.
    #[error("the account owes {}: an account in debt pays nothing out", Nano(i128::from(*.debt_nano)))]
    InDebt {
        /// Nano.
        debt_nano: u64,
    },
    /// More than there is.
    #[error("the balance is {}, operations that wait included", Nano(i128::from(*.balance_nano)))]
    Insufficient {
        /// Nano.
        balance_nano: u64,
    },
    /// Money would go to nobody.
    #[error("the account has no payout address: give it one with `rotate` first")]
    NoPayout,
    /// A claim for somebody else.
    #[error("the claim is for another owner key than the account's")]
    NotForThisAccount,
    /// Claims that only the old key could take in.
    #[error(
        "{open} incoming claims are not taken in yet: they are for the present key, take them in before it is rotated"
    )]
    OpenClaims {
        /// How many.
        open: usize,
    },
    /// Rotation to the same key and payout.
    #[error("that is the account's owner key already")]
    SameOwner,
    /// Replacement by the same meter.
    #[error("that is the account's meter already")]
    SameMeter,
    /// The period that is open may still bill the account.
    #[error(
        "the account is active until interval {until}: close it in a period that begins then or later (now {open}), when its balance is known"
    )]
    StillActive {
        /// First interval without readings.
        until: Interval,
        /// First interval of the open period.
        open: Interval,
    },
    /// Closing names the exact balance.
    #[error("other operations wait: close the account when they are settled")]
    Waiting,
    /// Scale or class.
    #[error("scale is 1, 10 or 100 and class 0 or 1")]
    Terms,
    /// Nobody is named.
    #[error("no recipient is named")]
    NoRecipient,
    /// A settlement would refuse it.
    #[error(transparent)]
    Rules(#[from] OperationError),
    /// No randomness.
    #[error("the operating system gives no randomness")]
    Randomness,
    /// Signing failed.
    #[error(transparent)]
    Signature(#[from] SchnorrError),
}

/// Money on its way to an owner: the opening of a claim on L1. Whoever holds it knows amount and recipient.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Owner commitment.
    #[serde(with = "hex_fr")]
    pub recipient: Fr,
    /// Nano.
    pub amount: u64,
    /// Paid by L1 if the rollup is frozen before the claim is taken in.
    #[serde(with = "hex_bytes")]
    pub payout: [u8; 20],
    /// sa, sb.
    #[serde(with = "hex_fr::seq")]
    pub salts: [Fr; 2],
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Claim(hidden)")
    }
}

impl Claim {
    /// With fresh salts.
    ///
    /// # Errors
    /// [`BuildError::Randomness`].
    pub fn new(recipient: Fr, amount: u64, payout: [u8; 20]) -> Result<Self, BuildError> {
        let [sa, sb, ..] = fresh_salts()?;
        Ok(Self { recipient, amount, payout, salts: [sa, sb] })
    }

    /// What L1 has of it.
    #[must_use]
    pub fn commitment(&self) -> Fr {
        claim(self.recipient, self.amount, &self.payout, self.salts)
    }
}

/// Four fresh field elements.
pub(crate) fn fresh_salts() -> Result<[Fr; 4], BuildError> {
    let random = Zeroizing::new(gridveil_keystore::random::<256>().map_err(|_| BuildError::Randomness)?);
    let mut blocks = random.chunks(64).map(reduce::<Fr>);
    Ok(std::array::from_fn(|_| blocks.next().unwrap_or_default()))
}

/// Who signs, and for which account.
#[derive(Clone)]
pub struct Actor<'a> {
    /// What is signed under ([`Actor::under`]).
    pub domain: Fr,
    /// Community index.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// Owner's key.
    pub secret: &'a SecretKey,
    /// The account, as the operations that wait will leave it.
    pub account: Account,
    /// How many wait.
    pub waiting: usize,
    /// First interval of the period that is settled next.
    pub open_interval: Interval,
}

impl std::fmt::Debug for Actor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Actor").field("slot", &self.slot).field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl Actor<'_> {
    /// Signs under this domain: that of the open period, whose batch is to take the operation in.
    #[must_use]
    pub fn under(self, domain: Fr) -> Self {
        Self { domain, ..self }
    }

    /// An operation of the account's owner, empty still.
    fn draft(&self, kind: Kind) -> Result<Operation, BuildError> {
        if self.account.meter.is_none() {
            return Err(BuildError::Empty);
        }
        if self.account.owner != owner_of(self.secret).commitment() {
            return Err(BuildError::NotOwner);
        }
        self.room()?;
        Ok(Operation::new(kind, self.community, self.slot, self.account.nonce))
    }

    const fn room(&self) -> Result<(), BuildError> {
        if self.waiting >= MAX_WAITING { Err(BuildError::TooManyWaiting) } else { Ok(()) }
    }

    /// May this much leave the account?
    const fn check_out(&self, amount_nano: u64) -> Result<(), BuildError> {
        let Account { balance, debt, .. } = self.account;
        if debt > 0 {
            return Err(BuildError::InDebt { debt_nano: debt });
        }
        if amount_nano > balance { Err(BuildError::Insufficient { balance_nano: balance }) } else { Ok(()) }
    }

    /// Signs what the rules accept as far as it can be known.
    fn sign(&self, operation: Operation) -> Result<SignedOperation, BuildError> {
        let signed = operation.sign(self.domain, self.secret, owner_of(self.secret))?;
        if !operation.kind.effect().mdm {
            let operation_slot = OperationSlot::compute(&self.account, &signed);
            operation_slot.check(&self.account, &signed, self.domain, self.community, &nobody().key)?;
        }
        Ok(signed)
    }
}

/// Whole units that L1 can carry.
const fn check_units(amount_nano: u64) -> Result<(), BuildError> {
    if amount_nano == 0 {
        return Err(BuildError::ZeroAmount);
    }
    if !amount_nano.is_multiple_of(UNIT_NANO) {
        return Err(BuildError::NotWholeUnits { amount_nano });
    }
    if (amount_nano / UNIT_NANO) >> UNITS_BITS != 0 { Err(BuildError::TooMuch) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
