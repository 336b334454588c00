//! Computes a transition by the rules, for any input. [`super::check_outcome`] refuses what does not fit.

use super::{
    SettlementInput, Transition,
    clearing::clear_any,
    outcome::{Outcome, advance, earns, note, outcome},
};
use crate::{
    account::Account,
    community::{self, Community},
    correction::Corrected,
    field::Fr,
    header::{Header, Totals},
    instance::{Instance, data_challenge, data_evaluation, period},
    market::Clearing,
    note::Note,
    operation_slots::{Applied, queue_root},
    poseidon::hash4,
    record::{digest, words},
    tree::{dense_root, replaced_root},
    units::{Nano, Wh},
};
use ark_ff::AdditiveGroup;

/// Computes the transition without refusing anything. [`super::apply`] clears and checks.
#[must_use]
pub fn compute(input: SettlementInput) -> Transition {
    let clearings = clear_any(&input);
    compute_with(input, clearings)
}

/// The transition of given clearings. Tests use it to build transitions of unfair clearings.
#[must_use]
pub fn compute_with(input: SettlementInput, clearings: Vec<Clearing>) -> Transition {
    SettledPeriod::compute(input, clearings).complete()
}

/// A settled period, before the operations that follow it.
#[derive(Clone)]
pub(super) struct SettledPeriod {
    /// What it was computed from. The operations in it are applied by [`Self::complete`].
    pub input: SettlementInput,
    /// One an interval.
    pub clearings: Vec<Clearing>,
    /// One a slot.
    pub outcomes: Vec<Outcome>,
    /// One a slot, after the period.
    pub accounts: Vec<Account>,
    /// One a slot.
    pub notes: Vec<Note>,
}

impl SettledPeriod {
    /// Bills every slot by the clearings.
    pub fn compute(input: SettlementInput, clearings: Vec<Clearing>) -> Self {
        let old = &input.community;
        let outcomes: Vec<Outcome> = (0..old.accounts.len()).map(|slot| outcome(&input, &clearings, slot)).collect();
        let slots = old.accounts.iter().zip(&input.packets).zip(&outcomes);
        let accounts = slots.map(|((a, p), o)| advance(a, p, o, &old.header.mdm)).collect();
        let notes = (0..).zip(&outcomes).filter_map(|(slot, outcome)| note(&input, slot, outcome)).collect();
        Self { input, clearings, outcomes, accounts, notes }
    }

    /// What a transition was completed from, for other operations.
    pub fn reopened(transition: Transition) -> Self {
        let Transition { input, clearings, outcomes, settled: accounts, notes, .. } = transition;
        Self { input, clearings, outcomes, accounts, notes }
    }

    /// Applies the operations, appends the notes and states the public inputs.
    pub fn complete(self) -> Transition {
        let Self { input, clearings, outcomes, accounts: settled, notes } = self;
        let old = &input.community;
        let applied = input.operations.compute(old, settled.clone());
        let (supplier_after, fee_account_after) = pools(&input, &outcomes, &applied);
        let header = Header {
            supplier_account: u64::try_from(supplier_after.0).unwrap_or(0),
            fee_account: u64::try_from(fee_account_after.0).unwrap_or(0),
            ..header(&input, &outcomes, &applied, &notes)
        };
        let notes_root = dense_root(&notes.iter().map(Note::commitment).collect::<Vec<_>>());
        let position = old.header.certificate_count;
        let certificate_path = old.certificates.path(position);
        let mut certificates = old.certificates.clone();
        certificates.set(position, hash4([notes_root, queue_root(&input.operations.notes), Fr::ZERO, Fr::ZERO]));
        let accounts = applied.accounts.clone();
        let after = Community { index: old.index, shape: old.shape, header, accounts, certificates };
        let (data, community_new) = published(&after, &applied);
        let instance = instance(&input, community_new, digest(&applied.records), &data);
        Transition {
            input,
            clearings,
            outcomes,
            notes,
            supplier_after,
            fee_account_after,
            settled,
            applied,
            notes_root,
            after,
            certificate_path,
            data,
            instance,
        }
    }
}

