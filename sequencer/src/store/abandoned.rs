//! Giving up batches that L1 will never have, with their effects. Their periods are open again, with every packet; what
//! they carried waits again; what was accepted later stays.

use std::{path::Path, sync::Arc};

use gridveil_protocol::field::Fr;

use super::{
    Draft, Opened, Store, StoreError, log,
    log_state::{BatchEntry, Before, CommunityState, Entry, LogState, OrderError, key},
    record::{Abandoned, Event},
};

impl LogState {
    /// Undoes the batches from `first` on, from the last one back, and every closing that is not applied: it has chosen
    /// its operations after these batches. Gives the entries of the index that go.
    pub(super) fn abandoned(&mut self, first: u64) -> Result<Vec<Entry>, OrderError> {
        if !self.batches.contains_key(&first) {
            return Err(OrderError("a batch is abandoned that is settled, or that is none"));
        }
        let mut gone = Vec::new();
        for (community, state) in &mut self.communities {
            // One that nothing is open of stays shared.
            if state.closed.is_some() {
                gone.extend(reopen(*community, Arc::make_mut(state)));
            }
        }
        for (batch, entry) in self.batches.split_off(&first).into_iter().rev() {
            let state = self.communities.get_mut(&entry.community).ok_or(OrderError("of an unknown community"))?;
            let state = Arc::make_mut(state);
            gone.extend(keys_of(batch, &entry));
            entry.before.restore(state);
            state.switches.undo(batch);
            (self.root, self.last_batch) = (entry.old_root, batch - 1);
        }
        Ok(gone.into_iter().map(|key| (key, None)).collect())
    }
}

/// Opens a closed period again.
pub(super) fn reopen(community: u32, state: &mut CommunityState) -> Vec<Vec<u8>> {
    let Some(closed) = state.closed.take() else { return Vec::new() };
    let of = |letter| key::period(letter, community, closed.first_interval);
    let mut keys = vec![of(b'c')];
    if let Some(selected) = state.selected.take() {
        keys.push(of(b'h'));
        keys.extend(selected.header.then(|| of(b'd')));
    }
    keys
}

/// What the index has of a batch.
fn keys_of(batch: u64, entry: &BatchEntry) -> Vec<Vec<u8>> {
    let before = &entry.before;
    let of = |letter| key::period(letter, entry.community, entry.first_interval);
    let mut keys = vec![of(b'c'), of(b'h'), of(b'f'), key::batch(b'a', batch)];
    keys.extend(before.header.then(|| of(b'd')));
    keys.extend(entry.prove_ms.map(|_| key::batch(b'v', batch)));
    let operations = before.carried.operations.iter().map(|operation| (operation.id, operation.offset));
    let late = before.carried.late.iter().map(|late| (late.id, late.offset));
    keys.extend(operations.chain(late).map(|(id, offset)| key::identity(b'b', &id, offset)));
    keys.extend((0u8..).zip(&entry.effects.notes).map(|(position, note)| key::note(&note.0, batch, position)));
    keys
}

/// A store whose sequencer does not run, to give up batches of.
#[derive(Debug)]
pub struct Abandoning {
    opened: Opened,
}

impl Abandoning {
    /// Opens it; no sequencer can be started until it is dropped.
    ///
    /// # Errors
    /// [`StoreError`], also where there is no log.
    pub fn open(directory: &Path, master_key_file: &Path) -> Result<Self, StoreError> {
        if !log::path_in(directory).is_file() {
            return Err(StoreError::Directory(std::io::ErrorKind::NotFound.into()));
        }
        Ok(Self { opened: Store::open(directory, master_key_file, None)? })
    }

    /// Number of the batch that leads to this state root, as [`crate::l1::reached`].
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn reached(&self, root: &[u8; 32]) -> Result<Option<u64>, StoreError> {
        crate::l1::reached(&self.opened.store.reader(), &self.opened.log_state, root)
    }

    /// The batches that would be given up, oldest first: number, community.
    #[must_use]
    pub fn from(&self, first: u64) -> Vec<(u64, u32)> {
        self.opened.log_state.batches.range(first..).map(|(batch, entry)| (*batch, entry.community)).collect()
    }

    /// State roots of these batches.
    #[must_use]
    pub fn roots(&self, first: u64) -> Vec<Fr> {
        self.opened.log_state.batches.range(first..).map(|(_, entry)| entry.new_root).collect()
    }

    /// Gives them up, durably.
    ///
    /// # Errors
    /// [`StoreError`], also for a batch that is settled or that is none.
    pub fn abandon(self, first: u64) -> Result<(), StoreError> {
        let Opened { mut store, mut log_state, .. } = self.opened;
        store.stage(&mut log_state, Draft::public(Event::Abandoned(Abandoned { batch: first })))?;
        store.commit(&log_state)?;
        store.close();
        Ok(())
    }
}

impl Before {
    fn restore(&self, state: &mut CommunityState) {
        let packets = std::mem::replace(&mut state.packets, self.packets.clone());
        if !packets.is_empty() {
            state.ahead.insert(state.next_interval, packets);
        }
        state.next_interval = self.next_interval;
        state.state_at = self.state_at;
        state.begun = self.begun;
        state.last_batch = self.last_batch;
        state.last_period = self.last_period;
        state.appended.pop();
        state.pending.restore(&self.carried);
    }
}
