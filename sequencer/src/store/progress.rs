//! Steps of periods and batches, numbered as the log has them: of each community from 1, and of all together. So somebody
//! who listens and was away goes on where it was ([`crate::api::events`]). The index has each under its number.

use std::collections::BTreeMap;

use gridveil_api::progress::{Happened, Progress};
use gridveil_protocol::units::Interval;

use super::{
    StoreError,
    log_state::{Entry, LogState, key, put},
    reader::StoreReader,
    record::Event,
};

/// Steps, so that each has a number on disk; a new one at the end.
const STEPS: [Happened; 6] =
    [Happened::Opened, Happened::Closed, Happened::Applied, Happened::Proven, Happened::Settled, Happened::Abandoned];

fn encode(step: &Progress) -> Vec<u8> {
    let number = STEPS.iter().position(|known| *known == step.step).and_then(|n| u8::try_from(n).ok());
    let (community, first_interval) = (step.community.to_be_bytes(), step.first_interval.0.to_be_bytes());
    // Batches are counted from 1.
    let batch = step.batch.unwrap_or(0).to_be_bytes();
    [&[number.unwrap_or(u8::MAX)][..], &community, &first_interval, &batch].concat()
}

fn decode(bytes: &[u8]) -> Option<Progress> {
    let (step, rest) = bytes.split_first()?;
    let (community, rest) = rest.split_first_chunk::<4>()?;
    let (first_interval, rest) = rest.split_first_chunk::<4>()?;
    let batch = u64::from_be_bytes(rest.try_into().ok()?);
    Some(Progress {
        community: u32::from_be_bytes(*community),
        first_interval: Interval(u32::from_be_bytes(*first_interval)),
        batch: (batch != 0).then_some(batch),
        step: *STEPS.get(usize::from(*step))?,
    })
}

impl LogState {
    /// What a record tells, before it is added.
    pub(super) fn told(&self, event: &Event) -> Vec<Progress> {
        let step = |community, first_interval, batch, step| Progress { community, first_interval, batch, step };
        let of_batch = |number: u64, happened| {
            let entry = self.batches.get(&number);
            entry.map(|b| step(b.community, b.first_interval, Some(number), happened)).into_iter().collect()
        };
        match event {
            Event::Community(added) => vec![step(added.index, added.next_interval, None, Happened::Opened)],
            Event::Closed(closed) => vec![step(closed.community, closed.first_interval, None, Happened::Closed)],
            Event::Applied(a) => vec![
                step(a.community, a.first_interval, Some(a.batch), Happened::Applied),
                step(a.community, a.next_interval, None, Happened::Opened),
            ],
            Event::Proven(proven) => of_batch(proven.batch, Happened::Proven),
            Event::Settled(settled) => of_batch(settled.batch, Happened::Settled),
            Event::Abandoned(abandoned) => {
                let closed = self.communities.iter().filter(|(_, state)| state.closed.is_some());
                let mut open: BTreeMap<u32, Interval> = closed.map(|(c, state)| (*c, state.next_interval)).collect();
                let mut told = Vec::new();
                // From the last one back: a community goes on with the oldest.
                for (number, b) in self.batches.range(abandoned.batch..).rev() {
                    open.insert(b.community, b.first_interval);
                    told.push(step(b.community, b.first_interval, Some(*number), Happened::Abandoned));
                }
                told.extend(open.into_iter().map(|(c, first)| step(c, first, None, Happened::Opened)));
                told
            }
            Event::Genesis(_)
            | Event::Packet(_)
            | Event::Tariff(_)
            | Event::Operation(_)
            | Event::Late(_)
            | Event::Header(_)
            | Event::Selected(_)
            | Event::Upgrade(_)
            | Event::Kept(_)
            | Event::Erased(_) => Vec::new(),
        }
    }

    /// Numbers it, once its record is added; gives its entries of the index.
    pub(super) fn tell(&mut self, told: &[Progress]) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(2 * told.len());
        for step in told {
            let Some(state) = self.communities.get_mut(&step.community) else { continue };
            state.progress += 1;
            self.progress += 1;
            entries.push(put(key::progress(Some(step.community), state.progress), encode(step)));
            entries.push(put(key::progress(None, self.progress), encode(step)));
        }
        entries
    }

    /// How many steps there are, of a community or of all.
    #[must_use]
    pub fn steps(&self, community: Option<u32>) -> u64 {
        community.map_or(self.progress, |community| self.communities.get(&community).map_or(0, |state| state.progress))
    }
}

impl StoreReader {
    /// A step, of a community or of all, by its number.
    ///
    /// # Errors
    /// [`StoreError`], also if there is none.
    pub fn step(&self, community: Option<u32>, number: u64) -> Result<Progress, StoreError> {
        let held = self.index.value(&key::progress(community, number))?;
        held.and_then(|value| decode(&value)).ok_or(StoreError::Inconsistent("a step is missing in the index"))
    }

    /// What was taken under an idempotency key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn taken_under(&self, community: u32, idempotency_key: &[u8; 32]) -> Result<Option<[u8; 32]>, StoreError> {
        let held = self.index.value(&key::idempotency(community, idempotency_key))?;
        Ok(held.and_then(|id| id.try_into().ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_reads_back() {
        for (step, batch) in STEPS.into_iter().zip([None, None, Some(1), Some(2), Some(u64::MAX), Some(3)]) {
            let told = Progress { community: 5, first_interval: Interval(420_000), batch, step };
            assert_eq!(decode(&encode(&told)), Some(told));
        }
        assert_eq!(decode(&[9; 17]), None);
        assert_eq!(decode(&[0; 18]), None);
    }
}
