//! The one state transition: settle one community for one period (`docs/spec/settlement.md`).
//!
//! [`compute`] is total: it follows the rules for any input and refuses nothing. [`check`] refuses, clause by clause,
//! in the order of [`SettlementError`]. [`apply`] is both. The circuit proves what `check` accepts; tests feed the
//! circuit what it refuses.

use serde::{Deserialize, Serialize};

use crate::{
    account::{Account, LeafSalts, Registers},
    community::{self, Community},
    field::{Fr, hex_fr},
    header::Totals,
    instance::{Instance, data_challenge, data_evaluation, period},
    market::{self, Clearing, Mechanism, Order, Rules},
    note::Note,
    operation_slots::{Applied, Operations, OperationsError, queue_root},
    packet::{Context, SignedPacket},
    params::{CERTIFICATES_DEPTH, NANO_PER_TICK, REGISTER_BITS, STATE_DEPTH},
    poseidon::hash4,
    record::{digest, words},
    schnorr::{self, SchnorrError},
    tariff::{ClassPrices, Tariff},
    tree::{Children, SparseTree, dense_root, path_hex, path_root},
    units::{Interval, Nano, Wh},
};
use ark_ff::AdditiveGroup;

/// Why a settlement is refused. Variants are in the order they are checked; each names its clause, the item and whose
/// input it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettlementError {
    /// The caller's packets are not one a slot.
    #[error("SETTLE.1: {got} packets for {expected} slots (sequencer)")]
    PacketCount {
        /// N.
        expected: usize,
        /// Packets given.
        got: usize,
    },
    /// A packet sits in another slot's place.
    #[error("SETTLE.2: packet for slot {got} in the place of slot {slot} (sequencer)")]
    Slot {
        /// Place.
        slot: usize,
        /// Slot the packet names.
        got: u16,
    },
    /// A packet is for another deployment, community, period or interval length.
    #[error("SETTLE.2: slot {slot}: packet has another {field} than the header (meter)")]
    Context {
        /// Slot.
        slot: usize,
        /// Which field.
        field: &'static str,
    },
    /// A packet has another number of readings than the shape.
    #[error("SETTLE.2: slot {slot}: {got} readings for {expected} intervals (meter)")]
    Length {
        /// Slot.
        slot: usize,
        /// m.
        expected: usize,
        /// Readings.
        got: usize,
    },
    /// Readings in another unit than the account's.
    #[error("SETTLE.1: slot {slot}: the readings are in units of another scale than the account's (meter)")]
    Scale {
        /// Slot.
        slot: usize,
    },
    /// A packet that is no substitute and names an earlier one.
    #[error("SETTLE.1b: slot {slot}: only a substitute names an earlier one (meter)")]
    PreviousInMetered {
        /// Slot.
        slot: usize,
    },
    /// A substituted packet for an empty slot.
    #[error("SETTLE.1b: slot {slot}: an empty slot cannot be substituted (meter data manager)")]
    SubstitutedEmpty {
        /// Slot.
        slot: usize,
    },
    /// Signature does not verify under the meter key (or the meter data manager's, if substituted).
    #[error("SETTLE.1: slot {slot}: {source} (meter)")]
    Signature {
        /// Slot.
        slot: usize,
        /// Why.
        source: SchnorrError,
    },
    /// A substitute that names another one beneath it than the slot's that may still be corrected: that one would be
    /// final, or one that is final come back.
    #[error(
        "SETTLE.1b: slot {slot}: the substitute names another previous one than the slot's newest that may still be corrected (meter data manager)"
    )]
    PreviousIsAnother {
        /// Slot.
        slot: usize,
    },
    /// An empty slot whose leaf is not empty: energy could enter under the public empty-slot key.
    #[error("SETTLE.1b: slot {slot}: an empty slot has an active window (meter data manager)")]
    ActiveEmpty {
        /// Slot.
        slot: usize,
    },
    /// An account whose scale or class does not exist.
    #[error("SETTLE.13: slot {slot}: scale is 1, 10 or 100 and class 0 or 1 (meter data manager)")]
    Terms {
        /// Slot.
        slot: usize,
    },
    /// A header whose total of debts is not the sum of its accounts' debts.
    #[error("SETTLE.11: the header's total of debts is not the sum of the accounts' (sequencer)")]
    DebtTotal,
    /// A substituted reading above the account's cap.
    #[error(
        "SETTLE.1b: slot {slot}, interval {interval}: substituted reading above the account's cap (meter data manager)"
    )]
    AboveCap {
        /// Slot.
        slot: usize,
        /// Position in the period.
        interval: usize,
    },
    /// A reading outside the active window.
    #[error("SETTLE.2: slot {slot}, interval {interval}: reading outside the account's active window (meter)")]
    Inactive {
        /// Slot.
        slot: usize,
        /// Position in the period.
        interval: usize,
    },
    /// Next interval would overflow.
    #[error("SETTLE.2: the period ends after the last interval index (sequencer)")]
    PeriodOverflow,
    /// Tariff of another length than the period.
    #[error("SETTLE.7: tariff has {got} intervals, the period {expected} (tariff authority)")]
    TariffLength {
        /// m.
        expected: usize,
        /// Entries.
        got: usize,
    },
    /// Orders of one interval too large.
    #[error("SETTLE.4: interval {interval}: orders add up to 2^32 Wh or more (meters)")]
    TooMuchEnergy {
        /// Position in the period.
        interval: usize,
    },
    /// Balance or debt does not fit.
    #[error("SETTLE.8: slot {slot}: balance leaves 64 bits (tariff authority)")]
    BalanceOverflow {
        /// Slot.
        slot: usize,
    },
    /// The supplier's pool cannot pay for the energy fed in.
    #[error(
        "SETTLE.8: supplier account is {missing_nano} nano short; the operator must pay into the supplier account before this period can settle (operator)"
    )]
    SupplierTooSmall {
        /// Nano-currency missing.
        missing_nano: u128,
    },
    /// Fees of this period would make the fee account negative or too large.
    #[error("SETTLE.8: fee account leaves 0..2^64 (tariff authority)")]
    FeeAccount,
    /// A register would leave its 62 bits.
    #[error("SETTLE.9: slot {slot}: a register leaves its 62 bits (meter)")]
    RegisterOverflow {
        /// Slot.
        slot: usize,
    },
    /// A header total would overflow.
    #[error("SETTLE.11: a header total leaves 64 bits (sequencer)")]
    TotalOverflow,
    /// No room for another notes tree.
    #[error("SETTLE.13: the certificates tree is full or its counter disagrees (sequencer)")]
    Certificates,
    /// Operations, correction, header slot, queue or beginning.
    #[error(transparent)]
    Operations(#[from] OperationsError),
    /// The state path does not hold the community.
    #[error("SETTLE.13: the state path does not lead from this community (sequencer)")]
    StatePath,
}