/// Supplier account and fee account after, nano, before they are checked to fit.
fn pools(input: &SettlementInput, outcomes: &[Outcome], applied: &Applied) -> (Nano, Nano) {
    let old = &input.community;
    let debts = |accounts: &[Account]| accounts.iter().map(|a| Nano::from(a.debt)).sum::<Nano>();
    let (supplier_moved, fee_moved) = input.operations.header.moved();
    let corrected = |of: fn(&Corrected) -> Nano| applied.correction.used.as_ref().map_or(Nano::ZERO, |(_, c)| of(c));
    let supplier = Nano::from(old.header.supplier_account)
        + outcomes.iter().map(|o| o.supply).sum::<Nano>()
        + corrected(|c| c.supply)
        - (debts(&applied.accounts) - debts(&old.accounts))
        + applied.rest
        + supplier_moved;
    let fees = Nano::from(old.header.fee_account)
        + outcomes.iter().map(|o| o.fees).sum::<Nano>()
        + corrected(|c| c.fees)
        + fee_moved;
    (supplier, fees)
}

/// The header after, but for its pools.
fn header(input: &SettlementInput, outcomes: &[Outcome], applied: &Applied, notes: &[Note]) -> Header {
    let mut header = input.community.header.clone();
    header.next_interval = header.next_interval.saturating_add(u32::from(header.intervals));
    header.totals = totals(input, outcomes, &applied.accounts, notes);
    if let Some((_, corrected)) = &applied.correction.used {
        corrected.count(&mut header.totals);
    }
    input.operations.header.advance(&mut header);
    header.certificate_count = header.certificate_count.saturating_add(1);
    header.salts = input.header_salts;
    header
}

/// SETTLE.10 and SETTLE.11.
fn totals(input: &SettlementInput, outcomes: &[Outcome], accounts: &[Account], notes: &[Note]) -> Totals {
    let mut t = input.community.header.totals;
    let add = |total: &mut Wh, x: Wh| *total = total.saturating_add(x);
    let slots = input.community.accounts.iter().zip(&input.packets).zip(outcomes).zip(notes);
    for (((account, signed), outcome), note) in slots {
        let energy = &outcome.energy;
        add(&mut t.import, energy.import);
        add(&mut t.export, energy.export);
        add(&mut t.traded, energy.bought);
        if earns(account, signed) {
            add(&mut t.issued, energy.export);
            add(&mut t.retired, energy.sold);
            add(&mut t.outstanding, note.amount);
        }
        if signed.packet.substituted {
            t.substituted_packets = t.substituted_packets.saturating_add(1);
            add(&mut t.substituted_wh, energy.import.saturating_add(energy.export));
        }
    }
    t.debt = accounts.iter().fold(0, |sum: u64, a| sum.saturating_add(a.debt));
    t
}

/// The data vector for L1 and the community's node after.
fn published(after: &Community, applied: &Applied) -> (Vec<Fr>, Fr) {
    let mut data = after.leaves();
    let (members_root, header_leaf, certificates_root) =
        (dense_root(&data), after.header.leaf(), after.certificates.root());
    data.extend([header_leaf, certificates_root]);
    data.extend(words(&applied.records));
    (data, community::node(header_leaf, members_root, certificates_root))
}

fn instance(input: &SettlementInput, community_new: Fr, ops_digest: Fr, data: &[Fr]) -> Instance {
    let header = &input.community.header;
    let index = u64::from(input.community.index);
    let old_root = replaced_root(&input.state_path, index, input.old_node());
    let new_root = replaced_root(&input.state_path, index, community_new);
    let z = data_challenge(&input.domain, &old_root, &new_root, &community_new, &ops_digest, data);
    Instance {
        domain: input.domain,
        old_root,
        new_root,
        community: Fr::from(index),
        period: period(header.next_interval, header.interval_length, header.intervals),
        tariff_commitment: input.tariff.commitment(),
        community_new,
        ops_digest,
        z,
        y: data_evaluation(data, &z),
    }
}
