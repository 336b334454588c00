//! Certificates, and the queue of their notes.

use std::collections::{BTreeSet, VecDeque};

use gridveil_verifier_contract::Word;

use super::{Ledger, short};
use crate::certificates::Spent;

/// The queue of notes, by pairs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    /// Number of the first pair.
    head: u64,
    /// The first note of the first pair is in the state.
    half: bool,
    waiting: VecDeque<Spent>,
}

impl Notes {
    pub(crate) fn len(&self) -> u64 {
        (2 * self.waiting.len() as u64).saturating_sub(self.half.into())
    }

    /// What a batch may take in: what is before the first pair of a retired version.
    pub(super) fn pending(&self, retired: &BTreeSet<u32>) -> impl Iterator<Item = Word> {
        let half = self.half;
        self.waiting
            .iter()
            .enumerate()
            .take_while(move |(at, spent)| (half && *at == 0) || !retired.contains(&spent.circuit_version))
            .flat_map(|(_, spent)| spent.notes)
            .skip(usize::from(half))
    }

    /// Takes the next note out. It, and the version of its proof where it is the first of its pair; `None` if none
    /// waits.
    pub(super) fn take(&mut self) -> Option<(Word, Option<u32>)> {
        let spent = self.waiting.front()?;
        let [first, second] = spent.notes;
        let taken = if self.half { (second, None) } else { (first, Some(spent.circuit_version)) };
        self.half = !self.half;
        if !self.half {
            self.pop();
        }
        Some(taken)
    }

    fn pop(&mut self) -> Option<Spent> {
        let spent = self.waiting.pop_front()?;
        self.head += 1;
        self.half = false;
        Some(spent)
    }

    fn has(&self, number: u64) -> bool {
        number.checked_sub(self.head).is_some_and(|at| at < self.waiting.len() as u64)
    }
}

impl Ledger<'_> {
    pub(super) fn spent(&mut self, spent: &Spent) {
        let version = spent.circuit_version;
        let may = spent.of_certificates() && !self.retired_versions.contains(&version);
        self.require(may, "L1C.1", || format!("circuit version {version} is no certificate's, or was retired"));
        self.require(spent.kind_fits(), "L1C.2", || format!("kind {} with other fields than it has", spent.kind));
        let anchored = self.roots.contains_key(&spent.anchor);
        self.require(anchored, "L1C.3", || format!("anchor {} was never a state root", short(&spent.anchor)));
        let new = self.nullifiers.insert(spent.nullifier);
        self.require(new, "L1C.4", || format!("nullifier {} is used again", short(&spent.nullifier)));
        self.require(spent.canonical(), "L1C.5", || {
            format!("nullifier {}: a word that is not below the modulus, or no note", short(&spent.nullifier))
        });
        if self.books.frozen {
            self.require(spent.kind != 0, "L1C.7", || "a certificate is transferred after the freeze".into());
        } else {
            self.notes.waiting.push_back(*spent);
        }
        if let Err(why) = self.certificates.book(spent, self.settled.communities, self.settled.next_interval) {
            self.fail(why.clause(), format!("retirement {}: {why}", short(&spent.retirement)));
        }
    }

    /// The head of the queue leaves it, and no batch takes it in.
    pub(super) fn dropped(&mut self, nullifier: Word, undone: bool) {
        let half = self.notes.half;
        let head = self.notes.pop();
        let Some(spent) = head.filter(|spent| spent.nullifier == nullifier) else {
            return self.fail("L1C.10", "notes are dropped that are not the head of the queue");
        };
        let is_retired = !half && self.retired_versions.contains(&spent.circuit_version);
        self.require(undone == is_retired && (undone || self.books.frozen), "L1C.10", || {
            format!("nullifier {}: its notes are dropped, and a batch may take them in", short(&nullifier))
        });
        if undone {
            self.nullifiers.remove(&nullifier);
            self.certificates.undo(&spent);
        }
    }

    pub(super) fn frozen_for_notes(&mut self, number: u64, root: Word) {
        let waits = self.notes.has(number);
        self.require(waits, "L1C.8", || format!("frozen for the pair of notes {number}, which does not wait"));
        self.freeze_at(root);
    }
}
