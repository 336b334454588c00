//! What a member gets for a settled period, and how it checks every figure against its own readings and the root on L1.

use serde::{Deserialize, Serialize};

use crate::{
    account::{Account, Registers, Terms},
    bill::{BillLine, bill_line},
    community,
    correction::Correction,
    field::{Fr, hex_fr},
    note::Note,
    operation::{Kind, SignedOperation, slot::OperationSlot},
    operation_slots::queue_root,
    owner::OwnerKey,
    packet::Reading,
    params::CERTIFICATES_DEPTH,
    settlement::Transition,
    tariff::Tariff,
    tree::{Children, dense_path, path_hex, path_root, replaced_root},
    units::{Interval, Nano, Ticks, Wh},
};
use ark_ff::AdditiveGroup;

/// One interval of a statement.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementLine {
    /// Clearing tick of the interval.
    pub tick: Ticks,
    /// Locally bought, Wh.
    pub bought_wh: Wh,
    /// Locally sold, Wh.
    pub sold_wh: Wh,
}

/// Statement, opening and path of one slot and period. Confidential to the member.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Community index.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// First interval of the period.
    pub first_interval: Interval,
    /// Was the packet substituted by the meter data manager?
    pub substituted: bool,
    /// Readings that were settled (the member's own, or the substitute's).
    pub readings: Vec<Reading>,
    /// One line an interval.
    pub lines: Vec<StatementLine>,
    /// Account before the period.
    pub before: Account,
    /// Account when the period is settled, before any operation.
    pub settled: Account,
    /// Operations on this slot, in order.
    pub operations: Vec<SignedOperation>,
    /// Correction of this slot's newest substitute.
    pub correction: Option<Correction>,
    /// Account after the period and its operations: the opening of the leaf.
    pub after: Account,
    /// Certificate note of the period.
    pub note_amount_wh: Wh,
    /// s5, s6 of the note.
    #[serde(with = "hex_fr::seq")]
    pub note_salts: [Fr; 2],
    /// Opening of the note up to the certificates root, bottom up: its settlement's notes, the append, the certificates
    /// tree.
    #[serde(with = "path_hex")]
    pub note_path: Vec<Children>,
    /// Path of the leaf in the members tree.
    #[serde(with = "path_hex")]
    pub members_path: Vec<Children>,
    /// Header leaf after.
    #[serde(with = "hex_fr")]
    pub header_leaf: Fr,
    /// Certificates root after.
    #[serde(with = "hex_fr")]
    pub certificates_root: Fr,
    /// Path of the community in the state tree (siblings; the community's own place is replaced).
    #[serde(with = "path_hex")]
    pub state_path: Vec<Children>,
    /// The root it leads to.
    #[serde(with = "hex_fr")]
    pub root: Fr,
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipt").field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// Why a receipt does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Settled readings are not the member's own.
    #[error("interval {interval}: settled reading is not the one this meter signed")]
    Reading {
        /// Position in the period.
        interval: usize,
    },
    /// Lengths disagree.
    #[error("receipt, readings and tariff have different numbers of intervals")]
    Length,
    /// More sold or bought than metered, or a trade beyond the member's limit.
    #[error("interval {interval}: traded energy is more than metered, or outside the order limit")]
    Trade {
        /// Position in the period.
        interval: usize,
    },
    /// The balance is not what readings and tariff come to.
    #[error("balance differs from the bill recomputed from readings and tariff by {} nano", .difference.0)]
    Money {
        /// Settled value less recomputed value.
        difference: Nano,
    },
    /// Registers did not advance by the readings.
    #[error("registers did not advance by the settled energy")]
    Registers,
    /// Keys, terms or payout changed without the owner.
    #[error("an account term changed without the owner")]
    Terms,
    /// The account after is not what the listed operations make of the settled one.
    #[error("the account after is not what its operations make of the settled one")]
    Operations,
    /// The note does not lead to the certificates root.
    #[error("the certificate note does not lead to the certificates root")]
    Note,
    /// The opened leaf does not lead to the root.
    #[error("leaf and path do not lead to the root")]
    Path,
}