impl SettlementError {
    /// Clause id, as in the specification, the gates and the tests.
    #[must_use]
    pub const fn clause(&self) -> &'static str {
        match self {
            Self::PacketCount { .. } | Self::Scale { .. } | Self::Signature { .. } => "SETTLE.1",
            Self::PreviousInMetered { .. }
            | Self::SubstitutedEmpty { .. }
            | Self::PreviousIsAnother { .. }
            | Self::ActiveEmpty { .. }
            | Self::AboveCap { .. } => "SETTLE.1b",
            Self::Slot { .. }
            | Self::Context { .. }
            | Self::Length { .. }
            | Self::Inactive { .. }
            | Self::PeriodOverflow => "SETTLE.2",
            Self::TariffLength { .. } => "SETTLE.7",
            Self::TooMuchEnergy { .. } => "SETTLE.4",
            Self::BalanceOverflow { .. } | Self::SupplierTooSmall { .. } | Self::FeeAccount => "SETTLE.8",
            Self::RegisterOverflow { .. } => "SETTLE.9",
            Self::DebtTotal | Self::TotalOverflow => "SETTLE.11",
            Self::Terms { .. } | Self::Certificates | Self::StatePath => "SETTLE.13",
            Self::Operations(error) => error.clause(),
        }
    }
}

/// Everything a settlement depends on: enough to compute, prove and re-prove it byte for byte.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettlementInput {
    /// Chain, contract and circuit version.
    #[serde(with = "hex_fr")]
    pub domain: Fr,
    /// The community before.
    pub community: Community,
    /// Opening of the community in the state tree before, bottom up, the community's own node included.
    #[serde(with = "path_hex")]
    pub state_path: Vec<Children>,
    /// One packet a slot, in slot order.
    pub packets: Vec<SignedPacket>,
    /// Tariff in force.
    pub tariff: Tariff,
    /// Fresh salts of the new header.
    #[serde(with = "hex_fr::seq")]
    pub header_salts: [Fr; 2],
    /// What is done after the period is settled.
    #[serde(default)]
    pub operations: Operations,
}

