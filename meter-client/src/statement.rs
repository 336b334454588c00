//! A period's statement: every figure recomputed from the member's own readings, and anchored in a root that L1 has
//! finalised.

use gridveil_protocol::{
    field::{Fr, hex_fr},
    operation::{Kind, Operation, SignedOperation, slot::OperationSlot},
    owner::{OwnerKey, owner_of},
    packet::SignedPacket,
    poseidon::DomainTag,
    receipt::{Bill, Receipt, ReceiptError, ReceiptRequest, StatementLine},
    schnorr::{self, SchnorrError, SecretKey},
    tariff::Tariff,
    units::{Interval, Nano, Ticks, Wh},
};
use serde::Serialize;

use crate::l1::{L1Error, Roots};

mod whose;

pub use whose::Whose;

/// Why a statement does not hold. Then nothing of it is shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The receipt is about something else.
    #[error("receipt is for another {0} than asked for")]
    Other(&'static str),
    /// The account's owner is not the member.
    #[error("receipt opens an account with another owner key")]
    NotMine,
    /// Nothing is in the slot, before and after.
    #[error("receipt opens an account without a meter")]
    Empty,
    /// Settled as the member's own packet, but the outbox has none.
    #[error(
        "receipt says this meter's own packet was settled; there is none in this folder, and the operator shows none"
    )]
    NoPacket,
    /// The new leaf does not use the packet's salts.
    #[error(
        "SETTLE.12: the settled leaf does not use the salts of the packet in this folder, and the operator shows no other \
         of this meter"
    )]
    Salts,
    /// An operation that nobody entitled to it has asked for.
    #[error("operation {index} of the receipt ({kind:?}) was not signed by this account's owner")]
    Foreign {
        /// Position among the slot's operations of the period.
        index: usize,
        /// What it does.
        kind: Kind,
    },
    /// A correction with a packet that is not this meter's, for another account or of the future.
    #[error("the correction of the receipt does not rest on a packet of this meter")]
    Correction,
    /// The account does not continue from the last statement.
    #[error("the account before this period is not the account after the previous statement")]
    Continuity,
    /// A figure is wrong.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// The root is not final.
    #[error("the receipt's root was never finalised on L1")]
    NotFinal,
    /// Not the published tariff.
    #[error("the tariff is not the one registered on L1 for this period")]
    Tariff,
    /// L1 does not answer.
    #[error(transparent)]
    L1(#[from] L1Error),
    /// Signing failed.
    #[error(transparent)]
    Signature(#[from] SchnorrError),
}

/// Another copy of the wallet has signed an operation.
pub const TAKEN_OVER: &str = "An operation was signed with this account's key and was not in this wallet: a newer copy of it, or another machine with the key, has signed it. It is taken over. Where there is none, somebody else has the key: give the account a new one (gridveil member rotate).";

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Community index.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// First interval of the period.
    pub first_interval: Interval,
}

impl Asked {
    /// A request signed with the owner's key.
    ///
    /// # Errors
    /// [`SchnorrError`], practically never.
    pub fn request(&self, domain: Fr, timestamp: u64, owner: &SecretKey) -> Result<ReceiptRequest, SchnorrError> {
        let Self { community, slot, first_interval } = *self;
        let message = ReceiptRequest::message(domain, community, slot, first_interval, timestamp);
        let signature = owner.sign(DomainTag::Request, &message)?;
        Ok(ReceiptRequest { community, slot, first_interval, timestamp, owner: owner_of(owner), signature })
    }
}

/// What the member itself holds.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// Of the period: the contract that the member names, and the period's circuit version.
    pub domain: Fr,
    /// Owner's key.
    pub owner: &'a OwnerKey,
    /// Every operation this member has signed for the slot.
    pub operations: &'a [SignedOperation],
    /// The period's packet, if one was signed.
    pub packet: Option<&'a SignedPacket>,
    /// Was it taken by the sequencer while the period was open?
    pub delivered: bool,
    /// The previous period's verified receipt, if kept.
    pub previous: Option<&'a Receipt>,
}

/// A statement that holds.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// Community index.
    pub community: u32,
    /// Slot.
    pub slot: u16,
    /// First interval of the period.
    pub first_interval: Interval,
    /// Readings, trades and price by interval, energies in Wh.
    pub lines: Vec<Line>,
    /// Energy and money of the period.
    pub bill: Bill,
    /// `balance - debt` before, nano.
    pub before_nano: Nano,
    /// `balance - debt` when the period is settled, before any operation, nano.
    pub settled_nano: Nano,
    /// What was done with the account after that, in order.
    pub operations: Vec<OperationLine>,
    /// The late packet that replaced a substitute, if one did.
    pub correction: Option<CorrectionLine>,
    /// `balance - debt` after, nano.
    pub after_nano: Nano,
    /// Certificates of the period, Wh.
    pub certificates_wh: Wh,
    /// The finalised root.
    #[serde(with = "hex_fr")]
    pub root: Fr,
    /// Was the account's state before compared with the previous statement? False for the first one.
    pub continues: bool,
    /// How many of the operations this wallet did not have.
    pub taken_over: usize,
    /// What the member should know although every figure is right.
    pub notices: Vec<&'static str>,
}

