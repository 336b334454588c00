//! Every check of a settlement: of its input, and of its outcome.

use super::{SettlementError, SettlementInput, Transition};
use crate::{
    field::Fr,
    header::Totals,
    operation_slots::OperationsError,
    packet::check_packet,
    params::{REGISTER_BITS, STATE_DEPTH},
    tree::path_root,
    units::{Interval, Nano, Wh},
};
use ark_ff::AdditiveGroup;

/// Everything that can be refused before the market is cleared.
///
/// # Errors
/// [`SettlementError`].
pub fn check_input(input: &SettlementInput) -> Result<(), SettlementError> {
    let community = &input.community;
    let expected = community.shape.members;
    if input.packets.len() != expected || community.accounts.len() != expected {
        return Err(SettlementError::PacketCount { expected, got: input.packets.len() });
    }
    let (m, tariff) = (community.shape.intervals, input.tariff.intervals.len());
    let context = input.context();
    for (slot, (account, signed)) in community.accounts.iter().zip(&input.packets).enumerate() {
        check_packet(&context, slot, account, &community.header.mdm, signed, m)?;
    }
    let debts: u128 = community.accounts.iter().map(|a| u128::from(a.debt)).sum();
    if debts != u128::from(community.header.totals.debt) {
        return Err(SettlementError::DebtTotal);
    }
    let end = u64::from(community.header.next_interval) + m as u64;
    if end > Interval::MAX.into() || usize::from(community.header.intervals) != m {
        return Err(SettlementError::PeriodOverflow);
    }
    if tariff != m {
        return Err(SettlementError::TariffLength { expected: m, got: tariff });
    }
    Ok(())
}

/// Everything that can be refused once it is computed.
///
/// # Errors
/// [`SettlementError`].
pub fn check_outcome(t: &Transition) -> Result<(), SettlementError> {
    check_operations(t)?;
    check_money(t)?;
    check_registers(t)?;
    if saturated(&t.after.header.totals) {
        return Err(SettlementError::TotalOverflow);
    }
    check_places(t)
}

fn check_operations(t: &Transition) -> Result<(), OperationsError> {
    let (operations, context, before) = (&t.input.operations, t.input.context(), &t.input.community);
    operations.check(before, &context, &t.applied)?;
    let pools = (t.supplier_after, t.fee_account_after);
    operations.header.check(context.domain, before.index, &before.header, &t.after.header, pools)?;
    Ok(())
}

/// SETTLE.8: balances and pools fit.
fn check_money(t: &Transition) -> Result<(), SettlementError> {
    for (slot, outcome) in t.outcomes.iter().enumerate() {
        if !outcome.value.fits() {
            return Err(SettlementError::BalanceOverflow { slot });
        }
    }
    if t.supplier_after < Nano::ZERO {
        return Err(SettlementError::SupplierTooSmall { missing: -t.supplier_after });
    }
    if !t.supplier_after.fits() {
        return Err(SettlementError::TotalOverflow);
    }
    if t.fee_account_after < Nano::ZERO || !t.fee_account_after.fits() {
        return Err(SettlementError::FeeAccount);
    }
    Ok(())
}

/// SETTLE.9.
fn check_registers(t: &Transition) -> Result<(), SettlementError> {
    // The settled account is checked first: closing it must not hide a register that left its bits.
    for (slot, account) in t.settled.iter().enumerate().chain(t.after.accounts.iter().enumerate()) {
        let r = &account.registers;
        if [r.import, r.export, r.bought, r.sold].into_iter().any(|wh| !wh.fits(REGISTER_BITS)) {
            return Err(SettlementError::RegisterOverflow { slot });
        }
    }
    Ok(())
}

/// SETTLE.11. Totals saturate while they are computed, so the largest number is an overflow and no total.
fn saturated(n: &Totals) -> bool {
    let energy = [n.import, n.export, n.traded, n.issued, n.retired, n.outstanding, n.substituted_wh];
    energy.contains(&Wh::MAX) || [n.debt, n.substituted_packets, n.corrected].contains(&u64::MAX)
}

/// SETTLE.13: the places in the certificates tree and in the state tree.
fn check_places(t: &Transition) -> Result<(), SettlementError> {
    let count = t.input.community.header.certificate_count;
    let tree = &t.input.community.certificates;
    if count >= tree.capacity() || tree.leaf(count) != Fr::ZERO || (count > 0 && tree.leaf(count - 1) == Fr::ZERO) {
        return Err(SettlementError::Certificates);
    }
    let leads = path_root(t.input.old_node(), u64::from(t.input.community.index), &t.input.state_path);
    if t.input.state_path.len() != STATE_DEPTH || leads != Some(t.instance.old_root) {
        return Err(SettlementError::StatePath);
    }
    Ok(())
}