impl std::fmt::Debug for SettlementInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SettlementInput").field("packets", &self.packets.len()).finish_non_exhaustive()
    }
}

impl SettlementInput {
    /// The community's node in the state tree before: zero if it begins.
    #[must_use]
    pub fn old_node(&self) -> Fr {
        if self.operations.init { Fr::ZERO } else { self.community.node() }
    }

    /// The context every packet must carry.
    #[must_use]
    pub fn context(&self) -> Context {
        let header = &self.community.header;
        Context {
            domain: self.domain,
            community: self.community.index,
            first_interval: header.next_interval,
            interval_length: header.interval_length,
            intervals: header.intervals,
        }
    }
}

/// What one slot's period came to.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Energy of the period, Wh.
    pub energy: Registers,
    /// For locally sold less locally bought energy at the market price, nano.
    pub trade: i128,
    /// To the supplier (energy) less from the supplier (feed-in), nano.
    pub supply: i128,
    /// Network and local fees, nano.
    pub fees: i128,
    /// `balance - debt` afterwards.
    pub value: Nano,
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outcome(hidden)")
    }
}

impl Outcome {
    /// SETTLE.7: `trade - supply - fees`, nano.
    #[must_use]
    pub const fn delta(&self) -> i128 {
        self.trade - self.supply - self.fees
    }
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
    pub supplier_after: i128,
    /// Fee account before range checks, nano.
    pub fee_account_after: i128,
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

/// Settles: the one native state transition.
///
/// # Errors
/// [`SettlementError`], the first clause that refuses.
pub fn apply(input: SettlementInput) -> Result<Transition, SettlementError> {
    check_input(&input)?;
    let transition = compute(input);
    check_outcome(&transition)?;
    Ok(transition)
}

/// Everything that can be refused before computing.
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
    if end > u64::from(Interval::MAX) || usize::from(community.header.intervals) != m {
        return Err(SettlementError::PeriodOverflow);
    }
    if tariff != m {
        return Err(SettlementError::TariffLength { expected: m, got: tariff });
    }
    for interval in 0..m {
        let (demand, supply) = orders(input, interval);
        let (rules, _) = rules(input, interval);
        market::clear(&rules, &demand, &supply).map_err(|_| SettlementError::TooMuchEnergy { interval })?;
    }
    Ok(())
}

/// Admission of one packet: what SETTLE.1, 1b and 2 ask of it alone. `account` is the slot's before the packet's
/// period.
///
/// # Errors
/// [`SettlementError`].
pub fn check_packet(
    context: &Context,
    slot: usize,
    account: &Account,
    mdm: &schnorr::PublicKey,
    signed: &SignedPacket,
    intervals: usize,
) -> Result<(), SettlementError> {
    let packet = &signed.packet;
    if usize::from(packet.slot) != slot {
        return Err(SettlementError::Slot { slot, got: packet.slot });
    }
    check_context(context, slot, &packet.context)?;
    if packet.readings.len() != intervals {
        return Err(SettlementError::Length { slot, expected: intervals, got: packet.readings.len() });
    }
    if !packet.substituted && packet.previous_substitute != Fr::ZERO {
        return Err(SettlementError::PreviousInMetered { slot });
    }
    if packet.substituted && account.meter.is_none() {
        return Err(SettlementError::SubstitutedEmpty { slot });
    }
    if account.meter.is_none() && (account.terms.active_from, account.terms.active_until) != (0, 0) {
        return Err(SettlementError::ActiveEmpty { slot });
    }
    if !account.terms.exist() {
        return Err(SettlementError::Terms { slot });
    }
    let key = match (packet.substituted, account.meter) {
        (true, _) => *mdm,
        (false, Some(meter)) => meter,
        (false, None) => schnorr::empty_slot_key().public(),
    };
    signed.verify(&key).map_err(|source| SettlementError::Signature { slot, source })?;
    // After the signature, as what follows: only who can sign is told anything of the account.
    if packet.scale != account.terms.scale {
        return Err(SettlementError::Scale { slot });
    }
    if packet.substituted && packet.previous_substitute != account.pending_substitute {
        return Err(SettlementError::PreviousIsAnother { slot });
    }
    for (interval, reading) in packet.readings.iter().enumerate() {
        let at = u64::from(context.first_interval) + interval as u64;
        let active = u64::from(account.terms.active_from) <= at && at < u64::from(account.terms.active_until);
        if !active && (reading.import, reading.export) != (0, 0) {
            return Err(SettlementError::Inactive { slot, interval });
        }
        if packet.substituted
            && (reading.import > account.terms.cap_import || reading.export > account.terms.cap_export)
        {
            return Err(SettlementError::AboveCap { slot, interval });
        }
    }
    Ok(())
}

