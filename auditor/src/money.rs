//! The rollup's money from records alone: what went in, what came out, and which claims are open.
//!
//! `pool` = deposits taken in + supplier account in - withdrawals - forced withdrawals - supplier account and fee
//! account to the treasury - exits: what L1 holds for the accounts, supplier accounts and fee accounts of all
//! communities together. It may never fall below zero.

use std::collections::BTreeSet;

use gridveil_protocol::{
    field::{Fr, to_bytes},
    record::{Action, Parsed},
    units::Nano,
};
use serde::Serialize;

/// nano in a unit of 0.01.
pub(crate) const UNIT_NANO: i128 = 10_000_000;

/// Sums, in whole units of 0.01; what exits leave is counted in nano.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    /// What the rollup holds now, nano.
    pub pool_nano: Nano,
    /// Taken out of the frozen rollup, nano.
    pub exited_nano: Nano,
    /// Deposits taken in by their owners.
    pub deposited_units: u64,
    /// Paid to payout addresses by withdrawals and closed accounts.
    pub withdrawn_units: u64,
    /// Paid through the forced queue.
    pub forced_units: u64,
    /// From the operator's funds into supplier accounts.
    pub supplier_in_units: u64,
    /// To the treasury: from supplier accounts and fee accounts, in version 2.
    pub treasury_units: u64,
    /// Deposits taken in.
    pub deposits: u64,
    /// Withdrawals and closed accounts.
    pub withdrawals: u64,
    /// Forced entries served, also those that paid nothing.
    pub forced: u64,
    /// Transfers between members that are not taken in yet.
    pub open_transfers: u64,
    /// Certificate notes taken from L1's queue.
    pub notes: u64,
    /// Substituted periods that were corrected.
    pub corrected: u64,
}

/// Currency with two decimals, rounded towards zero.
pub(crate) fn currency(nano: Nano) -> String {
    let units = nano.0 / UNIT_NANO;
    let sign = if units < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", units.unsigned_abs() / 100, units.unsigned_abs() % 100)
}

/// A record that the ones before do not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MoneyError {
    /// More out than in.
    #[error("pays out more than was ever paid in")]
    Pool,
    /// A deposit counted twice.
    #[error("takes in a deposit that was taken in before")]
    DepositAgain,
    /// Two transfers with one claim: only one could be taken in.
    #[error("opens a claim that was used before")]
    SendAgain,
    /// Money from nowhere.
    #[error("takes in a transfer that is not open")]
    NotOpen,
    /// 64 bits of units.
    #[error("moves more units than there can be")]
    Overflow,
}

impl MoneyError {
    pub(crate) const fn clause(self) -> &'static str {
        match self {
            Self::Pool | Self::Overflow => "L1.POOL",
            Self::DepositAgain | Self::SendAgain | Self::NotOpen => "OP.5",
        }
    }
}

/// The account and every claim so far.
#[derive(Default)]
pub(crate) struct Money {
    account: Account,
    open: BTreeSet<[u8; 32]>,
    sent: BTreeSet<[u8; 32]>,
    taken_in: BTreeSet<[u8; 32]>,
}

impl Money {
    pub(crate) const fn account(&self) -> Account {
        self.account
    }

    /// Books an exit from the frozen rollup.
    pub(crate) fn exit(&mut self, nano: u64) -> Result<(), MoneyError> {
        self.account.exited_nano += Nano::from(nano);
        self.account.pool_nano -= Nano::from(nano);
        if self.account.pool_nano < Nano::ZERO { Err(MoneyError::Pool) } else { Ok(()) }
    }

