//! Result of one slot's period: energy, money, the account after and its certificate note.

use serde::{Deserialize, Serialize};

use super::{SettlementInput, clearing::rules};
use crate::{
    account::{Account, LeafSalts, Registers},
    bill::bill_line,
    market::Clearing,
    note::Note,
    packet::SignedPacket,
    schnorr::PublicKey,
    units::{Nano, Wh},
};

/// What one slot's period came to.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Energy of the period, Wh.
    pub energy: Registers,
    /// For locally sold less locally bought energy at the market price, nano.
    pub trade: Nano,
    /// To the supplier (energy) less from the supplier (feed-in), nano.
    pub supply: Nano,
    /// Network and local fees, nano.
    pub fees: Nano,
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
    pub fn delta(&self) -> Nano {
        self.trade - self.supply - self.fees
    }
}

/// SETTLE.3, 7, 8 of one slot.
pub(super) fn outcome(input: &SettlementInput, clearings: &[Clearing], slot: usize) -> Outcome {
    let Some((account, signed)) = input.community.accounts.get(slot).zip(input.packets.get(slot)) else {
        return Outcome::default();
    };
    let scale = account.terms.scale;
    let mut out = Outcome::default();
    for (interval, (reading, clearing)) in signed.packet.readings.iter().zip(clearings).enumerate() {
        let (_, classes) = rules(input, interval);
        let prices = classes.get(usize::from(account.terms.class)).copied().unwrap_or_default();
        let energy = Registers {
            import: Wh::of_units(reading.import, scale),
            export: Wh::of_units(reading.export, scale),
            bought: clearing.bought.get(slot).copied().unwrap_or_default(),
            sold: clearing.sold.get(slot).copied().unwrap_or_default(),
        };
        let line = bill_line(&energy, &prices, clearing.tick);
        out.energy = out.energy.plus(&energy);
        out.trade += line.trade;
        out.supply += line.supply;
        out.fees += line.fees;
    }
    out.value = account.value() + out.delta();
    out
}

/// SETTLE.8, 9, 12: the account after.
pub(super) fn advance(account: &Account, signed: &SignedPacket, outcome: &Outcome, mdm: &PublicKey) -> Account {
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
pub(super) fn earns(account: &Account, signed: &SignedPacket) -> bool {
    account.terms.technology != 0 && !signed.packet.substituted
}

/// The certificate note of one slot (SETTLE.10).
pub(super) fn note(input: &SettlementInput, slot: usize, outcome: &Outcome) -> Option<Note> {
    let account = input.community.accounts.get(slot)?;
    let signed = input.packets.get(slot)?;
    let residual = outcome.energy.export.saturating_sub(outcome.energy.sold);
    Some(Note {
        owner: account.owner,
        amount: if earns(account, signed) { residual } else { Wh::ZERO },
        first_interval: input.community.header.next_interval,
        intervals: input.community.header.intervals,
        community: input.community.index,
        technology: account.terms.technology,
        salts: signed.packet.salts.note,
    })
}