impl std::fmt::Debug for Statement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Statement").field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// One interval.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Interval index.
    pub interval: Interval,
    /// Taken from the network, Wh.
    pub import_wh: Wh,
    /// Fed in, Wh.
    pub export_wh: Wh,
    /// Bought locally, Wh.
    pub bought_wh: Wh,
    /// Sold locally, Wh.
    pub sold_wh: Wh,
    /// Local price, ticks of 100 nano per Wh.
    pub tick: Ticks,
}

/// One operation on the account.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OperationLine {
    /// What it does.
    pub kind: Kind,
    /// The slot's nonce before; a forced withdrawal has none.
    pub nonce: Option<u32>,
    /// What `balance - debt` changes by, nano.
    pub change_nano: Nano,
    /// Of that, paid out on L1 or taken in from it: whole units of 0.01.
    pub units: u64,
}

/// What a correction changed.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CorrectionLine {
    /// First interval of the period that was corrected.
    pub first_interval: Interval,
    /// What `balance - debt` changes by, nano.
    pub change_nano: Nano,
    /// Import, late less substituted, Wh.
    pub import_wh: i128,
    /// Export, late less substituted, Wh.
    pub export_wh: i128,
}

/// Checks a receipt against everything the member holds and L1 says.
///
/// # Errors
/// [`StatementError`], the first fact that does not hold.
pub fn verify(
    asked: &Asked,
    receipt: &Receipt,
    own: &Own<'_>,
    tariff: &Tariff,
    l1: &dyn Roots,
) -> Result<Statement, StatementError> {
    check_subject(asked, receipt, own.owner)?;
    let readings = check_packet(receipt, own)?;
    let taken_over = check_operations(receipt, own)?;
    if let Some(previous) = own.previous
        && previous.after != receipt.before
    {
        return Err(StatementError::Continuity);
    }
    let bill = receipt.verify(readings, tariff, receipt.root)?;
    if tariff.commitment() != l1.tariff_commitment(asked.community, asked.first_interval)? {
        return Err(StatementError::Tariff);
    }
    if let Some(correction) = &receipt.correction {
        let then = correction.substitute.packet.context.first_interval;
        if correction.tariff.commitment() != l1.tariff_commitment(asked.community, then)? {
            return Err(StatementError::Tariff);
        }
    }
    if !l1.is_finalised(receipt.root)? {
        return Err(StatementError::NotFinal);
    }
    let (operations, correction) = changes(receipt);
    Ok(Statement {
        community: receipt.community,
        slot: receipt.slot,
        first_interval: receipt.first_interval,
        lines: lines(receipt),
        bill,
        before_nano: receipt.before.value(),
        settled_nano: receipt.settled.value(),
        operations,
        correction,
        after_nano: receipt.after.value(),
        certificates_wh: receipt.note_amount_wh,
        root: receipt.root,
        continues: own.previous.is_some(),
        taken_over,
        notices: notices(receipt, own, taken_over),
    })
}

/// Is the receipt about what was asked for, and of an account of this owner? Its meter is the one that the owner has signed
/// for, at enrolment or later: L1 takes no other.
pub(crate) fn check_subject(asked: &Asked, receipt: &Receipt, owner: &OwnerKey) -> Result<(), StatementError> {
    if receipt.community != asked.community {
        return Err(StatementError::Other("community"));
    }
    if receipt.slot != asked.slot {
        return Err(StatementError::Other("slot"));
    }
    if receipt.first_interval != asked.first_interval {
        return Err(StatementError::Other("period"));
    }
    // The account is the member's before or after the period: it may enrol, rotate its key, change its meter or close
    // in it.
    let (before, after) = (&receipt.before, &receipt.after);
    let owner = owner.commitment();
    if before.owner != owner && after.owner != owner {
        return Err(StatementError::NotMine);
    }
    if before.meter.is_none() && after.meter.is_none() {
        return Err(StatementError::Empty);
    }
    Ok(())
}

/// The readings to hold the receipt against: the member's own, unless the meter data manager substituted them or the
/// slot was empty.
fn check_packet<'a>(
    receipt: &Receipt,
    own: &Own<'a>,
) -> Result<Option<&'a [gridveil_protocol::packet::Reading]>, StatementError> {
    if receipt.substituted || receipt.before.meter.is_none() {
        return Ok(None);
    }
    let packet = &own.packet.ok_or(StatementError::NoPacket)?.packet;
    let salts = &receipt.settled.salts;
    if (salts.exit, salts.private) != (packet.salts.exit, packet.salts.private) {
        return Err(StatementError::Salts);
    }
    Ok(Some(&packet.readings))
}