/// A verified bill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bill {
    /// Energy of the period, Wh.
    pub energy: Registers,
    /// Local trade, supplier and fees, nano (see [`BillLine`]).
    pub trade_nano: Nano,
    /// Supplier, nano.
    pub supply_nano: Nano,
    /// Fees, nano.
    pub fees_nano: Nano,
}

impl Bill {
    /// What the balance changes by, nano.
    #[must_use]
    pub fn delta_nano(&self) -> Nano {
        self.trade_nano - self.supply_nano - self.fees_nano
    }
}

impl Receipt {
    /// The receipt of `slot`, from a settlement; `None` if there is no such slot, or if it would open two accounts
    /// ([`Self::opens_two`]).
    #[must_use]
    pub fn of(t: &Transition, slot: usize) -> Option<Self> {
        Self::of_any(t, slot).filter(|receipt| !receipt.opens_two())
    }

    /// Also one that nobody may see whole.
    pub(crate) fn of_any(t: &Transition, slot: usize) -> Option<Self> {
        let signed = t.input.packets.get(slot)?;
        let lines = t.clearings.iter().map(|c| StatementLine {
            tick: c.tick,
            bought_wh: c.bought.get(slot).copied().unwrap_or_default(),
            sold_wh: c.sold.get(slot).copied().unwrap_or_default(),
        });
        Some(Self {
            community: t.after.index,
            slot: u16::try_from(slot).ok()?,
            first_interval: t.input.community.header.next_interval,
            substituted: signed.packet.substituted,
            readings: signed.packet.readings.clone(),
            lines: lines.collect(),
            before: t.input.community.accounts.get(slot)?.clone(),
            settled: t.settled.get(slot)?.clone(),
            operations: t
                .input
                .operations
                .slots
                .iter()
                .filter(|o| usize::from(o.operation.slot) == slot)
                .cloned()
                .collect(),
            correction: t.input.operations.correction.iter().find(|a| a.slot() == slot).cloned(),
            after: t.after.accounts.get(slot)?.clone(),
            note_amount_wh: t.notes.get(slot).map_or(Wh::ZERO, |n: &Note| n.amount),
            note_salts: t.notes.get(slot)?.salts,
            note_path: note_path(t, slot)?,
            members_path: dense_path(&t.after.leaves(), slot)?,
            header_leaf: t.after.header.leaf(),
            certificates_root: t.after.certificates.root(),
            state_path: t.input.state_path.clone(),
            root: t.instance.new_root,
        })
    }

    /// Was the slot left and taken by another in this settlement? Then `before` is of who left and `after` of who came, and
    /// neither may see both. The batch builder makes no such settlement; the rules allow one.
    #[must_use]
    pub fn opens_two(&self) -> bool {
        self.before.meter.is_some()
            && self.after.meter.is_some()
            && self.operations.iter().any(|signed| signed.operation.kind == Kind::Close)
    }