    /// Counts one record. A refused one is counted as well, because L1 has carried it out, and later ones depend on it.
    pub(crate) fn book(&mut self, record: &Parsed) -> Result<(), MoneyError> {
        let (account, units) = (&mut self.account, record.units);
        let claim = |w1: &Fr| to_bytes(w1);
        let (sum, count, sign): (&mut u64, Option<&mut u64>, i128) = match record.kind.action() {
            Action::TakeDeposit => (&mut account.deposited_units, Some(&mut account.deposits), 1),
            Action::PayAccount => (&mut account.withdrawn_units, Some(&mut account.withdrawals), -1),
            Action::ServeForced => (&mut account.forced_units, Some(&mut account.forced), -1),
            Action::FundPool => (&mut account.supplier_in_units, None, 1),
            Action::PayTreasury => (&mut account.treasury_units, None, -1),
            Action::OpenClaim => {
                account.open_transfers += 1;
                let new = self.sent.insert(claim(&record.w1)) & self.open.insert(claim(&record.w1));
                return if new { Ok(()) } else { Err(MoneyError::SendAgain) };
            }
            Action::TakeClaim => {
                let open = self.open.remove(&claim(&record.w1));
                account.open_transfers = account.open_transfers.saturating_sub(u64::from(open));
                return if open { Ok(()) } else { Err(MoneyError::NotOpen) };
            }
            Action::AppendNote => {
                account.notes += 1;
                return Ok(());
            }
            Action::Correct => {
                account.corrected += 1;
                return Ok(());
            }
            Action::Begin => return Ok(()),
        };
        *sum = sum.checked_add(units).ok_or(MoneyError::Overflow)?;
        if let Some(count) = count {
            *count += 1;
        }
        account.pool_nano += Nano(sign * i128::from(units) * UNIT_NANO);
        if record.kind.action() == Action::TakeDeposit && !self.taken_in.insert(claim(&record.w1)) {
            return Err(MoneyError::DepositAgain);
        }
        if account.pool_nano < Nano::ZERO { Err(MoneyError::Pool) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gridveil_protocol::record::RecordKind;

    fn record(kind: RecordKind, units: u64, w1: u64) -> Parsed {
        Parsed { kind, units, extra: 0, w1: Fr::from(w1) }
    }

    #[test]
    fn money_comes_in_before_it_goes_out() {
        let mut money = Money::default();
        assert_eq!(money.book(&record(RecordKind::Withdraw, 1, 0)), Err(MoneyError::Pool));
        let mut money = Money::default();
        for (kind, units) in [
            (RecordKind::Deposit, 500),
            (RecordKind::SupplierIn, 70),
            (RecordKind::Withdraw, 300),
            (RecordKind::Forced, 20),
            (RecordKind::SupplierOut, 5),
            (RecordKind::FeeOut, 4),
        ] {
            assert_eq!(money.book(&record(kind, units, 9)), Ok(()), "{kind:?}");
        }
        let account = money.account();
        assert_eq!(
            (account.pool_nano, account.treasury_units, account.deposits, account.forced),
            (Nano(241 * UNIT_NANO), 9, 1, 1)
        );
        assert_eq!(money.book(&record(RecordKind::SupplierOut, 242, 0)), Err(MoneyError::Pool));
        assert_eq!(money.book(&record(RecordKind::Deposit, 1, 9)), Err(MoneyError::DepositAgain));
        assert_eq!(currency(Nano(-1234 * UNIT_NANO - 1)), "-12.34");
    }

    /// Every kind changes the sums, except a community's beginning.
    #[test]
    fn no_kind_is_passed_over() {
        for kind in RecordKind::ALL {
            let mut money = Money::default();
            _ = money.book(&record(RecordKind::SupplierIn, 5, 0));
            _ = money.book(&record(RecordKind::Send, 0, 5));
            let before = money.account();
            _ = money.book(&record(kind, u64::from(kind.has_units()), 5));
            assert_eq!(money.account() == before, kind == RecordKind::Init, "{kind:?}");
        }
    }

    #[test]
    fn a_transfer_is_taken_in_once() {
        let mut money = Money::default();
        assert_eq!(money.book(&record(RecordKind::Receive, 0, 5)), Err(MoneyError::NotOpen));
        assert_eq!(money.book(&record(RecordKind::Send, 0, 5)), Ok(()));
        assert_eq!(money.account().open_transfers, 1);
        assert_eq!(money.book(&record(RecordKind::Receive, 0, 5)), Ok(()));
        assert_eq!(money.account().open_transfers, 0);
        assert_eq!(money.book(&record(RecordKind::Receive, 0, 5)), Err(MoneyError::NotOpen));
        assert_eq!(money.book(&record(RecordKind::Send, 0, 5)), Err(MoneyError::SendAgain));
    }
}
