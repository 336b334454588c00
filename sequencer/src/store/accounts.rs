//! Accounts of a slot, one after another, and the keys that their records are sealed under. Part of the log state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    log_state::{Entry, LogState, OrderError, key, put},
    record::{Applied, Erased, Kept},
};

/// From a batch on, a slot has another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Switch {
    batch: u64,
    generation: u32,
}

/// The switches of every slot, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switches(BTreeMap<u16, Vec<Switch>>);

/// An account that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedAccount {
    /// Its number in the slot, from 0.
    pub number: u32,
    /// First generation of its keys.
    pub first: u32,
    /// Generation of the next account's key.
    pub next: u32,
    /// Batch with which the account before it ended.
    pub after: Option<u64>,
    /// Batch with which it ended.
    pub batch: u64,
}

impl Switches {
    /// Generation of the key that a slot's records are sealed under now.
    #[must_use]
    pub fn generation(&self, slot: u16) -> u32 {
        self.0.get(&slot).and_then(|all| all.last()).map_or(0, |last| last.generation)
    }

    /// Generation of the key of the account that a batch settled.
    #[must_use]
    pub fn generation_in(&self, slot: u16, batch: u64) -> u32 {
        let before = self.0.get(&slot).and_then(|all| all.iter().rfind(|switch| switch.batch < batch));
        before.map_or(0, |switch| switch.generation)
    }

    /// Every slot that has another key than its first, with that.
    pub fn current(&self) -> impl Iterator<Item = (u16, u32)> {
        self.0.iter().filter_map(|(slot, all)| Some((*slot, all.last()?.generation)))
    }

    /// The accounts of a slot that ended, oldest first.
    #[must_use]
    pub fn ended(&self, slot: u16) -> Vec<EndedAccount> {
        let (mut first, mut after, mut ended) = (0, None, Vec::new());
        for (number, switch) in (0..).zip(self.0.get(&slot).into_iter().flatten()) {
            ended.push(EndedAccount { number, first, next: switch.generation, after, batch: switch.batch });
            (first, after) = (switch.generation, Some(switch.batch));
        }
        ended
    }

    /// Does this key belong to an account that ended?
    #[must_use]
    pub fn has_ended(&self, slot: u16, generation: u32) -> bool {
        generation < self.generation(slot)
    }

    pub(super) fn switch(&mut self, applied: &Applied) -> Result<(), OrderError> {
        if applied.ended.iter().any(|ended| ended.generation <= self.generation(ended.slot)) {
            return Err(OrderError("an account that ended and leaves its key to the next one"));
        }
        for ended in &applied.ended {
            let switch = Switch { batch: applied.batch, generation: ended.generation };
            self.0.entry(ended.slot).or_default().push(switch);
        }
        Ok(())
    }

    /// A batch is abandoned: its accounts live.
    pub(super) fn undo(&mut self, batch: u64) {
        self.0.values_mut().for_each(|all| all.retain(|switch| switch.batch < batch));
        self.0.retain(|_, all| !all.is_empty());
    }
}

impl LogState {
    /// Is this batch final on L1?
    #[must_use]
    pub fn is_settled(&self, batch: u64) -> bool {
        batch <= self.last_batch && self.batches.first_key_value().is_none_or(|(first, _)| batch < *first)
    }

    pub(super) fn kept(&mut self, kept: &Kept, offset: u64) -> Result<Vec<Entry>, OrderError> {
        if !self.is_settled(kept.batch) || !self.communities.contains_key(&kept.community) {
            return Err(OrderError("receipts of a batch that is not final"));
        }
        if !self.kept.insert(kept.batch) {
            return Err(OrderError("receipts of a batch whose receipts are kept"));
        }
        Ok(vec![put(key::batch(b'k', kept.batch), offset.to_be_bytes())])
    }

    pub(super) fn erased(&mut self, erased: &Erased) -> Result<Vec<Entry>, OrderError> {
        let state = self.communities.get(&erased.community).ok_or(OrderError("of an unknown community"))?;
        let ended = |generation: &u32| state.switches.has_ended(erased.slot, *generation);
        if erased.generations.is_empty() || !erased.generations.iter().all(ended) {
            return Err(OrderError("an account that is erased and lives"));
        }
        let names = erased.generations.iter().map(|generation| (erased.community, erased.slot, *generation));
        self.erased.extend(names);
        Ok(Vec::new())
    }
}