    /// Recomputes the bill from `own` readings (what this meter signed; `None` for a period that was substituted) and
    /// the published tariff, and checks that the opened leaf leads to `root`, which the caller has read from L1. The
    /// caller also checks that the tariff's commitment is the one registered on L1.
    ///
    /// # Errors
    /// [`ReceiptError`], the first figure that is wrong.
    pub fn verify(&self, own: Option<&[Reading]>, tariff: &Tariff, root: Fr) -> Result<Bill, ReceiptError> {
        let m = self.lines.len();
        if self.readings.len() != m || tariff.intervals.len() != m || own.is_some_and(|o| o.len() != m) {
            return Err(ReceiptError::Length);
        }
        if let Some(own) = own
            && let Some(interval) = own.iter().zip(&self.readings).position(|(a, b)| a != b)
        {
            return Err(ReceiptError::Reading { interval });
        }
        let bill = self.bill(tariff)?;
        let difference = self.settled.value() - self.before.value() - bill.delta_nano();
        if difference != Nano::ZERO || (self.settled.balance != 0 && self.settled.debt != 0) {
            return Err(ReceiptError::Money { difference });
        }
        if self.settled.registers != self.before.registers.plus(&bill.energy) {
            return Err(ReceiptError::Registers);
        }
        if !self.terms_kept() {
            return Err(ReceiptError::Terms);
        }
        if self.replayed().as_ref() != Some(&self.after) {
            return Err(ReceiptError::Operations);
        }
        let place = self.note_path.len().checked_sub(1 + CERTIFICATES_DEPTH).and_then(|dense| self.note_place(dense));
        if place.and_then(|place| path_root(self.note().commitment(), place, &self.note_path))
            != Some(self.certificates_root)
        {
            return Err(ReceiptError::Note);
        }
        let members_root =
            path_root(self.after.leaf(), u64::from(self.slot), &self.members_path).ok_or(ReceiptError::Path)?;
        let node = community::node(self.header_leaf, members_root, self.certificates_root);
        let reached = replaced_root(&self.state_path, u64::from(self.community), node);
        if reached == root && self.root == root { Ok(bill) } else { Err(ReceiptError::Path) }
    }

    fn bill(&self, tariff: &Tariff) -> Result<Bill, ReceiptError> {
        let scale = self.before.terms.scale;
        let mut bill = Bill::default();
        for (interval, ((line, reading), prices)) in
            self.lines.iter().zip(&self.readings).zip(&tariff.intervals).enumerate()
        {
            let energy = Registers {
                import: Wh::of_units(reading.import, scale),
                export: Wh::of_units(reading.export, scale),
                bought: line.bought_wh,
                sold: line.sold_wh,
            };
            let within_limits = (energy.bought == Wh::ZERO || self.before.terms.buy_limit.min(prices.cap) >= line.tick)
                && (energy.sold == Wh::ZERO || self.before.terms.sell_limit.max(prices.floor) <= line.tick);
            if energy.bought > energy.import || energy.sold > energy.export || !within_limits {
                return Err(ReceiptError::Trade { interval });
            }
            let class = prices.classes.get(usize::from(self.before.terms.class)).copied().unwrap_or_default();
            let BillLine { trade, supply, fees } = bill_line(&energy, &class, line.tick);
            bill.energy = bill.energy.plus(&energy);
            bill.trade_nano += trade;
            bill.supply_nano += supply;
            bill.fees_nano += fees;
        }
        Ok(bill)
    }

    /// The period's certificate note.
    #[must_use]
    pub fn note(&self) -> Note {
        Note {
            owner: self.before.owner,
            amount: self.note_amount_wh,
            first_interval: self.first_interval,
            intervals: u16::try_from(self.lines.len()).unwrap_or(0),
            community: self.community,
            technology: self.before.terms.technology,
            salts: self.note_salts,
        }
    }

    /// Index of the note among the leaves of its path: the slot, child 0 of the append, then the settlement's place,
    /// which the path itself shows.
    fn note_place(&self, dense: usize) -> Option<u64> {
        let mut node = crate::poseidon::hash4(*self.note_path.get(dense)?);
        let power = u32::try_from(dense).ok()?.checked_add(1)?;
        let (mut place, mut weight) = (u64::from(self.slot), 4u64.checked_pow(power)?);
        for children in self.note_path.get(dense + 1..)? {
            // A false path may have any length. One whose places do not fit a number is refused.
            let child = children.iter().position(|child| *child == node)? as u64;
            place = weight.checked_mul(child).and_then(|step| place.checked_add(step))?;
            weight = weight.checked_mul(4)?;
            node = crate::poseidon::hash4(*children);
        }
        Some(place)
    }