fn check_context(expected: &Context, slot: usize, got: &Context) -> Result<(), SettlementError> {
    let wrong = |field| Err(SettlementError::Context { slot, field });
    if got.domain != expected.domain {
        wrong("domain")
    } else if got.community != expected.community {
        wrong("community")
    } else if got.first_interval != expected.first_interval {
        wrong("first interval")
    } else if got.interval_length != expected.interval_length {
        wrong("interval length")
    } else if got.intervals != expected.intervals {
        wrong("number of intervals")
    } else {
        Ok(())
    }
}

/// Everything that can be refused once it is computed.
///
/// # Errors
/// [`SettlementError`].
pub fn check_outcome(t: &Transition) -> Result<(), SettlementError> {
    let (operations, context) = (&t.input.operations, t.input.context());
    operations.check(&t.input.community, &context, &t.applied)?;
    let pools = (t.supplier_after, t.fee_account_after);
    let header =
        operations.header.check(context.domain, context.community, &t.input.community.header, &t.after.header, pools);
    header.map_err(OperationsError::from)?;
    for (slot, outcome) in t.outcomes.iter().enumerate() {
        if !outcome.value.fits() {
            return Err(SettlementError::BalanceOverflow { slot });
        }
    }
    if t.supplier_after < 0 {
        return Err(SettlementError::SupplierTooSmall { missing_nano: t.supplier_after.unsigned_abs() });
    }
    if t.supplier_after >> 64 != 0 {
        return Err(SettlementError::TotalOverflow);
    }
    if t.fee_account_after < 0 || t.fee_account_after >> 64 != 0 {
        return Err(SettlementError::FeeAccount);
    }
    // Settled first: a register that left its bits is not mended by closing the account.
    for (slot, account) in t.settled.iter().enumerate().chain(t.after.accounts.iter().enumerate()) {
        let r = &account.registers;
        if [r.import, r.export, r.bought, r.sold].into_iter().any(|wh| wh >> REGISTER_BITS != 0) {
            return Err(SettlementError::RegisterOverflow { slot });
        }
    }
    let n = &t.after.header.totals;
    // Saturated while computing: not a total but a bound.
    let totals = [
        n.import,
        n.export,
        n.traded,
        n.issued,
        n.retired,
        n.outstanding,
        n.debt,
        n.substituted_packets,
        n.substituted_wh,
        n.corrected,
    ];
    if totals.contains(&u64::MAX) {
        return Err(SettlementError::TotalOverflow);
    }
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

/// Orders of one interval, by slot: SETTLE.5 (limits of the old leaf; debtors and substituted packets do not trade).
#[must_use]
pub fn orders(input: &SettlementInput, interval: usize) -> (Vec<Order>, Vec<Order>) {
    let slots = input.community.accounts.iter().zip(&input.packets);
    slots
        .map(|(account, signed)| {
            let reading = signed.packet.readings.get(interval).copied().unwrap_or_default();
            let scale = u64::from(account.terms.scale);
            let trades = !signed.packet.substituted;
            let buy = (trades && account.debt == 0).then_some(account.terms.buy_limit);
            let sell = trades.then_some(account.terms.sell_limit);
            (
                Order { wh: u64::from(reading.import) * scale, limit: buy },
                Order { wh: u64::from(reading.export) * scale, limit: sell },
            )
        })
        .unzip()
}

fn rules(input: &SettlementInput, interval: usize) -> (Rules, [ClassPrices; 2]) {
    let mechanism = input.community.header.mechanism;
    input
        .tariff
        .intervals
        .get(interval)
        .map_or((Rules { mechanism, cap: 0, floor: 0, reference: 0 }, [ClassPrices::default(); 2]), |t| {
            (Rules { mechanism, cap: t.cap, floor: t.floor, reference: t.reference }, t.classes)
        })
}

/// Clears every interval by the rules.
#[must_use]
pub fn clear_all(input: &SettlementInput) -> Vec<Clearing> {
    (0..input.community.shape.intervals)
        .map(|interval| {
            let (demand, supply) = orders(input, interval);
            let (rules, _) = rules(input, interval);
            market::clear(&rules, &demand, &supply).unwrap_or_else(|_| market::clear_at(&rules, &demand, &supply, 0))
        })
        .collect()
}

/// Computes the transition without refusing anything.
#[must_use]
pub fn compute(input: SettlementInput) -> Transition {
    let clearings = clear_all(&input);
    compute_with(input, clearings)
}

/// [`compute`] from given clearings. Tests use it to build transitions of unfair clearings.
#[must_use]
pub fn compute_with(input: SettlementInput, clearings: Vec<Clearing>) -> Transition {
    let outcomes: Vec<Outcome> =
        (0..input.community.accounts.len()).map(|slot| outcome(&input, &clearings, slot)).collect();
    let mdm = input.community.header.mdm;
    let settled: Vec<Account> = input
        .community
        .accounts
        .iter()
        .zip(&input.packets)
        .zip(&outcomes)
        .map(|((a, p), o)| advance(a, p, o, &mdm))
        .collect();
    let applied = input.operations.compute(&input.community, settled.clone());
    let accounts = applied.accounts.clone();
    let corrected = applied.correction.used.as_ref().map(|(_, corrected)| corrected);
    let notes: Vec<Note> = (0..accounts.len()).filter_map(|slot| note(&input, slot, outcomes.get(slot)?)).collect();
    let debts = |accounts: &[Account]| accounts.iter().map(|a| i128::from(a.debt)).sum::<i128>();
    let old = &input.community;
    let supply: i128 = outcomes.iter().map(|o| o.supply).sum();
    let (supplier_moved, fee_moved) = input.operations.header.moved();
    let late = |of: fn(&crate::correction::Corrected) -> i128| corrected.map_or(0, of);
    let supplier_after = i128::from(old.header.supplier_account) + supply + late(|a| a.supply)
        - (debts(&accounts) - debts(&old.accounts))
        + applied.rest
        + supplier_moved;
    let fee_account_after = i128::from(old.header.fee_account)
        + outcomes.iter().map(|o| o.fees).sum::<i128>()
        + late(|a| a.fees)
        + fee_moved;

    let mut header = old.header.clone();
    header.next_interval = header.next_interval.saturating_add(u32::from(header.intervals));
    header.supplier_account = u64::try_from(supplier_after).unwrap_or(0);
    header.fee_account = u64::try_from(fee_account_after).unwrap_or(0);
    header.totals = totals(&input, &outcomes, &accounts, &notes);
    if let Some(corrected) = corrected {
        corrected.count(&mut header.totals);
    }
    input.operations.header.advance(&mut header);
    header.certificate_count = header.certificate_count.saturating_add(1);
    header.salts = input.header_salts;

    let position = old.header.certificate_count;
    let certificate_path = old.certificates.path(position);
    let notes_root = dense_root(&notes.iter().map(Note::commitment).collect::<Vec<_>>());
    let mut certificates: SparseTree = old.certificates.clone();
    certificates.set(position, hash4([notes_root, queue_root(&input.operations.notes), Fr::ZERO, Fr::ZERO]));

    let after = Community { index: old.index, shape: old.shape, header, accounts, certificates };
    let mut data = after.leaves();
    let (members_root, header_leaf, certificates_root) =
        (dense_root(&data), after.header.leaf(), after.certificates.root());
    data.extend([header_leaf, certificates_root]);
    data.extend(words(&applied.records));
    let community_new = community::node(header_leaf, members_root, certificates_root);
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

/// Root of a path with `leaf` put at `index`.
#[must_use]
pub fn replaced_root(path: &[Children], index: u64, leaf: Fr) -> Fr {
    let mut at = index;
    path.iter().fold(leaf, |node, children| {
        let place = usize::try_from(at % 4).unwrap_or(0);
        at /= 4;
        let mut children = *children;
        if let Some(child) = children.get_mut(place) {
            *child = node;
        }
        crate::poseidon::hash4(children)
    })
}

/// SETTLE.3, 7, 8 of one slot.
fn outcome(input: &SettlementInput, clearings: &[Clearing], slot: usize) -> Outcome {
    let Some((account, signed)) = input.community.accounts.get(slot).zip(input.packets.get(slot)) else {
        return Outcome::default();
    };
    let scale = u64::from(account.terms.scale);
    let mut out = Outcome::default();
    for (interval, (reading, clearing)) in signed.packet.readings.iter().zip(clearings).enumerate() {
        let (_, classes) = rules(input, interval);
        let prices = classes.get(usize::from(account.terms.class)).copied().unwrap_or_default();
        let energy = Registers {
            import: u64::from(reading.import) * scale,
            export: u64::from(reading.export) * scale,
            bought: clearing.bought.get(slot).copied().unwrap_or(0),
            sold: clearing.sold.get(slot).copied().unwrap_or(0),
        };
        let line = bill_line(&energy, &prices, clearing.tick);
        out.energy = out.energy.plus(&energy);
        out.trade += line.trade;
        out.supply += line.supply;
        out.fees += line.fees;
    }
    out.value = account.value() + Nano(out.delta());
    out
}

/// Money of one interval, nano (SETTLE.7). Also what a member recomputes from its own readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BillLine {
    /// Local trade at the market price.
    pub trade: i128,
    /// Supplier: energy less feed-in.
    pub supply: i128,
    /// Network and local fees.
    pub fees: i128,
}

/// SETTLE.7 for one interval.
#[must_use]
pub fn bill_line(energy: &Registers, prices: &ClassPrices, tick: u16) -> BillLine {
    let wh = |x: Wh| i128::from(x);
    let (bought, sold) = (wh(energy.bought), wh(energy.sold));
    let (import_residual, export_residual) = (wh(energy.import) - bought, wh(energy.export) - sold);
    let price = i128::from(tick) * i128::from(NANO_PER_TICK);
    BillLine {
        trade: (sold - bought) * price,
        supply: import_residual * i128::from(prices.energy) - export_residual * i128::from(prices.feed_in),
        fees: import_residual * i128::from(prices.network) + bought * i128::from(prices.local_fee),
    }
}

/// SETTLE.8, 9, 12: the account after.
fn advance(account: &Account, signed: &SignedPacket, outcome: &Outcome, mdm: &schnorr::PublicKey) -> Account {
    let packet = &signed.packet;
    let mut next = account.clone();
    next.set_value(outcome.value);
    next.registers = account.registers.plus(&outcome.energy);
    if !packet.substituted && account.meter.is_some() {
        next.terms.buy_limit = packet.buy_limit;
        next.terms.sell_limit = packet.sell_limit;
    }
    if packet.substituted {
        next.pending_substitute = signed.digest(mdm);
    }
    next.salts = LeafSalts { exit: packet.salts.exit, private: packet.salts.private };
    next
}

/// SETTLE.10: does this slot's energy earn certificates?
fn earns(account: &Account, signed: &SignedPacket) -> bool {
    account.terms.technology != 0 && !signed.packet.substituted
}

fn note(input: &SettlementInput, slot: usize, outcome: &Outcome) -> Option<Note> {
    let account = input.community.accounts.get(slot)?;
    let signed = input.packets.get(slot)?;
    let residual = outcome.energy.export.saturating_sub(outcome.energy.sold);
    Some(Note {
        owner: account.owner,
        amount: if earns(account, signed) { residual } else { 0 },
        first_interval: input.community.header.next_interval,
        intervals: input.community.header.intervals,
        community: input.community.index,
        technology: account.terms.technology,
        salts: signed.packet.salts.note,
    })
}

/// SETTLE.10 and SETTLE.11.
fn totals(input: &SettlementInput, outcomes: &[Outcome], accounts: &[Account], notes: &[Note]) -> Totals {
    let mut t = input.community.header.totals;
    let add = |total: &mut u64, x: u64| *total = total.saturating_add(x);
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
            add(&mut t.substituted_packets, 1);
            add(&mut t.substituted_wh, energy.import.saturating_add(energy.export));
        }
    }
    t.debt = accounts.iter().fold(0, |sum: u64, a| sum.saturating_add(a.debt));
    t
}

const _: () = assert!(CERTIFICATES_DEPTH < 32 && Mechanism::Auction as u8 == 0);

#[cfg(test)]
#[path = "settlement_tests.rs"]
mod tests;
