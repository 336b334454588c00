//! A period's statement: every figure recomputed from the member's own readings, and anchored in a root that L1 has finalised.

use gridveil_protocol::{
    field::{Fr, hex_fr},
    packet::SignedPacket,
    poseidon::Use,
    receipt::{Bill, Receipt, ReceiptError, ReceiptRequest, StatementLine},
    schnorr::{PublicKey, SchnorrError, SecretKey},
    tariff::Tariff,
    units::Interval,
};
use serde::Serialize;

use crate::l1::{L1Error, Roots};

/// Why a statement does not hold. Nothing of it is shown then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The receipt is about something else.
    #[error("receipt is for another {0} than asked for")]
    Other(&'static str),
    /// The account's keys are not the member's.
    #[error("receipt opens an account with another {0} key")]
    NotMine(&'static str),
    /// Settled as the member's own packet, but the outbox has none.
    #[error("receipt says this meter's own packet was settled, but the outbox has none for the period")]
    NoPacket,
    /// The new leaf does not use the packet's salts.
    #[error("SETTLE.12: the settled leaf does not use the salts of this meter's packet")]
    Salts,
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
        let signature = owner.sign(Use::Request, &message)?;
        Ok(ReceiptRequest { community, slot, first_interval, timestamp, owner: owner.public(), signature })
    }
}

/// What the member itself holds.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// Owner's key.
    pub owner: &'a PublicKey,
    /// Meter's key.
    pub meter: &'a PublicKey,
    /// The period's packet, if one was signed.
    pub packet: Option<&'a SignedPacket>,
    /// Was it taken by the sequencer?
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
    pub before_nano: i128,
    /// `balance - debt` after, nano.
    pub after_nano: i128,
    /// Certificates of the period, Wh.
    pub certificates_wh: u64,
    /// The finalised root.
    #[serde(with = "hex_fr")]
    pub root: Fr,
    /// Was the account's state before compared with the previous statement? False for the first one.
    pub continues: bool,
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
    pub import_wh: u64,
    /// Fed in, Wh.
    pub export_wh: u64,
    /// Bought locally, Wh.
    pub bought_wh: u64,
    /// Sold locally, Wh.
    pub sold_wh: u64,
    /// Local price, ticks of 100 nano per Wh.
    pub tick: u16,
}

/// Checks a receipt against everything the member holds and L1 says.
///
/// # Errors
/// [`StatementError`], the first fact that does not hold.
pub fn verify(asked: &Asked, receipt: &Receipt, own: &Own<'_>, tariff: &Tariff, l1: &dyn Roots) -> Result<Statement, StatementError> {
    check_subject(asked, receipt, own)?;
    let readings = check_packet(receipt, own)?;
    if let Some(previous) = own.previous
        && previous.after != receipt.before {
            return Err(StatementError::Continuity);
        }
    let bill = receipt.verify(readings, tariff, receipt.root)?;
    if tariff.commitment() != l1.tariff_commitment(asked.community, asked.first_interval)? {
        return Err(StatementError::Tariff);
    }
    if !l1.is_finalised(receipt.root)? {
        return Err(StatementError::NotFinal);
    }
    let value = |a: &gridveil_protocol::account::Account| i128::from(a.balance) - i128::from(a.debt);
    Ok(Statement {
        community: receipt.community,
        slot: receipt.slot,
        first_interval: receipt.first_interval,
        lines: lines(receipt),
        bill,
        before_nano: value(&receipt.before),
        after_nano: value(&receipt.after),
        certificates_wh: receipt.note_amount_wh,
        root: receipt.root,
        continues: own.previous.is_some(),
        notices: notices(receipt, own),
    })
}

fn check_subject(asked: &Asked, receipt: &Receipt, own: &Own<'_>) -> Result<(), StatementError> {
    if receipt.community != asked.community {
        return Err(StatementError::Other("community"));
    }
    if receipt.slot != asked.slot {
        return Err(StatementError::Other("slot"));
    }
    if receipt.first_interval != asked.first_interval {
        return Err(StatementError::Other("period"));
    }
    if receipt.after.owner != own.owner.commitment() {
        return Err(StatementError::NotMine("owner"));
    }
    if receipt.after.meter.as_ref() != Some(own.meter) {
        return Err(StatementError::NotMine("meter"));
    }
    Ok(())
}

/// The readings to hold the receipt against: the member's own, unless the manager substituted them.
fn check_packet<'a>(receipt: &Receipt, own: &Own<'a>) -> Result<Option<&'a [gridveil_protocol::packet::Reading]>, StatementError> {
    if receipt.substituted {
        return Ok(None);
    }
    let packet = &own.packet.ok_or(StatementError::NoPacket)?.packet;
    let salts = &receipt.after.salts;
    if (salts.exit, salts.private) != (packet.salts.exit, packet.salts.private) {
        return Err(StatementError::Salts);
    }
    Ok(Some(&packet.readings))
}

fn lines(receipt: &Receipt) -> Vec<Line> {
    let scale = u64::from(receipt.before.scale);
    let line = |((interval, r), StatementLine { tick, bought_wh, sold_wh }): ((Interval, &gridveil_protocol::packet::Reading), &StatementLine)| Line {
        interval,
        import_wh: u64::from(r.import) * scale,
        export_wh: u64::from(r.export) * scale,
        bought_wh: *bought_wh,
        sold_wh: *sold_wh,
        tick: *tick,
    };
    (receipt.first_interval..).zip(&receipt.readings).zip(&receipt.lines).map(line).collect()
}

fn notices(receipt: &Receipt, own: &Own<'_>) -> Vec<&'static str> {
    let mut out = Vec::new();
    if receipt.substituted {
        out.push("The meter data manager substituted this period's readings: no local trade, no certificates.");
        if own.packet.is_some() && own.delivered {
            out.push("The sequencer had taken this meter's own packet for the period and did not use it: ask the manager why.");
        }
    }
    if own.previous.is_none() {
        out.push("First statement kept here: the account's state before the period is the operator's word.");
    }
    out
}