    /// What the operations, and the correction after them, make of the settled account; `None` where that does not wait
    /// for the corrected substitute.
    fn replayed(&self) -> Option<Account> {
        let account = self
            .operations
            .iter()
            .fold(self.settled.clone(), |account, signed| OperationSlot::compute(&account, signed).after);
        match &self.correction {
            None => Some(account),
            Some(correction) => correction.opens(&account).then(|| correction.compute(&account).after),
        }
    }

    fn terms_kept(&self) -> bool {
        let (a, b) = (&self.before, &self.settled);
        let kept = |x: &Account| (x.owner, x.meter, x.payout, x.nonce);
        // A substitute keeps the limits and becomes the newest pending one. The meter's own packet
        // sets the limits and leaves the pending substitute.
        let terms = if self.substituted {
            a.terms
        } else {
            Terms { buy_limit: b.terms.buy_limit, sell_limit: b.terms.sell_limit, ..a.terms }
        };
        kept(a) == kept(b) && terms == b.terms && (self.substituted || a.pending_substitute == b.pending_substitute)
    }
}

/// A signed request for a receipt: Schnorr by the owner key over `[domain, community, slot, first_interval,
/// timestamp]`, use REQUEST.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptRequest {
    /// Community index.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// First interval of the period.
    pub first_interval: Interval,
    /// Unix seconds; a server refuses requests more than five minutes off.
    pub timestamp: u64,
    /// Owner's key; its commitment must be the account's owner.
    pub owner: OwnerKey,
    /// Signature.
    pub signature: crate::schnorr::Signature,
}

impl ReceiptRequest {
    /// The signed elements.
    #[must_use]
    pub fn message(domain: Fr, community: u32, slot: u16, first_interval: Interval, timestamp: u64) -> [Fr; 5] {
        let n = Fr::from;
        [domain, n(u64::from(community)), n(u64::from(slot)), n(u64::from(first_interval)), n(timestamp)]
    }

    /// Verifies under the owner commitment of the account.
    ///
    /// # Errors
    /// [`crate::schnorr::SchnorrError::Mismatch`] for a wrong key or signature.
    pub fn verify(&self, domain: Fr, owner: Fr) -> Result<(), crate::schnorr::SchnorrError> {
        if self.owner.commitment() != owner {
            return Err(crate::schnorr::SchnorrError::Mismatch);
        }
        let message = Self::message(domain, self.community, self.slot, self.first_interval, self.timestamp);
        crate::schnorr::verify(crate::poseidon::DomainTag::Request, &self.owner.key, &message, &self.signature)
    }
}