/// Checks that this member has signed every operation, and counts those that the wallet did not have. A forced
/// withdrawal needs no signature: L1's queue asks for it. An operation that the wallet has not kept is the member's if
/// the signature of the account's owner verifies: an old copy of the wallet does not know what a newer one has signed,
/// and a consent may be given on another machine. The late packet of a correction must be this meter's.
fn check_operations(receipt: &Receipt, own: &Own<'_>) -> Result<usize, StatementError> {
    let place = (receipt.community, receipt.slot);
    let mut account = receipt.settled.clone();
    let mut taken_over = 0;
    for (index, signed) in receipt.operations.iter().enumerate() {
        let operation: &Operation = &signed.operation;
        let kept = own.operations.iter().any(|kept| kept.operation == *operation && kept.owner == signed.owner);
        let by_owner = || {
            let message = [operation.message(own.domain)];
            (signed.owner == *own.owner || signed.owner.commitment() == account.owner)
                && schnorr::verify(DomainTag::Operation, &signed.owner.key, &message, &signed.signature).is_ok()
        };
        let forced = operation.kind == Kind::Forced;
        if (operation.community, operation.slot) != place || !(forced || kept || by_owner()) {
            return Err(StatementError::Foreign { index, kind: operation.kind });
        }
        taken_over += usize::from(!forced && !kept);
        account = OperationSlot::compute(&account, signed).after;
    }
    let Some(correction) = &receipt.correction else { return Ok(taken_over) };
    let (late, substitute) = (&correction.late.packet, &correction.substitute.packet);
    let same = late.context == substitute.context
        && (late.context.domain, late.context.community) == (own.domain, receipt.community);
    let mine =
        late.slot == receipt.slot && substitute.slot == receipt.slot && !late.substituted && substitute.substituted;
    let past = late.context.first_interval < receipt.first_interval;
    // A period with another meter has no correction (OP.9): the packet is of the one before.
    let signed = receipt.before.meter.is_some_and(|meter| correction.late.verify(&meter).is_ok());
    if same && mine && past && signed { Ok(taken_over) } else { Err(StatementError::Correction) }
}

/// What each operation, and the correction after them, changed.
pub(crate) fn changes(receipt: &Receipt) -> (Vec<OperationLine>, Option<CorrectionLine>) {
    let mut account = receipt.settled.clone();
    let mut out = Vec::new();
    for signed in &receipt.operations {
        let (operation, effect) = (&signed.operation, signed.operation.kind.effect());
        let after = OperationSlot::compute(&account, signed).after;
        let change_nano = after.value() - account.value();
        let nonce = effect.owner_signs().then_some(operation.nonce);
        out.push(OperationLine {
            kind: operation.kind,
            nonce,
            change_nano,
            units: if effect.whole_units { operation.units() } else { 0 },
        });
        account = after;
    }
    let correction = receipt.correction.as_ref().map(|correction| {
        let corrected = correction.compute(&account);
        CorrectionLine {
            first_interval: correction.late.packet.context.first_interval,
            change_nano: corrected.after.value() - account.value(),
            import_wh: corrected.import,
            export_wh: corrected.export,
        }
    });
    (out, correction)
}

fn lines(receipt: &Receipt) -> Vec<Line> {
    let scale = receipt.before.terms.scale;
    let line = |((interval, r), StatementLine { tick, bought_wh, sold_wh }): (
        (Interval, &gridveil_protocol::packet::Reading),
        &StatementLine,
    )| Line {
        interval,
        import_wh: Wh::of_units(r.import, scale),
        export_wh: Wh::of_units(r.export, scale),
        bought_wh: *bought_wh,
        sold_wh: *sold_wh,
        tick: *tick,
    };
    receipt.first_interval.onwards().zip(&receipt.readings).zip(&receipt.lines).map(line).collect()
}

fn notices(receipt: &Receipt, own: &Own<'_>, taken_over: usize) -> Vec<&'static str> {
    let mut out = Vec::new();
    if receipt.substituted {
        out.push("The meter data manager substituted this period's readings: no local trade, no certificates.");
        if own.packet.is_some() && own.delivered {
            out.push("The sequencer had taken this meter's own packet while the period was open and did not use it: ask the meter data manager why.");
        } else if own.packet.is_some() {
            out.push("This meter's own packet was late, as far as is noted here. A later settlement books the difference, if it was handed in in time.");
        }
    }
    if receipt.operations.iter().any(|signed| signed.operation.kind == Kind::Forced) {
        out.push("A withdrawal was forced through L1's queue: it pays only to the account's payout address, otherwise nothing.");
    }
    if receipt.after.owner != own.owner.commitment() {
        out.push("The account has another owner key from this period on, by an operation that this member signed.");
    }
    if taken_over > 0 {
        out.push(TAKEN_OVER);
    }
    if own.previous.is_none() {
        out.push("First statement kept here: the account's state before the period is the operator's word.");
    }
    out
}
