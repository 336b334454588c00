//! What the vault owes, by its events, against what it has.
//!
//! ```text
//! token balance >= (open deposits + supplier funds) token_per_unit + pool token_per_unit / 10^7 + withdrawable
//! coin balance  >= bonds of requests that wait + bonds to give back
//! ```
//!
//! The pool is what the accounts, supplier accounts and fee accounts of all communities have, with the claims that are
//! sent and not received: their balances are hidden, their sum is not.

use std::collections::BTreeMap;

use gridveil_protocol::units::Nano;
use gridveil_verifier_contract::{Address, RollupEffect as Effect, Vault};

use super::Ledger;
use crate::money::UNIT_NANO;

/// Records that pay to the treasury.
const TO_TREASURY: [u8; 2] = [17, 18];

/// What accounts may fetch.
#[derive(Default)]
pub(super) struct Owed {
    /// Smallest parts of the token.
    tokens: BTreeMap<Address, u128>,
    /// Wei.
    coin: BTreeMap<Address, u128>,
}

impl Owed {
    /// A bond is owed to who paid it.
    pub(super) fn bond(&mut self, payer: Address, bond: u128) {
        *self.coin.entry(payer).or_default() += bond;
    }
}

impl Ledger<'_> {
    /// Books what an effect makes the vault owe to an account, or pays it.
    pub(super) fn owe(&mut self, effect: &Effect) {
        let Some(terms) = &self.settled.terms else { return };
        let (per_unit, treasury) = (terms.token_per_unit, terms.treasury.0);
        if let Some((account, amount)) = credited(effect, per_unit, treasury) {
            *self.owed.tokens.entry(account).or_default() += amount;
        }
        // After the freeze. That of a request which was paid is booked with the request, which knows its payer.
        if let Effect::BondReturned { payer, bond, .. } = *effect {
            self.owed.bond(payer, bond);
        }
        if let Effect::Exited { balance, amount, .. }
        | Effect::ClaimExited { balance, amount, .. }
        | Effect::RestSwept { balance, amount } = *effect
        {
            let due = u128::from(balance) * u128::from(per_unit) / UNIT_NANO.unsigned_abs();
            self.require(amount == due, "EXIT.6", || {
                format!("an exit of {balance} nano is paid {amount} parts of the token, and not {due}")
            });
        }
        // An account is paid all that it is owed.
        if let Effect::Withdrawn { account, amount } = *effect {
            let owed = self.owed.tokens.remove(&account).unwrap_or_default();
            self.require(owed == amount, "VAULT.10", || {
                format!("{amount} parts of the token are paid to an account that is owed {owed}")
            });
        }
        if let Effect::EthWithdrawn { account, amount } = *effect {
            let owed = self.owed.coin.remove(&account).unwrap_or_default();
            self.require(owed == amount, "VAULT.10", || {
                format!("{amount} wei of bonds are paid to an account that is owed {owed}")
            });
        }
    }

    /// The contract's own sums against the events', and what it has against what it owes.
    pub(super) fn solvent(&mut self, vault: &Vault) {
        let pool = self.money.account().pool_nano;
        self.require(Nano::from(vault.pool_nano) == pool, "L1.POOL", || {
            format!("the contract's pool is {} nano, the records come to {}", vault.pool_nano, pool.0)
        });
        self.books.pool_compared = true;
        let open = self.books.open_units;
        self.require(vault.open_units == open, "VAULT.5", || {
            format!("the contract has {} units of open deposits, its events come to {open}", vault.open_units)
        });
        let Some(per_unit) = self.settled.terms.as_ref().map(|terms| u128::from(terms.token_per_unit)) else { return };
        let bonds: u128 = self.forced.values().flatten().map(|request| request.bond).sum();
        let units = u128::from(open) + u128::from(self.books.supplier_funds_units);
        let of_pool = pool.0.max(0).unsigned_abs() * per_unit / UNIT_NANO.unsigned_abs();
        let books = &mut self.books;
        books.withdrawable = self.owed.tokens.values().sum();
        books.owed = units * per_unit + of_pool + books.withdrawable;
        books.held = vault.token_balance;
        books.owed_wei = self.owed.coin.values().sum::<u128>() + bonds;
        books.held_wei = vault.coin_balance;
        books.solvency_compared = true;
        let books = self.books;
        self.require(books.held >= books.owed, "VAULT.11", || {
            format!(
                "the vault has {} parts of the token and owes {}: {} are missing",
                books.held,
                books.owed,
                books.owed.saturating_sub(books.held)
            )
        });
        self.require(books.held_wei >= books.owed_wei, "VAULT.11", || {
            format!("the vault has {} wei and owes bonds of {}", books.held_wei, books.owed_wei)
        });
    }
}

/// Who may fetch more of the token because of an effect, and how much.
fn credited(effect: &Effect, per_unit: u64, treasury: Address) -> Option<(Address, u128)> {
    let parts = |units: u64| u128::from(units) * u128::from(per_unit);
    if let Effect::WithdrawalCredited { account, units } | Effect::ForcedServed { requester: account, units, .. } =
        *effect
    {
        return Some((account, parts(units)));
    }
    if let Effect::Exited { payout, amount, .. } | Effect::ClaimExited { payout, amount, .. } = *effect {
        return Some((payout, amount));
    }
    if let Effect::RestSwept { amount, .. } = *effect {
        return Some((treasury, amount));
    }
    if let Effect::SupplierUnfunded { units } = *effect {
        return Some((treasury, parts(units)));
    }
    if let Effect::SupplierMoved { kind, units, .. } = *effect
        && TO_TREASURY.contains(&kind)
    {
        return Some((treasury, parts(units)));
    }
    None
}