/// Opening of the note of `slot` up to the certificates root after.
fn note_path(t: &Transition, slot: usize) -> Option<Vec<Children>> {
    let notes: Vec<Fr> = t.notes.iter().map(Note::commitment).collect();
    let mut path = dense_path(&notes, slot)?;
    path.push([t.notes_root, queue_root(&t.input.operations.notes), Fr::ZERO, Fr::ZERO]);
    path.extend(t.after.certificates.path(t.input.community.header.certificate_count));
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture, market::Mechanism, params::Shape, settlement::apply};

    #[test]
    fn every_member_verifies_and_every_edit_is_noticed() {
        let recipe = fixture::Recipe {
            shape: Shape::by_name("tiny-4x2").unwrap(),
            seed: 3,
            mechanism: Mechanism::Auction,
            used: 4,
        };
        let t = apply(fixture::settlement(&recipe).unwrap()).unwrap();
        for slot in 0..4 {
            let receipt = Receipt::of(&t, slot).unwrap();
            let own = t.input.packets[slot].packet.readings.clone();
            let check = |r: &Receipt| r.verify(Some(&own), &t.input.tariff, t.instance.new_root);
            let bill = check(&receipt).unwrap();
            assert_eq!(bill.delta_nano(), t.outcomes[slot].delta());
            let json = serde_json::to_string(&receipt).unwrap();
            assert_eq!(serde_json::from_str::<Receipt>(&json).unwrap(), receipt);
            let mut r = receipt.clone();
            r.settled.balance += 1;
            assert!(matches!(check(&r), Err(ReceiptError::Money { .. })));
            let mut r = receipt.clone();
            r.note_amount_wh += Wh(1);
            assert_eq!(check(&r), Err(ReceiptError::Note));
            let mut r = receipt.clone();
            r.readings[0].import += 1;
            assert!(matches!(check(&r), Err(ReceiptError::Reading { interval: 0 })));
            let mut r = receipt.clone();
            r.after.salts.exit[0] += Fr::from(1u64);
            assert_eq!(check(&r), Err(ReceiptError::Operations));
            r.settled.salts.exit[0] += Fr::from(1u64);
            assert_eq!(check(&r), Err(ReceiptError::Path));
            let mut r = receipt.clone();
            r.settled.payout[0] ^= 1;
            assert_eq!(check(&r), Err(ReceiptError::Terms));
            assert_eq!(receipt.verify(Some(&own), &t.input.tariff, t.instance.old_root), Err(ReceiptError::Path));
        }
    }

    /// An operator may answer anything. A path so long that its places do not fit a number is refused like any other.
    #[test]
    fn a_note_path_of_any_length_is_refused_without_panic() {
        let recipe = fixture::Recipe {
            shape: Shape::by_name("tiny-4x2").unwrap(),
            seed: 3,
            mechanism: Mechanism::Auction,
            used: 4,
        };
        let t = apply(fixture::settlement(&recipe).unwrap()).unwrap();
        let mut receipt = Receipt::of(&t, 2).unwrap();
        for dense in [20, 21, 29, 30, 31, 32, 40] {
            receipt.note_path = vec![[Fr::ZERO; 4]; dense + 1];
            for _ in 0..CERTIFICATES_DEPTH {
                let below = receipt.note_path.last().copied().unwrap();
                receipt.note_path.push([Fr::ZERO, Fr::ZERO, Fr::ZERO, crate::poseidon::hash4(below)]);
            }
            let checked = receipt.verify(Some(&receipt.readings), &t.input.tariff, t.instance.new_root);
            assert_eq!(checked, Err(ReceiptError::Note), "{dense} levels");
        }
    }

    /// After a correction the leaf's pending substitute is the previous one of the replaced, and no other.
    #[test]
    fn an_correction_restores_the_substitute_beneath_and_only_it() {
        let recipe = fixture::Recipe {
            shape: Shape::by_name("tiny-4x2").unwrap(),
            seed: 3,
            mechanism: Mechanism::Auction,
            used: 3,
        };
        let extras = fixture::Extras { correction: true, ..fixture::Extras::default() };
        let t = apply(fixture::with_operations(&recipe, &[], extras).unwrap()).unwrap();
        let slot = t.applied.correction.slot;
        let receipt = Receipt::of(&t, slot).unwrap();
        let own = t.input.packets[slot].packet.readings.clone();
        let check = |r: &Receipt| r.verify(Some(&own), &t.input.tariff, t.instance.new_root);
        let beneath = receipt.correction.as_ref().unwrap().substitute.packet.previous_substitute;
        assert!(check(&receipt).is_ok() && receipt.after.pending_substitute == beneath && beneath != Fr::ZERO);
        for pending_substitute in [Fr::ZERO, receipt.before.pending_substitute, beneath + Fr::from(1u64)] {
            let mut r = receipt.clone();
            r.after.pending_substitute = pending_substitute;
            assert_eq!(check(&r), Err(ReceiptError::Operations));
            // Nor by another substitute than the leaf's pending one.
            r.correction.as_mut().unwrap().substitute.packet.previous_substitute = pending_substitute;
            assert_eq!(check(&r), Err(ReceiptError::Operations));
        }
        let mut r = receipt.clone();
        r.settled.pending_substitute = beneath;
        assert_eq!(check(&r), Err(ReceiptError::Terms));
    }
}
