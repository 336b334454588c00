//! The fake's certificates, and the queue of their notes.

use std::collections::{HashMap, HashSet, VecDeque};

use super::books::{Context, Effects};
use super::{MemoryTerms, require, reverted};
use crate::types::{Address, CertificateCall, RollupEffect as Effect, WaitingPair, Word};

/// First version of the certificate circuit.
pub(super) const CERTIFICATE_VERSION: u32 = 1_000_001;
/// Pairs that one batch takes.
const PAIRS_PER_BATCH: u64 = 8;
/// The fee doubles so often at most.
const MAX_DOUBLINGS: u64 = 10;
/// First fee in parts of the forced queue's first bond.
const FEES_PER_BOND: u128 = 32;

#[derive(Clone, Copy, Debug)]
struct Spending {
    payer: Address,
    time: u64,
    circuit_version: u32,
    batches_ahead: u64,
}

impl Spending {
    fn fee(&self, terms: &MemoryTerms) -> u128 {
        fee(terms, self.batches_ahead)
    }

    fn due(&self, terms: &MemoryTerms) -> u64 {
        self.time + terms.forced_deadline_s * (1 + self.batches_ahead)
    }
}

fn fee(terms: &MemoryTerms, batches_ahead: u64) -> u128 {
    (terms.forced_bond_wei / FEES_PER_BOND) << batches_ahead.min(MAX_DOUBLINGS)
}

#[derive(Clone, Copy, Debug)]
struct Pair {
    nullifier: Word,
    notes: [Word; 2],
    spending: Spending,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Notes {
    spent: HashSet<Word>,
    /// Number of the first pair.
    head: u64,
    /// The first note of the first pair is in the state.
    half: bool,
    waiting: VecDeque<Pair>,
    fees_owed: HashMap<Address, u128>,
}

impl Notes {
    pub(super) fn is_spent(&self, nullifier: &Word) -> bool {
        self.spent.contains(nullifier)
    }

    pub(super) fn len(&self) -> u64 {
        self.waiting.len() as u64
    }

    pub(super) fn fee_owed(&self, account: &Address) -> u128 {
        self.fees_owed.get(account).copied().unwrap_or_default()
    }

    /// Of the next certificate while the rollup lives.
    pub(super) fn fee(&self, terms: &MemoryTerms) -> u128 {
        fee(terms, self.len() / PAIRS_PER_BATCH)
    }

    /// What a batch may take in.
    pub(super) fn pending(&self, retired: &HashSet<u32>) -> impl Iterator<Item = Word> {
        let half = self.half;
        self.waiting
            .iter()
            .enumerate()
            .take_while(move |(at, pair)| (half && *at == 0) || !retired.contains(&pair.spending.circuit_version))
            .flat_map(|(_, pair)| pair.notes)
            .skip(usize::from(half))
    }

    pub(super) fn pairs(&self, terms: &MemoryTerms) -> impl Iterator<Item = WaitingPair> {
        let half = self.half;
        (self.head..).zip(&self.waiting).map(move |(number, pair)| WaitingPair {
            number,
            half: half && number == self.head,
            nullifier: pair.nullifier,
            notes: pair.notes,
            circuit_version: pair.spending.circuit_version,
            due_s: pair.spending.due(terms),
        })
    }

    /// Notes as if they came from certificates: each pair is of the note whose nullifier is its first note.
    pub(super) fn put(&mut self, time: u64, notes: impl IntoIterator<Item = Word>) {
        let notes: Vec<Word> = notes.into_iter().collect();
        for pair in notes.chunks(2) {
            let &[first, ..] = pair else { continue };
            // One alone: the other waits behind it.
            let second = pair.get(1).copied().unwrap_or([0x29; 32]);
            self.push(first, [first, second], [0xca; 20], time, CERTIFICATE_VERSION);
        }
    }

    fn push(&mut self, nullifier: Word, notes: [Word; 2], payer: Address, time: u64, circuit_version: u32) {
        let batches_ahead = self.len() / PAIRS_PER_BATCH;
        self.spent.insert(nullifier);
        let spending = Spending { payer, time, circuit_version, batches_ahead };
        self.waiting.push_back(Pair { nullifier, notes, spending });
    }

    /// The fee is not asked for: everybody has enough ether.
    pub(super) fn certify(&mut self, context: &Context, call: &CertificateCall) -> Effects {
        require(!self.is_spent(&call.nullifier), "NullifierUsed")?;
        require(call.note_1 != [0; 32] && call.note_2 != [0; 32], "ZeroNote")?;
        require(!context.frozen || call.kind != 0, "IsFrozen")?;
        let CertificateCall { circuit_version, anchor, nullifier, note_1, note_2, retirement, .. } = *call;
        let CertificateCall { disclosed, beneficiary, kind, .. } = *call;
        if context.frozen {
            self.spent.insert(nullifier);
        } else {
            self.push(nullifier, [note_1, note_2], context.caller, context.now, circuit_version);
        }
        Ok(vec![Effect::CertificateSpent {
            nullifier,
            circuit_version,
            anchor,
            note_1,
            note_2,
            retirement,
            disclosed,
            beneficiary,
            kind,
        }])
    }

    /// Record 20.
    pub(super) fn append(&mut self, context: &Context, community: u32, note: Word) -> Effects {
        let Some(&Pair { notes: [first, second], spending, .. }) = self.waiting.front() else {
            return reverted("NotHeadNote");
        };
        require(note == if self.half { second } else { first }, "NotHeadNote")?;
        if self.half {
            self.pop();
            *self.fees_owed.entry(context.terms.treasury).or_default() += spending.fee(&context.terms);
        } else {
            require(!context.retired.contains(&spending.circuit_version), "NoteRetired")?;
            self.half = true;
        }
        Ok(vec![Effect::NoteAppended { note, community }])
    }

    fn pop(&mut self) {
        self.half = false;
        self.head += 1;
        self.waiting.pop_front();
    }

    pub(super) fn drop_pairs(&mut self, context: &Context, limit: u32) -> Effects {
        let mut effects = Vec::new();
        while let Some(&Pair { nullifier, spending, .. }) = self.waiting.front() {
            let undone = !self.half && context.retired.contains(&spending.circuit_version);
            if effects.len() >= limit as usize || !(undone || context.frozen) {
                break;
            }
            self.pop();
            *self.fees_owed.entry(spending.payer).or_default() += spending.fee(&context.terms);
            if undone {
                self.spent.remove(&nullifier);
            }
            effects.push(Effect::NotesDropped { nullifier, circuit_version: spending.circuit_version, undone });
        }
        if effects.is_empty() { reverted("NothingToDrop") } else { Ok(effects) }
    }

    pub(super) fn withdraw_fee(&mut self, account: Address) -> Effects {
        match self.fees_owed.remove(&account) {
            Some(amount) if amount > 0 => Ok(vec![Effect::FeeWithdrawn { account, amount }]),
            _ => reverted("NothingToWithdraw"),
        }
    }

    pub(super) fn is_overdue(&self, context: &Context, number: u64) -> bool {
        let Some(pair) = number.checked_sub(self.head).and_then(|at| self.waiting.get(usize::try_from(at).ok()?))
        else {
            return false;
        };
        let half = self.half && number == self.head;
        let retired = context.retired.contains(&pair.spending.circuit_version);
        (half || !retired) && pair.spending.due(&context.terms) < context.now
    }
}
