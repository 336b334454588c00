//! What the contract does with the records of a batch (docs/spec/l1.md), for tests: claims, queues and pools, in
//! memory.

use std::collections::{BTreeMap, VecDeque};

use gridveil_protocol::record::RecordKind;
use gridveil_verifier_contract::{
    Address, DepositEntry, DepositState, ForcedEntry, L1Error, SettleCall, TransferState, Word,
};

#[derive(Clone, Default)]
pub struct Queues {
    pub deposits: BTreeMap<Word, DepositEntry>,
    pub transfers: BTreeMap<Word, TransferState>,
    pub forced: BTreeMap<u32, VecDeque<ForcedEntry>>,
    pub notes: VecDeque<Word>,
    pub supplier_units: u64,
    pub withdrawable: BTreeMap<Address, u64>,
    pub treasury: u64,
    pub begun: Vec<(u32, Word)>,
    pub corrected: Vec<(u32, Word)>,
}

struct Record {
    kind: RecordKind,
    units: u64,
    extra: u32,
    w1: Word,
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn require(holds: bool, name: &str) -> Result<(), L1Error> {
    if holds { Ok(()) } else { Err(L1Error::Reverted { name: name.to_owned() }) }
}

pub fn forced(slot: u32, requester: Address) -> ForcedEntry {
    ForcedEntry { slot, requester, time: 0, bond: 1 }
}

pub fn open_deposit(claim: Word, units: u64) -> DepositEntry {
    DepositEntry { claim, depositor: [0xdd; 20], units, block: 1, state: DepositState::Open }
}

impl Queues {
    /// The effects of a batch, all or none.
    pub fn settle(&mut self, call: &SettleCall, leaves: usize) -> Result<(), L1Error> {
        let mut after = self.clone();
        for words in call.data[leaves + 2..].chunks(2) {
            let w0 = words[0];
            assert!(w0[..21].iter().all(|byte| *byte == 0));
            let record = Record {
                kind: RecordKind::try_from(u64::from(w0[31]))
                    .map_err(|_| L1Error::Reverted { name: "BadRecord".to_owned() })?,
                units: number(&w0[25..31]),
                extra: u32::try_from(number(&w0[21..25])).unwrap(),
                w1: words[1],
            };
            after.apply(call.community, &record)?;
        }
        *self = after;
        Ok(())
    }

    fn credit(&mut self, payout: &Word, units: u64) {
        assert!(payout[..12].iter().all(|byte| *byte == 0));
        *self.withdrawable.entry(payout[12..].try_into().unwrap()).or_default() += units;
    }

    fn apply(&mut self, community: u32, r: &Record) -> Result<(), L1Error> {
        match r.kind {
            RecordKind::Deposit => {
                require(self.deposits.remove(&r.w1).is_some_and(|d| d.units == r.units), "DepositNotOpen")?
            }
            RecordKind::Withdraw => self.credit(&r.w1, r.units),
            RecordKind::Send => require(self.transfers.insert(r.w1, TransferState::Open).is_none(), "TransferNotNew")?,
            RecordKind::Receive => require(
                self.transfers.insert(r.w1, TransferState::Received) == Some(TransferState::Open),
                "TransferNotOpen",
            )?,
            RecordKind::Forced => {
                let head = self.forced.entry(community).or_default().pop_front();
                require(head.is_some_and(|h| h.slot == r.extra && h.requester == r.w1[12..]), "ForcedNotHead")?;
                self.credit(&r.w1, r.units);
            }
            RecordKind::Correction => self.corrected.push((r.extra, r.w1)),
            RecordKind::SupplierIn => {
                require(self.supplier_units >= r.units, "SupplierShort")?;
                self.supplier_units -= r.units;
            }
            RecordKind::SupplierOut | RecordKind::FeeOut => self.treasury += r.units,
            RecordKind::Note => require(self.notes.pop_front() == Some(r.w1), "NotHeadNote")?,
            RecordKind::Init => self.begun.push((community, r.w1)),
        }
        Ok(())
    }
}
