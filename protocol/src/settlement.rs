//! The one state transition: settle one community for one period (`docs/spec/settlement.md`).
//!
//! [`apply`] checks the input, clears the market, computes, and checks the outcome. It refuses clause by clause, in the
//! order of [`SettlementError`]. [`compute()`] follows the same rules for any input and refuses nothing. The circuit
//! proves what `apply` accepts; tests feed the circuit what it refuses.

pub mod batch_builder;
mod check;
mod clearing;
mod compute;
mod error;
mod input;
mod outcome;

pub use check::{check_input, check_outcome};
pub use clearing::{clear_all, orders};
pub use compute::{compute, compute_with};
pub use error::SettlementError;
pub use input::SettlementInput;
pub use outcome::Outcome;

use crate::{
    account::Account,
    community::Community,
    field::Fr,
    instance::Instance,
    market::{Clearing, Mechanism},
    note::Note,
    operation_slots::Applied,
    params::CERTIFICATES_DEPTH,
    tree::Children,
    units::Nano,
};

/// Settles: the one native state transition. The market is cleared here, once an interval; [`Transition::clearings`]
/// carries it to whoever needs it.
///
/// # Errors
/// [`SettlementError`], the first clause that refuses.
pub fn apply(input: SettlementInput) -> Result<Transition, SettlementError> {
    check_input(&input)?;
    let clearings = clear_all(&input)?;
    let transition = compute_with(input, clearings);
    check_outcome(&transition)?;
    Ok(transition)
}

/// A computed settlement: the statement's witness and everything the sequencer stores and publishes.
#[derive(Clone, PartialEq, Eq)]
pub struct Transition {
    /// What it was computed from.
    pub input: SettlementInput,
    /// One an interval.
    pub clearings: Vec<Clearing>,
    /// One a slot.
    pub outcomes: Vec<Outcome>,
    /// One a slot.
    pub notes: Vec<Note>,
    /// Supplier account before range checks, nano.
    pub supplier_after: Nano,
    /// Fee account before range checks, nano.
    pub fee_account_after: Nano,
    /// Accounts when the period is settled, before the operation slots.
    pub settled: Vec<Account>,
    /// The operation slots.
    pub applied: Applied,
    /// Root of the notes of this period.
    pub notes_root: Fr,
    /// The community after.
    pub after: Community,
    /// Opening of the append position in the certificates tree before.
    pub certificate_path: Vec<Children>,
    /// The data vector d for L1.
    pub data: Vec<Fr>,
    /// Public inputs.
    pub instance: Instance,
}

impl std::fmt::Debug for Transition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transition").field("slots", &self.outcomes.len()).finish_non_exhaustive()
    }
}

const _: () = assert!(CERTIFICATES_DEPTH < 32 && Mechanism::Auction as u8 == 0);

#[cfg(test)]
#[path = "settlement_tests.rs"]
mod tests;
